"""A model served by Ollama, asked through the official `ollama` package."""

import re
import time
from urllib.parse import urlsplit

from stages.common.errors import StageError
from stages.servers.chat_server import Options, Reply, ending
from stages.servers.failures import Missing, Rejected, Unanswered
from stages.servers.wire import http_options, translated

BYTES_A_TOKEN = 16  # more than any tokenizer makes of prose
LEAST_BYTES_A_TOKEN = 2  # fewer than any tokenizer makes of prose, in any script
_OF_SCHEMA = re.compile(r"format|schema|grammar", re.IGNORECASE)
_RUN = re.compile(r"(.)\1{3,}", re.DOTALL)


class OllamaChat:
    """See `stages.servers.chat_server.Chat`.

    Args:
        base_url: of the server; "" is the package's own choice: OLLAMA_HOST, or else this machine's port 11434.
        model: its name; without a tag it means `:latest`.
        seconds: for one answer.
        num_ctx: tokens of context to ask for. Ollama cuts what is longer and says nothing.
    """

    def __init__(self, base_url: str, model: str, seconds: float, num_ctx: int):
        import httpx
        import ollama

        self.model, self.num_ctx, self.library = model, num_ctx, httpx
        self.where = f"ollama model {model!r} at {base_url or 'OLLAMA_HOST or 127.0.0.1:11434'}"
        self.client = ollama.Client(base_url or None, **http_options(httpx, self.where, seconds))
        self.address = base_url  # no default: the digest tells the model, wherever it runs
        self.without_schema = False  # whether the server takes no schema

    def identity(self) -> dict:
        """The digest of the model's content."""
        try:
            with translated(self.library):
                listed = {entry.model: entry.digest for entry in self.client.list().models}
        except Missing as error:
            raise StageError(self.where, str(error), "an Ollama server", "check base_url") from None
        digest = listed.get(self.model) or listed.get(f"{self.model}:latest")
        if not digest:
            names = ", ".join(sorted(name for name in listed if name)) or "none"
            raise StageError(self.where, f"no such model; there are: {names}", "a pulled model", f"ollama pull {self.model}")
        return {"digest": digest}

    def ask(self, messages: list[dict], options: Options) -> Reply:
        """One try. Where the server does not take the JSON schema, it is asked without it from then on."""
        schema = None if self.without_schema else options.schema
        try:
            return self._ask(messages, options, schema)
        except Rejected as refusal:
            if not schema or refusal.too_long or refusal.declined or not _OF_SCHEMA.search(str(refusal)):
                raise
            reply = self._ask(messages, options, None)
            self.without_schema = True
            return reply

    def _ask(self, messages: list[dict], options: Options, schema: dict | None) -> Reply:
        start = time.monotonic()
        try:
            with translated(self.library):
                answer = self.client.chat(
                    self.model,
                    messages=messages,
                    format=schema,
                    options={
                        "temperature": options.temperature,
                        "top_p": options.top_p,
                        "top_k": options.top_k,
                        "repeat_penalty": options.repetition_penalty,
                        "num_predict": options.max_tokens,
                        "seed": options.seed,
                        "num_ctx": self.num_ctx,
                        **({"stop": list(options.stop)} if options.stop else {}),
                    },
                )
                text, read = answer.message.content or "", answer.prompt_eval_count
        except Missing as error:
            raise StageError(self.where, str(error), "a pulled model", f"ollama pull {self.model}") from None
        if not answer.done:
            raise Unanswered("server_error", "an unfinished answer")
        finish = ending(answer.done_reason or "stop")  # older servers say nothing
        if was_cut(messages, read, self.num_ctx, options.max_tokens):
            finish = "prompt too long"
        model, seconds = answer.model or self.model, time.monotonic() - start
        left_out = ("format",) if options.schema and not schema else ()
        return Reply(text, finish, read, answer.eval_count, model, seconds, (answer.message.thinking or "").strip(), left_out)

    def down(self, reason: str) -> StageError:
        """How to start the server and fetch the model, here or where base_url says."""
        pull = f"in another shell: ollama pull {self.model}"
        at_home = f"ollama serve, then {pull}"
        elsewhere = f"on the machine of {self.address}: OLLAMA_HOST=0.0.0.0 ollama serve, then {pull}; or check base_url"
        return StageError(self.where, reason, "a running Ollama", at_home if _is_here(self.address) else elsewhere)


def _is_here(base_url: str) -> bool:
    return not base_url or (urlsplit(base_url).hostname or "") in ("localhost", "127.0.0.1", "::1", "0.0.0.0")


def was_cut(messages: list[dict], read: int | None, num_ctx: int, max_tokens: int) -> bool:
    """Whether the server cut the prompt, or would have cut it to go on.

    It did where the tokens that it read leave no room for the answer. A low count proves nothing by itself: older servers count
    only what they did not know from the prompt before, or say nothing. Then the text decides. A text that fits even at two
    bytes a token was not cut. A longer one was cut if it holds more than the counted tokens can stand for.
    """
    if read is not None and read + max_tokens > num_ctx:
        return True
    texts = [message["content"] for message in messages]
    if sum(len(text.encode("utf-8", "replace")) for text in texts) / LEAST_BYTES_A_TOKEN + max_tokens <= num_ctx:
        return False
    size = sum(len(_RUN.sub(r"\1\1\1", text).encode("utf-8", "replace")) for text in texts)  # a row of dashes is one token
    return read is None or read * BYTES_A_TOKEN < size
