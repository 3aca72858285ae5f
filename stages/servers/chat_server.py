"""What all chat servers have in common: what is asked, and what comes back."""

import re
from dataclasses import dataclass
from typing import Protocol

from stages.common.errors import StageError
from stages.servers.failures import Unanswered

LATER = "run the same command again later, or with a lower concurrency: finished work is kept"
# marks of thoughts: DeepSeek's, Qwen's and others', Magistral's, Kimi's, gpt-oss's
_THOUGHT = re.compile(
    r"\s*(<(seed:)?(think|thinking|thought|reasoning)>|\[THINK\]|◁think▷|<\|channel\|>analysis<\|message\|>)", re.IGNORECASE
)
_THOUGHT_ENDS = re.compile(
    r"</(seed:)?(think|thinking|thought|reasoning)>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>", re.IGNORECASE
)


# why an answer ended, in OpenAI's words, and in those of servers that speak its protocol with their own
ENDINGS = dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "function_call"), "stop")
AT_LENGTH = ("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded", "token_limit")
ENDINGS |= dict.fromkeys(AT_LENGTH, "length")
FILTERED = ("content_filter", "content_filtered", "guardrail_intervened", "prohibited_content", "blocklist", "recitation")
ENDINGS |= dict.fromkeys((*FILTERED, "refusal", "safety", "sensitive"), "refused")


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
        seconds: from request to answer, without tries that failed.
        thinking: what the model thought first, where the server tells it apart. Where it does not, `separated` does.
        left_out: the options that the server refused. It was then asked without them.
    """

    text: str
    finish: str
    prompt_tokens: int | None
    tokens: int | None
    model: str
    seconds: float
    thinking: str = ""
    left_out: tuple[str, ...] = ()


def ending(reason: str) -> str:
    """`stop`, `length` or `refused`, from what a server says of why the answer ended.

    Raises:
        Unanswered: for any other word: the server broke off (`error`, `abort`), or only loaded the model (`load`).
    """
    known = ENDINGS.get(reason.lower())
    if known is None:
        raise Unanswered("server_error", f"an answer that ended for the reason {reason!r}")
    return known


def separated(text: str) -> tuple[str, str]:
    """What a reasoning model thought, and what it then answered.

    `<think>…</think>` may stand before the answer. Some templates write the first mark into the prompt; then only the last one
    is in the text. Thoughts that were never ended leave no answer.
    """
    begun = _THOUGHT.match(text)
    ends = list(_THOUGHT_ENDS.finditer(text))
    if ends:
        thought = text[begun.end() if begun else 0 : ends[-1].start()]
        return thought.strip(), text[ends[-1].end() :].strip()
    return (text[begun.end() :].strip(), "") if begun else ("", text)


class Chat(Protocol):
    """One model behind one server."""

    where: str  # for messages: address and model
    address: str

    def identity(self) -> dict:
        """What tells this model from others, as exactly as the server can say."""

    def ask(self, messages: list[dict], options: Options) -> Reply:
        """One try.

        Raises:
            Unanswered: another try may do.
            Rejected: the server refuses this request.
            StageError: something stops the whole run: the key, the model, the account.
        """

    def down(self, reason: str) -> StageError:
        """The error for a server that cannot be reached. It says what to do."""
