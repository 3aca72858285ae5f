"""A model served by Ollama, asked through the official `ollama` package."""

import re
import time

from stages.common.errors import StageError
from stages.servers.chat import Missing, Options, Reply, Unanswered, http_options, translated

BYTES_A_TOKEN = 16  # more than any tokenizer makes of prose: a prompt counted as fewer tokens was cut
_RUN = re.compile(r"(.)\1{3,}", re.DOTALL)


class OllamaChat:
    """See `stages.servers.chat.Chat`.

    Args:
        base_url: of the server; "" is the package's own choice: OLLAMA_HOST, else this machine's port 11434.
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
        self.address = base_url  # the digest tells the model, wherever it runs

    def identity(self) -> dict:
        """The digest of the model's content."""
        try:
            with translated(self.library):
                listed = {one.model: one.digest for one in self.client.list().models}
        except Missing as error:
            raise StageError(self.where, str(error), "an Ollama server", "check base_url") from None
        digest = listed.get(self.model) or listed.get(f"{self.model}:latest")
        if not digest:
            there = ", ".join(sorted(name for name in listed if name)) or "none"
            raise StageError(self.where, f"no such model; there are: {there}", "a pulled model", f"ollama pull {self.model}")
        return {"digest": digest}

    def ask(self, messages: list[dict], options: Options) -> Reply:
        """One try."""
        start = time.monotonic()
        try:
            with translated(self.library):
                answer = self.client.chat(
                    self.model,
                    messages=messages,
                    format=options.schema,
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
        finish = "length" if answer.done_reason == "length" else "stop"
        if was_cut(messages, read, self.num_ctx, options.max_tokens):
            finish = "prompt too long"
        return Reply(text, finish, read, answer.eval_count, answer.model or self.model, time.monotonic() - start)

    def down(self, reason: str) -> StageError:
        """How to start the server and fetch the model."""
        return StageError(
            self.where, reason, "a running Ollama", f"ollama serve, then in another shell: ollama pull {self.model}"
        )


def was_cut(messages: list[dict], read: int | None, num_ctx: int, max_tokens: int) -> bool:
    """Whether the server cut the prompt, or would have cut it to go on: the tokens that it read leave no room for the answer,
    or are too few for the text. Where it does not count (a prompt that it still knew), the text's bytes must fit."""
    texts = (_RUN.sub(r"\1\1\1", message["content"]) for message in messages)  # a long row of dashes may be one token
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    if read is None:
        return sum(len(message["content"].encode("utf-8", "replace")) for message in messages) + max_tokens > num_ctx
    return read + max_tokens > num_ctx or read * BYTES_A_TOKEN < size
