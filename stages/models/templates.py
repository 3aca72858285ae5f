"""Chat templates of others: what they write around an answer, and what must be mended in them before use.

A template is tried on one question and its answer. The prompt must be the beginning of the finished conversation, or a model
learns answers that its prompts never lead to. What the template writes after an answer says where answers end.

| template | after the question | after the answer | learned | ends answers |
|---|---|---|---|---|
| ChatML | `<\\|im_start\\|>assistant\\n` | `<\\|im_end\\|>\\n` | answer, `<\\|im_end\\|>` | `<\\|im_end\\|>` |
| Qwen 3 | the same, and an empty thought | `<\\|im_end\\|>\\n` | thought, answer, `<\\|im_end\\|>` | `<\\|im_end\\|>` |
| Llama 2 | ` ` | ` </s>` | space, answer, space, `</s>` | `</s>` |
| Gemma | `<start_of_turn>model\\n` | `<end_of_turn>\\n` | answer, `<end_of_turn>` | `<end_of_turn>` |
"""

import ast
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from weakref import WeakKeyDictionary

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from stages.common.errors import StageError
from stages.models.tokenizer_marks import marks

DATE = date(2024, 7, 26)  # for templates that write today's: the one that Llama 3.1's falls back on
QUESTION, ANSWER = "\ue100", "\ue101"  # stand for texts: private characters, which no template knows
ELSE = "choose another base, or a datasets.<name>.format.style with a template of its own (alpaca)"
_TODAY = re.compile(r"""strftime_now\s*\(\s*("[^"]*"|'[^']*')\s*\)""")
_MARK = re.compile(r"<\|[^\s<>]+\|>|<</?\w+>>|</?\w+>|\[/?[A-Z_]+\]|<｜[^\s<>]+｜>")  # what marks of turns look like
_TESTED = re.compile(r"strftime_now\s+is\s+(not\s+)?(un)?defined")


@dataclass(frozen=True)
class Turn:
    """What a template writes around the last answer.

    - `lead` stands between prompt and answer, and is learned: a space, or an empty thought.
    - `end` comes after the answer, is learned, and ends an answer.
    - `token` is the last token of `end`. It is None where a turn ends with plain text, which is then a stop string.
    - `rest` is written after that, and never learned.
    - `letters` are marks that the template writes and that are no tokens of the tokenizer (Llama 2's `[INST]`, Zephyr's
      `<|user|>`). In a text they read as the template's own.
    """

    lead: str
    end: str
    rest: str
    token: int | None
    letters: frozenset[str] = frozenset()

    @property
    def stop(self) -> list[str]:
        """The stop string, where no token ends a turn."""
        return [] if self.token is not None else [self.end.strip()]


class Refusal(StageError):
    """A conversation that a template refuses. `words` are the template's own."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, words: str):
        self.words = words
        super().__init__(place(tokenizer), f"it refuses the conversation: {words}", "a conversation in its roles", ELSE)


def place(tokenizer: PreTrainedTokenizerBase) -> str:
    """Where the user finds a tokenizer's template."""
    return f"chat template of {tokenizer.name_or_path or 'the base'}"


def rendered(tokenizer: PreTrainedTokenizerBase, messages: list[dict], asks: bool) -> str:
    """A conversation as the template writes it. With `asks`, it ends where an answer begins.

    Raises:
        Refusal: with the template's own words.
    """
    try:
        return tokenizer.apply_chat_template(messages, add_generation_prompt=asks, tokenize=False)
    except (TemplateError, TypeError, ValueError, KeyError, IndexError, AttributeError) as error:  # whatever it does wrong
        raise Refusal(tokenizer, " ".join(str(error).split()) or type(error).__name__) from None


def pinned(template: str, source: str) -> str:
    """The template with DATE for today's date, so that the prompt is the same tomorrow. `source` names it in errors.

    Raises:
        StageError: if the template works out the date's format.
    """
    fixed = _TODAY.sub(lambda call: json.dumps(DATE.strftime(ast.literal_eval(call[1])), ensure_ascii=False), template)
    if "strftime_now" in _TESTED.sub("", fixed):
        raise StageError(source, "today's date in a format of its own making", "strftime_now with a format in quotes", ELSE)
    return fixed


