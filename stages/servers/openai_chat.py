"""A model behind an OpenAI-compatible server (OpenAI, vLLM, llama.cpp's server, Ollama's /v1), asked through `openai`."""

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
        if not (key or base_url):
            raise StageError(self.where, "no OPENAI_API_KEY in the environment", "a key", "export OPENAI_API_KEY=…")
        http = http_options(httpx2, self.where, seconds, key)
        self.client = openai.OpenAI(
            api_key=key or NO_KEY,
            base_url=self.address,
            max_retries=0,  # tries are counted in pool.py
            timeout=seconds,
            http_client=openai.DefaultHttpxClient(**http),
        )
        self.schemas = True  # until the server refuses one

    def identity(self) -> dict:
        """Such a server gives no digest: address and name are all there is."""
        return {"base_url": self.address, "model": self.model}

    def ask(self, messages: list[dict], options: Options) -> Reply:
        """One try; where the server takes no JSON schema, without one from then on."""
        if options.schema and self.schemas:
            try:
                return self._ask(messages, options, options.schema)
            except Rejected as refused:
                if refused.too_long:
                    raise
                reply = self._ask(messages, options, None)  # may be refused for another reason, and raises then
                self.schemas = False
                return reply
        return self._ask(messages, options, None)

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
                text, finish = choice.message.content, choice.finish_reason
                refused = bool(choice.message.refusal) or finish == "content_filter"
                if not isinstance(text if text is not None else "", str) or not (finish or refused):
                    raise TypeError("no text")
                counted = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
        except Missing as error:
            raise StageError(
                self.where, str(error), "an address and a model that the server knows", "check model and base_url"
            ) from None
        finish = "refused" if refused else "length" if finish == "length" else "stop"
        return Reply(text or "", finish, *counted, str(answer.model or self.model), time.monotonic() - start)

    def down(self, reason: str) -> StageError:
        """How to start a server."""
        return StageError(
            self.where,
            reason,
            "a running server",
            f"check base_url and the network; a server of your own is started for example with: vllm serve {self.model}",
        )
