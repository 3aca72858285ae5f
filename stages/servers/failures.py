"""What a server's refusal means. The protocol's codes decide first, the server's words second.

| what is refused | becomes |
|---|---|
| a prompt that does not fit the context | Rejected, `too_long` |
| this request for another reason | Rejected |
| the model, or the address | Missing |
| the key, the account, or something no retry mends | StageError |
| for now: busy, overloaded, broken | Unanswered |
"""

import json
import re
from dataclasses import dataclass

from stages.common.errors import StageError
from stages.common.http import PASSING, Again

TOO_LONG = {  # codes and types of OpenAI, llama.cpp, litellm, Anthropic
    "context_length_exceeded",
    "context_window_exceeded",
    "contextwindowexceedederror",
    "exceed_context_size_error",
    "string_above_max_length",
    "prompt_too_long",
    "request_too_large",
}
OF_MODEL = {
    "model_not_found",
    "invalid_model",
    "unknown_model",
    "unsupported_model",
    "model_not_supported",
    "model_not_available",
    "model_decommissioned",
    "deploymentnotfound",
    "deployment_not_found",
}
OF_KEY = {
    "invalid_api_key",
    "incorrect_api_key",
    "expired_api_key",
    "auth_error",
    "authentication_error",
    "invalid_authentication",
    "permission_denied",
    "permission_error",
    "unauthorized",
}
OF_ACCOUNT = {
    "insufficient_quota",
    "insufficient_balance",
    "billing_not_active",
    "billing_hard_limit_reached",
    "payment_required",
    "account_deactivated",
}
_TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window|limit|overflow)|maximum context|too (long|many (input |prompt )?tokens)"
    r"|(input|prompt|tokens?)\b.{0,60}\bexceed|exceed\w*\b.{0,60}\b(tokens|context)|less than \d+ tokens|reduce the length",
    re.IGNORECASE | re.DOTALL,
)
_OF_MODEL = re.compile(
    r"\bmodel\b.{0,80}\b(not found|does ?n[o']t exist|do not exist|unknown|not supported|not available|no longer)"
    r"|\b(unknown|invalid|unsupported|no such|nonexistent) model\b|\bnot a (chat|valid) model\b|\bmodel_not_found\b",
    re.IGNORECASE | re.DOTALL,
)
_OF_KEY = re.compile(r"\bapi[ _-]?key\b|\bunauthori[sz]ed\b|\bauthenticat", re.IGNORECASE)
OPTIONS = {  # of a request to an OpenAI-compatible server: how a message names them
    "response_format": r"response_format|json_schema|structured[ _-]outputs?|guided[ _](json|decoding)",
    "seed": r"\bseed\b",
    "stop": r"['\"`]stop['\"`]|\bstop (sequences?|parameter)|parameter:? stop\b",
    "top_p": r"\btop_?p\b",
    "temperature": r"\btemperature\b",
    "max_tokens": r"\bmax_tokens\b",
    "max_completion_tokens": r"\bmax_completion_tokens\b",
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
        option: the option of the request that is refused, where the server names one; "" where it does not.
    """

    def __init__(self, reason: str, too_long: bool = False, option: str = ""):
        super().__init__(reason)
        self.too_long, self.option = too_long, option


class Missing(Exception):
    """The server does not know the model or the address."""


@dataclass(frozen=True)
class Said:
    """A server's error.

    Args:
        text: its words, on one line.
        codes: its code, type and status, in lower case.
        param: the part of the request that it names, such as `response_format.json_schema`.
    """

    text: str
    codes: frozenset[str] = frozenset()
    param: str = ""

    @property
    def option(self) -> str:
        """The option that is refused: the named parameter, or else the one that the words name; "" for none.

        The limit of tokens is tried last, for servers often name it beside what they refuse.
        """
        named = [part for part in re.split(r"[.\[\]'\"]+", self.param) if part in OPTIONS]
        named += [option for option, words in OPTIONS.items() if re.search(words, self.text, re.IGNORECASE)]
        return named[0] if named else ""


def said(body: bytes, secret: str = "") -> Said:
    """The error in a body, in any of the shapes that servers use: OpenAI's, Ollama's, FastAPI's, or plain text.

    `secret` is kept out of it, whatever the server echoes.
    """
    text = body.decode("utf-8", "replace")
    codes, param = [], ""
    try:
        data = json.loads(text)
        data = data[0] if isinstance(data, list) and data else data
        error = data.get("error", data.get("detail", data))
        if isinstance(error, list):  # FastAPI: where in the request, and what is wrong there
            param, text = ".".join(map(str, error[0].get("loc", ()))), str(error[0].get("msg", ""))
        elif isinstance(error, dict):
            codes = [error.get("code"), error.get("type"), error.get("status"), data.get("code"), data.get("type")]
            param, text = str(error.get("param") or ""), str(error.get("message") or text)
        else:
            text = str(error)
    except (ValueError, AttributeError, TypeError, LookupError, RecursionError):
        pass
    text = " ".join(text.split())[:600] or "no explanation"
    if secret:
        text = text.replace(secret, "<key>")
    return Said(text, frozenset(str(code).casefold() for code in codes if isinstance(code, str)), param)


def failure(where: str, status: int, error: Said, wait: float | None) -> Exception:
    """What a status of 300 and more means. `wait` is what the server asks for, in seconds.

    A prompt that does not fit is looked for first, for such messages name models, limits and options, too.
    """
    code = next(iter(error.codes & (TOO_LONG | OF_MODEL | OF_KEY | OF_ACCOUNT)), "")
    words = error.text[:300] + (f" ({code})" if code and code not in error.text.casefold() else "")
    reason = f"status {status}: {words}"
    refused = status in (400, 413, 422)
    if error.codes & TOO_LONG or status == 413 or status in (400, 422, 500) and not code and _TOO_LONG.search(error.text):
        return Rejected(reason, too_long=True)
    if error.codes & OF_ACCOUNT or status == 402:
        return StageError(where, reason, "an account with quota left", "add quota, then run the same command again")
    if error.codes & OF_KEY or status in (401, 403) or refused and _OF_KEY.search(error.text):
        return StageError(
            where, reason, "a key with access to this model", "set the key in the environment (docs/judging.md), then run again"
        )
    of_model = error.codes & OF_MODEL or error.param == "model"
    if of_model or status == 404 or refused and not error.option and _OF_MODEL.search(error.text):
        return Missing(reason)
    if refused:
        return Rejected(reason, option=error.option)
    if status in PASSING:
        return Unanswered("rate_limited" if status == 429 else "server_error", reason, wait)
    return StageError(where, reason, "an answer", "check base_url and the server's log")