def _default(tokenizer: PreTrainedTokenizerBase) -> str:
    """The template, or the default one where there are several; "" where there is none."""
    own = tokenizer.chat_template or ""
    return own.get("default", next(iter(own.values()))) if isinstance(own, dict) else own


def writes_date(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the template writes today's date."""
    return _TODAY.search(_default(tokenizer)) is not None


def prepare(tokenizer: PreTrainedTokenizerBase) -> None:
    """Mend the tokenizer's own template.

    Today's date is pinned. Where the template passes over `add_generation_prompt`, its prompt is led up to the answer.

    Raises:
        StageError: if it cannot be used, with the texts that show why.
    """
    tokenizer.chat_template = pinned(_default(tokenizer), place(tokenizer))
    question, answer = {"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}
    asked, silent = (rendered(tokenizer, [question], asks) for asks in (True, False))
    lead = turn(tokenizer).lead
    if asked == silent and lead.strip():
        finished = rendered(tokenizer, [question, answer], False)
        prompt_lead = "{% if add_generation_prompt %}{{ " + json.dumps(lead, ensure_ascii=False) + " }}{% endif %}"
        tokenizer.chat_template = tokenizer.chat_template.removesuffix("\n") + prompt_lead
        again = [rendered(tokenizer, *call) for call in (([question], True), ([question], False), ([question, answer], False))]
        if again != [asked + lead, silent, finished]:
            raise StageError(place(tokenizer), f"a prompt {asked!r} without {lead!r}", "add_generation_prompt in use", ELSE)


_TURNS: WeakKeyDictionary[PreTrainedTokenizerBase, tuple[str, Turn]] = WeakKeyDictionary()


def turn(tokenizer: PreTrainedTokenizerBase) -> Turn:
    """What the tokenizer's template writes around an answer, looked at once.

    Raises:
        StageError: if the prompt does not begin the finished conversation, or nothing ends an answer. It shows both texts.
    """
    template, around = _TURNS.get(tokenizer, (None, None))
    if around is None or template != tokenizer.chat_template:
        around = _look(tokenizer)
        _TURNS[tokenizer] = tokenizer.chat_template, around
    return around


def _look(tokenizer: PreTrainedTokenizerBase) -> Turn:
    question, answer = {"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}
    prompt, finished = rendered(tokenizer, [question], True), rendered(tokenizer, [question, answer], False)
    both_texts = f"the prompt {prompt!r} and the finished conversation {finished!r}"
    both_texts = both_texts.replace(repr(QUESTION)[1:-1], "QUESTION").replace(repr(ANSWER)[1:-1], "ANSWER")
    if not finished.startswith(prompt) or QUESTION not in prompt:
        raise StageError(place(tokenizer), both_texts, "a prompt that the finished conversation begins with", ELSE)
    if finished.count(ANSWER) != 1:
        raise StageError(place(tokenizer), both_texts, "a finished conversation that holds the answer once", ELSE)
    lead, tail = finished.removeprefix(prompt).split(ANSWER)
    mark = marks(tokenizer).pattern.search(tail)
    end = tail[: mark.end()] if mark else tail.rstrip()
    if not end:
        raise StageError(place(tokenizer), both_texts, "a mark after the answer, by which a model learns to stop", ELSE)
    token = marks(tokenizer).tokens[mark[0]] if mark else None
    return Turn(lead, end, tail.removeprefix(end), token, _letters(tokenizer, question, answer) | _marks_in(tokenizer, tail))


def _letters(tokenizer: PreTrainedTokenizerBase, question: dict, answer: dict) -> frozenset[str]:
    """The marks that the template writes around these turns, and a system message, and that are no tokens.

    What it writes before a first question is left aside: it may be a text in which tags have their own meaning.
    """
    written = rendered(tokenizer, [question], True).partition(QUESTION)[2]
    with suppress(Refusal):  # of a template for one question alone
        written += rendered(tokenizer, [question, answer, question], True).partition(QUESTION)[2]
    with suppress(Refusal):  # of a template without a system role
        told = rendered(tokenizer, [{"role": "system", "content": QUESTION}, question], True)
        written += told if told.count(QUESTION) == 2 else ""  # else it passes over system messages
    return _marks_in(tokenizer, written)


def _marks_in(tokenizer: PreTrainedTokenizerBase, written: str) -> frozenset[str]:
    """What looks like marks in a text and is no token."""
    return frozenset(_MARK.findall(written)) - marks(tokenizer).tokens.keys()
