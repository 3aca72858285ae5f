"""A model behind a server of one's own, asked to go on with a prompt's text as it stands (`/v1/completions`).

vLLM and llama.cpp's server have this route. The text is rendered here, by the chat template that lies with the model, so the
server's own template has no say. What OpenAI's protocol has no name for is sent under the server's own.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from stages.common.errors import StageError
from stages.decoding.causal.exported.llama_cpp import sampling
from stages.servers.chat_server import Options, Reply, ending
from stages.servers.failures import Missing
from stages.servers.wire import http_options, translated


def _vllm(options: Options) -> dict:
    """Names of vLLM's sampling parameters. The text is not to begin with a token that the template did not write."""
    penalty = {"repetition_penalty": options.repetition_penalty}
    return {"add_special_tokens": False, "top_k": options.top_k or -1, "min_p": 0.0, **penalty}


KINDS: dict[str, tuple[Callable[[Options], dict], str]] = {  # options under the server's own names, and how it is started
    "vllm": (_vllm, "vllm serve {folder} --served-model-name {model}"),
    "llama_cpp": (sampling, "llama-server -m exports/{folder.name}/gguf/{folder.name}.gguf --alias {model}"),
}


class Completions:
    """One model behind one server.

    Args:
        kind: a name of KINDS.
        base_url: of the server, with its `/v1`.
        model: its name there.
        seconds: for one answer.
        folder: the model directory that it serves.

    The key is read from OPENAI_API_KEY; a server of one's own asks for none.
    """

    def __init__(self, kind: str, base_url: str, model: str, seconds: float, folder: Path):
        import httpx2  # what `openai` sends with
        import openai

        self.kind, self.model, self.address = kind, model, base_url
        self.start = KINDS[kind][1].format(folder=folder, model=model)
        self.where = f"model {model!r} at {base_url}"
        self.library, self.openai = httpx2, openai
        key = os.environ.get("OPENAI_API_KEY", "")
        http = openai.DefaultHttpxClient(**http_options(httpx2, self.where, seconds, key))
        # tries are counted in pool.py
        self.client = openai.OpenAI(api_key=key or "none", base_url=base_url, max_retries=0, timeout=seconds, http_client=http)

    def ask(self, prompt: str, options: Options) -> Reply:
        """One try.

        Raises:
            Unanswered: another try may do.
            Rejected: the server refuses this request.
            StageError: what stops the whole run: the model, the address.
        """
        start = time.monotonic()
        named = {"temperature": options.temperature, "top_p": options.top_p, "seed": options.seed}
        named |= {"max_tokens": options.max_tokens, "stop": list(options.stop) or None}
        try:
            with translated(self.library):
                try:
                    answer = self.client.completions.create(
                        model=self.model, prompt=prompt, extra_body=KINDS[self.kind][0](options), **named
                    )
                except self.openai.APIError as error:
                    raise (error.__cause__ or ValueError(str(error))) from None
                choice, usage = answer.choices[0], answer.usage
                counts = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
                if not (isinstance(choice.text, str) and all(isinstance(n, int | None) for n in counts)):
                    raise TypeError("the package does not check types")
        except Missing as error:
            fix = f"check model and base_url, or start it: {self.start}"
            raise StageError(self.where, str(error), "an address and a model that the server knows", fix) from None
        finish = ending(choice.finish_reason or "stop")
        # both servers count the end token, which is no part of an answer; vLLM says whether it was that or a stop string
        ended = finish == "stop" and (not options.stop or (choice.model_extra or {}).get("stop_reason", "") is None)
        read, written = counts
        written = written - ended if written else written
        return Reply(choice.text, finish, read, written, self.model, time.monotonic() - start)

    def down(self, reason: str) -> StageError:
        """How to start the server."""
        return StageError(self.where, reason, "a running server", f"start it: {self.start}")
