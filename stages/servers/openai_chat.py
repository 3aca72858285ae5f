"""A model behind an OpenAI-compatible server (OpenAI, vLLM, llama.cpp's server, Ollama's /v1), asked through `openai`."""

import json
import os
import sys
import time

from stages.common.errors import StageError
from stages.servers.chat_server import Options, Reply, ending
from stages.servers.failures import Missing, Rejected, Unanswered
from stages.servers.wire import http_options, translated

OWN = "https://api.openai.com/v1"
NO_KEY = "none"  # servers of one's own ask for no key, the package does
OPTIONAL = ("response_format", "seed", "stop", "top_p", "temperature")  # an answer can be had without
# OpenAI's newer models refuse the first name, other servers do not know the second one
LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


class OpenAIChat:
    """See `stages.servers.chat_server.Chat`.

    Args:
        base_url: of the server, with its `/v1`; "" is OpenAI's own.
        model: its name there.
        seconds: for one answer.

    The key is read from OPENAI_API_KEY and from nowhere else.

    Some models take no temperature but their own, some servers no seed, some no JSON schema. An option that the server refuses
    is left out from then on, and every answer says so.
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
        self.refused: dict[str, object] = {}  # options that the server does not take; for the schema's, the refused schema
        self.taken: set[str] = set()  # the options of requests that were answered, as sent
        self.limit = "max_completion_tokens" if self.address == OWN else "max_tokens"

    def identity(self) -> dict:
        """Address and name, for such a server gives no digest."""
        return {"base_url": self.address, "model": self.model}

    def ask(self, messages: list[dict], options: Options) -> Reply:
        """One try. Where the server does not take an option, it is asked without it from then on."""
        if not self.able:  # said here and not earlier: what was kept needs no key
            raise StageError(self.where, "no OPENAI_API_KEY in the environment", "a key", "export OPENAI_API_KEY=…")
        wanted = self._wanted(options)
        refused, limits = dict(self.refused), [self.limit]
        while True:
            sent = {name: value for name, value in wanted.items() if not _is_refused(refused, name, value)}
            names = json.dumps([limits[-1], sent.get("response_format"), sorted(sent)])
            try:
                reply = self._ask(messages, {limits[-1]: options.max_tokens} | sent, tuple(sorted(wanted.keys() - sent.keys())))
            except Rejected as refusal:
                if refusal.too_long or refusal.declined:
                    raise
                self._give_way(refusal, sent, names, refused, limits)
                continue
            self._learn(refused, limits[-1], names)
            return reply

    def _wanted(self, options: Options) -> dict:
        wanted = {"temperature": options.temperature, "top_p": options.top_p, "seed": options.seed}
        if options.stop:
            wanted["stop"] = list(options.stop)
        if options.schema:
            schema = {"name": "verdict", "strict": True, "schema": options.schema}
            wanted["response_format"] = {"type": "json_schema", "json_schema": schema}
        return wanted

    def _give_way(self, refusal: Rejected, sent: dict, names: str, refused: dict, limits: list[str]) -> None:
        """Add to `refused` or `limits` what the next request is to go without.

        Where the server does not name what it refuses, the schema goes first, then all that is optional. A request whose
        options were answered before is refused for its own sake.

        Raises:
            Rejected: the same one, where nothing is left to leave out.
            StageError: if the server refuses the limit of tokens under both names.
        """
        if refusal.option in sent:
            out = [refusal.option]
        elif refusal.option in LIMITS:
            if LIMITS[limits[-1]] in limits:
                fix = "lower max_tokens (of generate: max_new_tokens)"
                raise StageError(self.where, str(refusal), "a limit of tokens that the server takes", fix) from None
            limits.append(LIMITS[limits[-1]])
            return
        elif names in self.taken:
            raise refusal
        else:
            out = ["response_format"] if "response_format" in sent else [name for name in OPTIONAL if name in sent]
        if not out:
            raise refusal
        refused |= {name: sent[name] if name == "response_format" else True for name in out}

    def _learn(self, refused: dict, limit: str, names: str) -> None:
        """Remember the options that an answered request went without. New ones are printed, once."""
        if new := sorted(refused.keys() - self.refused.keys()):
            print(f"{self.where}: refuses {', '.join(new)}; asked without from now on", file=sys.stderr)
        self.refused |= refused
        self.limit = limit
        self.taken.add(names)

    def _ask(self, messages: list[dict], options: dict, left_out: tuple[str, ...]) -> Reply:
        start = time.monotonic()
        try:
            with translated(self.library):
                try:
                    answer = self.client.chat.completions.create(model=self.model, messages=messages, **options)
                except self.openai.APIError as error:
                    raise (error.__cause__ or ValueError(str(error))) from None
                if lacking := _lacking(answer):
                    raise Unanswered("server_error", f"an answer {lacking}")
                choice, usage = answer.choices[0], answer.usage
                text, finish = choice.message.content or "", choice.finish_reason
                refused = bool(choice.message.refusal)
                counted = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
                # no part of OpenAI's protocol: DeepSeek's name and vLLM's, OpenRouter's and Ollama's
                extra = choice.message.model_extra or {}
                thinking = extra.get("reasoning_content") or extra.get("reasoning")
        except Missing as error:
            raise StageError(
                self.where, str(error), "an address and a model that the server knows", "check model and base_url"
            ) from None
        finish = "refused" if refused else ending(str(finish))
        thinking = thinking.strip() if isinstance(thinking, str) else ""
        model, seconds = _name(answer.model) or self.model, time.monotonic() - start
        return Reply(text, finish, *counted, model, seconds, thinking, left_out)

    def down(self, reason: str) -> StageError:
        """How to start a server of one's own, or where to look when it is OpenAI's."""
        own = f"start it, for example with: vllm serve {self.model}; or check base_url"
        fix = "check the network and the provider's status page, then run again" if self.address == OWN else own
        return StageError(self.where, reason, "a running server", fix)


def _lacking(answer: object) -> str:
    """What an answer lacks that the protocol has; "" where nothing is. The package does not check types."""
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list):
        return "that is none of this protocol"
    if not choices:
        return "without choices"
    message, usage = choices[0].message, answer.usage
    if not isinstance(message.content, str | None):
        return f"with content that is no text but {type(message.content).__name__}"
    if not choices[0].finish_reason and not message.refusal:
        return "without finish_reason"
    counts = (usage.prompt_tokens, usage.completion_tokens) if usage else ()
    return "" if all(isinstance(count, int | None) for count in counts) else "whose usage is no numbers"


def _is_refused(refused: dict, name: str, value: object) -> bool:
    """Whether the server takes no such option. Of schemas only this one is meant, for OpenAI takes those of objects alone."""
    return name in refused and (name != "response_format" or refused[name] == value)


def _name(model: object) -> str:
    """What the server calls the model. llama.cpp's server names the file with its path: the path is left out."""
    return model.rsplit("/", 1)[-1] if isinstance(model, str) and model.startswith("/") else str(model or "")
