"""A model behind an OpenAI-compatible server (OpenAI, vLLM, llama.cpp's server, Ollama's /v1), asked through `openai`."""

import json
import os
import time

from stages.common.errors import StageError
from stages.servers.chat import Missing, Options, Rejected, Reply, http_options, translated

OWN = "https://api.openai.com/v1"
NO_KEY = "none"  # servers of one's own ask for no key, the package does


class OpenAIChat:
    """See `stages.servers.chat.Chat`.

    Args:
        base_url: of the server, with its `/v1`; "" is OpenAI's own.
        model: its name there.
        seconds: for one answer.

    The key is read from OPENAI_API_KEY and from nowhere else.
    """

    def __init__(self, base_url: str, model: str, seconds: float):
        import httpx2  # what `openai` sends with
        import openai

        self.address, self.model, self.library, self.openai = base_url or OWN, model, httpx2, openai
        self.where = f"model {model!r} at {self.address}"
        key = os.environ.get("OPENAI_API_KEY", "")
        self.able = bool(key or base_url)
        http = http_options(httpx2, self.where, seconds, key)
        self.client = openai.OpenAI(
            api_key=key or NO_KEY,
            base_url=self.address,
            max_retries=0,  # tries are counted in pool.py
            timeout=seconds,
            http_client=openai.DefaultHttpxClient(**http),
        )
        self.refused: set[str] = set()  # schemas that the server does not take: OpenAI's own must be objects, some take none

    def identity(self) -> dict:
        """Such a server gives no digest: address and name are all there is."""
        return {"base_url": self.address, "model": self.model}

    def ask(self, messages: list[dict], options: Options) -> Reply:
        """One try; where the server does not take the JSON schema, without it from then on."""
        if not self.able:  # said here and not earlier: what was kept needs no key
            raise StageError(self.where, "no OPENAI_API_KEY in the environment", "a key", "export OPENAI_API_KEY=…")
        schema = json.dumps(options.schema)
        if not options.schema or schema in self.refused:
            return self._ask(messages, options, None)
        try:
            return self._ask(messages, options, options.schema)
        except Rejected as refusal:
            if refusal.too_long:
                raise
            reply = self._ask(messages, options, None)  # what was refused for another reason is refused again
            self.refused.add(schema)
            return reply

    def _ask(self, messages: list[dict], options: Options, schema: dict | None) -> Reply:
        # OpenAI's newer models refuse the older name, other servers do not know the newer one
        limit = "max_completion_tokens" if self.address == OWN else "max_tokens"
        more = {limit: options.max_tokens} | ({"stop": list(options.stop)} if options.stop else {})
        if schema:
            more["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "strict": True, "schema": schema},
            }
        start = time.monotonic()
        try:
            with translated(self.library):
                try:
                    answer = self.client.chat.completions.create(
                        model=self.model,
                        messages=messages,
                        temperature=options.temperature,
                        top_p=options.top_p,
                        seed=options.seed,
                        **more,
                    )
                except self.openai.APIError as error:
                    raise (error.__cause__ or ValueError(str(error))) from None
                choice, usage = answer.choices[0], answer.usage
                text, finish = choice.message.content or "", choice.finish_reason
                refused = bool(choice.message.refusal) or finish == "content_filter"
                counted = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
                if not (isinstance(text, str) and (finish or refused) and all(isinstance(n, int | None) for n in counted)):
                    raise TypeError("the package does not check types")
        except Missing as error:
            raise StageError(
                self.where, str(error), "an address and a model that the server knows", "check model and base_url"
            ) from None
        finish = "refused" if refused else "length" if finish == "length" else "stop"
        return Reply(text, finish, *counted, _name(answer.model) or self.model, time.monotonic() - start)

    def down(self, reason: str) -> StageError:
        """How to start a server."""
        return StageError(
            self.where,
            reason,
            "a running server",
            f"check base_url and the network; a server of your own is started for example with: vllm serve {self.model}",
        )


def _name(model: object) -> str:
    """What the server calls the model; llama.cpp's names the file with its path, which is no one's business."""
    return model.rsplit("/", 1)[-1] if isinstance(model, str) and model.startswith("/") else str(model or "")
