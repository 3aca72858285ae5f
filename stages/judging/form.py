"""Form, beside content: what is wrong with how an answer is written. Each flag is a share of answers.

| flag | when |
|---|---|
| breaks_off | it was cut at the limit, ends in no end of a sentence where the expected one does, or within its words |
| repeats | over a third of its runs of three words stand in it before, and not so in the expected answer |
| shuffled | its words stand in disorder, as the encoder's early layers see it, and the expected ones do not; lists never |
| echoes | four fifths of its words are the question's, and fewer of the expected answer's are |
| too_long | over four times as many words as expected, and fifty |

`shuffled` reads the texts by weights that were fitted on English (`weights/syntax.json`). It is left out where the encoder is
not the one that they were fitted with.
"""

import json
import re
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch

from stages.common import kept
from stages.common.text_keys import folded_key
from stages.judging.controls import FLAGS
from stages.judging.encoder import Encoder
from stages.judging.signals import Item, content_words, words
from stages.models import runtime

SYNTAX_WEIGHTS = Path(__file__).parent / "weights" / "syntax.json"
RUN, REPEATED = 3, 1 / 3  # words of a run; share of runs said before
ECHOED = 0.8
TIMES, WORDS = 4, 50
FEWEST = 4  # words under which order says nothing
ENDS = frozenset(".!?…。！？\"')]”’»:;")


@cache
def shipped() -> dict:
    """The weights of `shuffled` and where they come from."""
    return json.loads(SYNTAX_WEIGHTS.read_text(encoding="utf-8"))


def breaks_off(expected: str, answer: str, finish: str = "stop") -> bool:
    """Whether an answer stops in the middle of what it says."""
    if not answer.strip():
        return finish == "length"
    return finish == "length" or _ends(expected) and not _ends(answer) or _cut(expected.strip(), answer.strip())


def _cut(expected: str, answer: str) -> bool:
    """Whether an answer is the beginning of the expected one, word for word, up to the middle of a phrase."""
    rest = expected.removeprefix(answer)
    return rest != expected and answer[-1].isalnum() and rest[:1] == " " and rest.lstrip()[:1].isalnum()


def _ends(text: str) -> bool:
    return text.rstrip()[-1:] in ENDS


def repeats(expected: str, answer: str) -> bool:
    """Whether an answer says the same again."""
    return _said_before(answer) > max(REPEATED, _said_before(expected))


def _said_before(text: str) -> float:
    """The share of a text's runs of words that stand in it before; one half where it says a few words twice over."""
    tokens = folded_key(text).split()
    half = len(tokens) // 2
    if tokens and len(tokens) % 2 == 0 and tokens[:half] == tokens[half:]:
        return 0.5
    runs = list(zip(*(tokens[start:] for start in range(RUN)), strict=False))
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def echoes(question: str, expected: str, answer: str) -> bool:
    """Whether an answer says the question again, and little else."""
    return _share_of(question, answer) >= ECHOED > _share_of(question, expected)


def _share_of(question: str, text: str) -> float:
    """The share of a text's words that are the question's."""
    question_words, text_words = set(words(question)), content_words(text)
    return sum(word in question_words for word in text_words) / len(text_words) if text_words else 0.0


def too_long(expected: str, answer: str) -> bool:
    """Whether an answer is far longer than was expected."""
    count = len(answer.split())
    return count > WORDS and count > TIMES * len(expected.split())


def listed(text: str) -> bool:
    """Whether a text is names between commas or on lines, and no sentence: their order says nothing."""
    names = re.split(r"[,\n]", text)
    return len(names) > 1 and max(len(name.split()) for name in names) <= 3


class Form:
    """Flags of answers."""

    def __init__(self, encoder: Encoder):
        self.encoder = encoder
        self.reads_order = encoder.content_hash == shipped()["encoder"]["sha256"]

    def __call__(self, items: list[Item], finish: list[str] | None = None) -> dict[str, np.ndarray]:
        """By flag, whether each (question, expected, answer) has it [n]; an empty answer has none.

        Args:
            finish: why each answer ended; left out for controls, which nothing cut.
        """
        finish = finish or ["stop"] * len(items)
        flags = {
            "breaks_off": [breaks_off(*texts[1:], end) for texts, end in zip(items, finish, strict=True)],
            "repeats": [repeats(*texts[1:]) for texts in items],
            "echoes": [echoes(*texts) for texts in items],
            "too_long": [too_long(*texts[1:]) for texts in items],
        }
        if self.reads_order:
            flags["shuffled"] = self._shuffled(items)
        return {flag: np.array(flags[flag], bool) for flag in FLAGS if flag in flags}

    @cached_property
    def before(self) -> kept.Kept:
        """Where log-odds are kept that were made of the same texts by the same encoder, weights and code."""
        return kept.computed("disorder", __name__, [], [self.encoder.content_hash, shipped()], runtime.machine(torch.float32))

    def _shuffled(self, items: list[Item]) -> list[bool]:
        texts = sorted({text for _, *both in items for text in both if len(text.split()) >= FEWEST})
        disorder = dict(zip(texts, self.before.get(texts, lambda: self._disorder(texts)), strict=True))
        prose = [not listed(expected) and not listed(answer) for _, expected, answer in items]
        mixed = [disorder.get(answer, -1) > 0 >= disorder.get(expected, -1) for _, expected, answer in items]
        return [is_prose and is_mixed for is_prose, is_mixed in zip(prose, mixed, strict=True)]

    def _disorder(self, texts: list[str]) -> list[float]:
        """Log-odds that a text's words stand in disorder, less the threshold [n]."""
        fitted = shipped()
        return (self.encoder.syntax(texts) @ fitted["weight"] + fitted["bias"]).tolist() if texts else []
