"""What becomes of a request that a server refuses.

| what is refused | becomes |
|---|---|
| a prompt that does not fit the context | Rejected, `too_long` |
| a text that the provider's filter of contents will not read | Rejected, `declined` |
| this request for another reason | Rejected |
| the model, or the address | Missing |
| the key, the account, or something no retry mends | StageError |
| for now: busy, overloaded, broken | Unanswered |
| a reply of the model that does not follow the schema | Unanswered, `unparsable` |
"""

from stages.common.errors import StageError
from stages.common.http import PASSING, Again
from stages.servers.server_errors import CODES, ServerError, subject

STOPS = {  # what stops a run: what is expected instead, and what helps
    "account": ("an account with quota left", "add quota, then run the same command again"),
    "key": ("a key with access to this model", "set the key in the environment (docs/llm_judge.md), then run again"),
    "memory": ("a model that fits the server's memory", "a smaller model or a smaller num_ctx, or free memory there"),
}


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
    """The server refuses this very request. No second try changes that.

    Args:
        reason: the status and the server's words.
        too_long: whether the prompt does not fit the model's context.
        declined: whether the provider will not read such a text.
        option: the option of the request that is refused, where the server names one; "" where it does not.
    """

    def __init__(self, reason: str, too_long: bool = False, declined: bool = False, option: str = ""):
        super().__init__(reason)
        self.too_long, self.declined, self.option = too_long, declined, option


class Missing(Exception):
    """The server does not know the model or the address."""


def failure(where: str, status: int, error: ServerError, wait: float | None) -> Exception:
    """What a status of 300 and more means. `wait` is what the server asks for, in seconds."""
    about = subject(status, error)
    code = next(iter(error.codes & CODES.get(about, set())), "")
    reason = f"status {status}: {error.text[:300]}" + (f" ({code})" if code and code not in error.text.casefold() else "")
    if about in STOPS:
        return StageError(where, reason, *STOPS[about])
    if about == "model":
        return Missing(reason)
    if about in ("prompt", "content"):
        return Rejected(reason, too_long=about == "prompt", declined=about == "content")
    if about == "reply":
        return Unanswered("unparsable", reason, at_once=True)
    if status == 429 or about == "rate" and status != 500:
        return Unanswered("rate_limited", reason, wait)
    if status in (400, 422):
        return Rejected(reason, option=error.option)
    if status in PASSING or status >= 500:
        return Unanswered("server_error", reason, wait)
    return StageError(where, reason, "an answer", "check base_url and the server's log")
