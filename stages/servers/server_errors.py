"""What a server says of a request that it refuses, in whatever shape, and what it means: the prompt, the model, the key, ….

The protocol's codes decide first, its statuses second, the server's words last.
"""

import json
import re
from dataclasses import dataclass

CODES = {  # codes and types of errors in lower case, by what is refused: OpenAI, Azure, llama.cpp, litellm, Anthropic, …
    "prompt": {
        "context_length_exceeded",
        "context_window_exceeded",
        "contextwindowexceedederror",
        "exceed_context_size_error",
        "string_above_max_length",
        "prompt_too_long",
        "request_too_large",
    },
    "account": {
        "insufficient_quota",
        "insufficient_balance",
        "billing_not_active",
        "billing_hard_limit_reached",
        "billing_error",
        "budget_exceeded",
        "payment_required",
        "account_deactivated",
    },
    "key": {
        "invalid_api_key",
        "incorrect_api_key",
        "expired_api_key",
        "auth_error",
        "authentication_error",
        "invalid_authentication",
        "token_not_found_in_db",
        "permission_denied",
        "permission_error",
        "unauthorized",
    },
    "content": {
        "content_filter",
        "content_policy_violation",
        "contentpolicyviolationerror",
        "responsibleaipolicyviolation",
        "data_inspection_failed",
        "invalid_prompt",
    },
    "model": {
        "model_not_found",
        "invalid_model",
        "unknown_model",
        "unsupported_model",
        "model_not_supported",
        "model_not_available",
        "model_decommissioned",
        "deploymentnotfound",
        "deployment_not_found",
    },
    "reply": {"json_validate_failed"},
    "rate": {"rate_limit_error", "rate_limit_exceeded", "throttling_error"},
}
STATUSES = {413: "prompt", 402: "account", 401: "key", 404: "model"}
WORDS = {  # of messages, by what is refused; the first that fits counts
    "limit": r"^\W*max_\w*tokens\W+(must|should) be\b",
    "rate": r"\brate[ _-]?limit|\bper[ _-](second|minute|min|hour|day)\b|\b[TR]P[MD]\b|\btoo many requests\b",
    "prompt": r"context[ _-]?(length|size|window|limit|overflow|shift)|too (long|many (input |prompt )?tokens)"
    r"|maximum context|max(imum)?[ _](prompt|input|model|sequence)[ _]len|inputs?\b.{0,60}tokens.{0,60}<= ?\d"
    r"|less than \d+ tokens|(input|prompt|tokens?)\b.{0,60}\bexceed|exceed\w*\b.{0,60}\b(tokens|context)|reduce the length",
    "account": r"credit balance|insufficient (balance|funds|credits?)|\b(no|any|purchase) credits\b|\bover budget\b"
    r"|budget has been exceeded|exceeded your \w+ (quota|credits)|plans? (and|&) billing",
    "content": r"content[ _-]?(management |exists )?(filter|polic|risk)|safety system|usage polic|\bflagged\b|\bmoderation\b"
    r"|inappropriate content|response was filtered|guardrail",
    "key": r"\bapi[ _-]?key\b|\bunauthori[sz]ed\b|\bauthenticat",
    "reply": r"failed to generate (valid )?json",
}
_OF_MODEL = re.compile(
    r"\bmodel\b.{0,80}\b(not found|does ?n[o']t exist|do not exist|unknown|not supported|not available|no longer)"
    r"|\b(unknown|invalid|unsupported|no such|nonexistent|different) model\b|\bnot a (chat|valid) model\b|\bmodel_not_found\b"
    r"|\bno models? (is |are )?loaded\b|\bmodel identifier\b.{0,40}\binvalid\b|\bdoes not support (chat|completion|generat)",
    re.IGNORECASE | re.DOTALL,
)
_OF_MEMORY = re.compile(r"requires more (system |GPU )?memory", re.IGNORECASE)  # Ollama, as status 500
TRUSTED = {  # words that count, by status
    400: ("limit", "rate", "prompt", "account", "content", "key", "reply"),
    422: ("limit", "rate", "prompt", "account", "content", "key", "reply"),
    403: ("rate", "account", "content"),
    500: ("rate", "prompt"),
}
OPTIONS = {  # of a request to an OpenAI-compatible server: how a message names them
    "response_format": r"response_format|json_schema|structured[ _-]outputs?|guided[ _](json|decoding)",
    "seed": r"\bseed\b",
    "stop": r"['\"`]stop['\"`]|\bstop (sequences?|parameter)|parameter:? stop\b",
    "top_p": r"\btop_?p\b",
    "temperature": r"\btemperature\b",
    "max_tokens": r"\bmax_(output_|new_)?tokens\b",
    "max_completion_tokens": r"\bmax_completion_tokens\b",
}


@dataclass(frozen=True)
class ServerError:
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


def server_error(body: bytes, secret: str = "") -> ServerError:
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
    return ServerError(text, frozenset(str(code).casefold() for code in codes if isinstance(code, str)), param)


def inside(body: bytes) -> int:
    """The status of a failure that a server sent with status 200, as some gateways do; 0 where the body is no failure."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return 0
    error = data.get("error") if isinstance(data, dict) and not data.get("choices") and not data.get("message") else None
    if not error:
        return 0
    code = str(error.get("code")) if isinstance(error, dict) else ""
    return int(code) if re.fullmatch(r"[45]\d\d", code) else 500


def subject(status: int, error: ServerError) -> str:
    """What a server refuses: a key of CODES or WORDS, `memory`, or "" where neither codes nor words tell.

    A prompt that does not fit is looked for before models, for such messages name models, limits and options, too.
    """
    of_code = next((about for about, codes in CODES.items() if error.codes & codes), "")
    if of_code == "rate" and status == 413:
        return "prompt"  # a single request of more tokens than a minute may have
    if of_code or status in STATUSES:
        return of_code or STATUSES[status]
    for about in TRUSTED.get(status, ()):
        if re.search(WORDS[about], error.text, re.IGNORECASE | re.DOTALL):
            return about
    if status == 403:
        return "key"
    if status in (400, 422) and (error.param == "model" or not error.option and _OF_MODEL.search(error.text)):
        return "model"
    return "memory" if status == 500 and _OF_MEMORY.search(error.text) else ""
