"""What all chat servers have in common: what is asked, what comes back, and what may go wrong on the way.

The official packages send and parse; a hook on their HTTP client judges every answer before they read it, so that statuses,
waits asked for, endless bodies and slow drips mean the same for each of them.
"""

import json
import time
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

from stages.common.errors import StageError
from stages.common.http import PASSING, Again, retry_after

MOST_BYTES = 4 * 2**20  # of one answer: what is longer is no answer of so many tokens
LATER = "run the same command again later, or with a lower concurrency: finished work is kept"


@dataclass(frozen=True)
class Options:
    """How to answer. `temperature` 0 is greedy; `top_k` 0, `top_p` 1 and `repetition_penalty` 1 are off."""

    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float
    max_tokens: int
    seed: int
    stop: tuple[str, ...] = ()
    schema: dict | None = None  # JSON schema that the answer is to follow


@dataclass(frozen=True)
class Reply:
    """An answer.

    Args:
        text: what the model wrote.
        finish: `stop`, `length` (at max_tokens), `refused`, or `prompt too long` (the server cut the prompt).
        prompt_tokens: read by the model; None where the server does not say.
        tokens: written by the model; None where the server does not say.
        model: what the server calls the model that answered.
        seconds: from request to answer, tries that failed left out.
    """

    text: str
    finish: str
    prompt_tokens: int | None
    tokens: int | None
    model: str
    seconds: float


class Unanswered(Again):
    """No answer, and the next try may bring one.

    Args:
        kind: `timeout`, `server_error`, `too_large`, `rate_limited`, `unreachable`, or what a caller makes of an answer.
        reason: what happened.
        wait: seconds that the server asked for.
        at_once: whether waiting would be no use.
    """

    def __init__(self, kind: str, reason: str, wait: float | None = None, at_once: bool = False):
        super().__init__(reason, wait)
        self.kind, self.at_once = kind, at_once


class Rejected(Exception):
    """The server refuses this very request (status 400, 413 or 422); no second try changes that."""

    @property
    def too_long(self) -> bool:
        """Whether it says that the prompt does not fit the model's context."""
        return any(words in str(self).casefold() for words in ("context length", "context_length", "context size", "too long"))


class Missing(Exception):
    """The server does not know the model or the address (status 404)."""


class Chat(Protocol):
    """One model behind one server."""

    where: str  # for messages: address and model
    address: str

    def identity(self) -> dict:
        """What tells this model from others, as exactly as the server can say."""

    def ask(self, messages: list[dict], options: Options) -> Reply:
        """One try. Raises Unanswered, Rejected, or StageError for what stops the whole run."""

    def down(self, reason: str) -> StageError:
        """What to do when the server cannot be reached."""


def connect(provider: str, base_url: str, model: str, seconds: float, num_ctx: int) -> Chat:
    """The client for a provider; `num_ctx`, the tokens of context to ask for, is heeded by `ollama` alone."""
    if provider == "ollama":
        from stages.servers.ollama_chat import OllamaChat

        return OllamaChat(base_url, model, seconds, num_ctx)
    from stages.servers.openai_chat import OpenAIChat

    return OpenAIChat(base_url, model, seconds)


def http_options(library: ModuleType, where: str, seconds: float, secret: str = "") -> dict:
    """Arguments for a client of `library` (httpx or its successor): no redirects, a deadline for the whole of each answer.

    `secret` is kept out of every message, whatever a server echoes.
    """

    class Bounded(library.SyncByteStream):
        def __init__(self, stream: Iterable[bytes], deadline: float):
            self.stream, self.deadline = stream, deadline

        def __iter__(self):
            read = 0
            for chunk in self.stream:
                read += len(chunk)
                if read > MOST_BYTES:
                    raise Unanswered("too_large", f"an answer of over {MOST_BYTES} bytes")
                if time.monotonic() > self.deadline:  # the library's own timeout starts again with every byte
                    raise Unanswered("timeout", f"no whole answer in {seconds:g} s")
                yield chunk

        def close(self) -> None:
            self.stream.close()

    def sent(request) -> None:
        request.extensions["affinage.deadline"] = time.monotonic() + seconds

    def received(response) -> None:
        if response.headers.get("Content-Encoding", "identity") != "identity":  # a little that unpacks to very much
            raise Unanswered("server_error", "a compressed answer that nobody asked for")
        response.stream = Bounded(response.stream, response.request.extensions["affinage.deadline"])
        if response.status_code >= 300:
            response.read()
            raise failure(where, response.status_code, _said(response.content, secret), retry_after(response))

    return {
        "timeout": seconds,
        "follow_redirects": False,
        "headers": {"Accept-Encoding": "identity"},
        "event_hooks": {"request": [sent], "response": [received]},
        "limits": library.Limits(max_connections=None),
    }


def _said(body: bytes, secret: str) -> str:
    """The server's own words about an error, in one line."""
    text = body.decode("utf-8", "replace")
    try:
        error = json.loads(text)["error"]
        text = error if isinstance(error, str) else f"{error['message']} {error.get('code') or ''}"
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    text = " ".join(str(text).split())[:300] or "no explanation"
    return text.replace(secret, "<key>") if secret else text


def failure(where: str, status: int, said: str, wait: float | None) -> Exception:
    """What a status of 300 and more means."""
    reason = f"status {status}: {said}"
    if status in (400, 413, 422):
        return Rejected(reason)
    if status == 404:
        return Missing(reason)
    if status in (401, 403):
        return StageError(where, reason, "a key with access to this model", "set the key in the environment (docs/judging.md)")
    if status == 429 and "insufficient_quota" in said:
        return StageError(where, reason, "an account with quota left", "add quota, then run the same command again")
    if status in PASSING:
        return Unanswered("rate_limited" if status == 429 else "server_error", reason, wait)
    return StageError(where, reason, "an answer", "check base_url and the server's log")


@contextmanager
def translated(library: ModuleType):
    """Turns the failures of a client of `library`, on the wire and in reading JSON, into Unanswered."""
    try:
        yield
    except library.TimeoutException:
        raise Unanswered("timeout", "no answer in time") from None
    except (library.ConnectError, ConnectionError) as error:
        raise Unanswered("unreachable", " ".join(str(error).split())[:200] or "no connection") from None
    except library.TransportError as error:
        raise Unanswered("server_error", f"the answer broke off ({type(error).__name__})") from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Unanswered("server_error", f"no answer of this protocol ({type(error).__name__})") from None
