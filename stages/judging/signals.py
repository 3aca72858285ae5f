"""What the embedded judge looks at: four signals of how much of the expected answer an answer says. More is better.

| signal | what | source |
|---|---|---|
| words | of the expected words that are not the question's, the share that a passage of the answer has, in whatever form | |
| news | how much nearer expected tokens find their like in the answer than in the question | BERTScore, arXiv 1904.09675 |
| match | F1 of tokens that find their like, both texts read after the question | the same |
| meaning | cosine of the two texts' embeddings, both read after the question | Reimers and Gurevych 2019 |

Tokens are weighted by their rarity.

None looks at length, and nothing is fitted to the data that is judged: the same question, expected answer and answer have the
same signals in every run.
"""

import re
from functools import cached_property

import numpy as np
import torch

from stages.common import kept
from stages.common.text_keys import folded_key
from stages.judging.controls import Item
from stages.judging.encoder import Encoder, Reading
from stages.models import runtime

NAMES = ("words", "news", "match", "meaning")
PASSAGE = 100  # words of an answer that are taken together; as many as were expected, where these are more
AT_ONCE = 256  # answers whose states are held
_STOP_WORDS = (
    "a an the of to in on at by for with and or but if is are was were be been being it its this that these those as from "
    "which who whom what when where why how do does did has have had i you he she they we them his her their our your my "
    "me us so than then there can could will would should may might must also into about between both each any some such "
    "other very"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
_ENDINGS = ("ations", "ation", "ings", "ing", "edly", "ed", "ies", "es", "s", "ly")


def words(text: str) -> list[str]:
    """Words in lower case, without their endings: `treated` and `treats` are one."""
    return [_stem(word) for word in re.findall(r"\w+", folded_key(text))]


def content_words(text: str) -> list[str]:
    """Words without those that any English text has. Words of negation stay. A text of such words alone keeps them all."""
    plain = re.findall(r"\w+", folded_key(text))
    return [_stem(word) for word in plain if word not in STOP_WORDS] or [_stem(word) for word in plain]


def _stem(word: str) -> str:
    ending = next((end for end in _ENDINGS if word.endswith(end) and len(word) > len(end) + 2), "")
    return word.removesuffix(ending)


class Signals:
    """Turns (question, expected, answer) into the signals, in the order of NAMES."""

    def __init__(self, encoder: Encoder):
        self.encoder = encoder

    def __call__(self, items: list[Item]) -> np.ndarray:
        """Signals [n, len(NAMES)], made once for the same texts, encoder and code."""
        if not items:
            return np.zeros((0, len(NAMES)))
        return np.array(self.before.get(items, lambda: self._make(items)))

    @cached_property
    def before(self) -> kept.Kept:
        """Where signals are kept that were made of the same texts by the same encoder and code."""
        return kept.computed("signals", __name__, [], self.encoder.content_hash, runtime.machine(torch.float32))

    def _make(self, items: list[Item]) -> list[list[float]]:
        self.encoder.forget_all()  # else the last digits depend on what was read before
        different, signals = sorted(set(items)), {}
        for start in range(0, len(different), AT_ONCE):
            part = different[start : start + AT_ONCE]
            alone = {("", text) for item in part for text in item}
            after = {(question, text) for question, expected, answer in part for text in (expected, answer)}
            self.encoder.read(sorted(alone | after))
            signals |= {item: self._of_item(*item) for item in part}
            # question and expected answer stay: they are read again with every other answer
            self.encoder.forget({item[2] for item in part} - {text for item in part for text in item[:2]})
        return [signals[item] for item in items]

    def _of_item(self, question: str, expected: str, answer: str) -> list[float]:
        read, rarity = self.encoder, self.encoder.rarity
        asked, meant, said = (read["", text] for text in (question, expected, answer))
        meant_after, said_after = read[question, expected], read[question, answer]
        return [
            _words(question, expected, answer),
            _news(asked, meant, said, rarity),
            _match(asked, meant_after, said_after, rarity),
            float(meant_after.whole @ said_after.whole),
        ]


def _words(question: str, expected: str, answer: str) -> float:
    """The largest share that one passage of the answer has. In a long text many words stand by chance, here and there."""
    meant, asked = content_words(expected), set(words(question))
    new = [word for word in meant if word not in asked] or meant
    passages = _passages(answer, max(PASSAGE, len(expected.split())))
    return max(sum(word in said for word in new) for said in passages) / len(new) if new else 0.0


def _passages(text: str, size: int) -> list[set[str]]:
    """The words of each passage of `size` words; neighbours share half of theirs."""
    parts, step = text.split(), size // 2
    return [set(words(" ".join(parts[start : start + size]))) for start in range(0, max(1, len(parts) - step), step)]


def _news(asked: Reading, meant: Reading, said: Reading, rarity: np.ndarray) -> float:
    """How much of the expected answer the answer adds to the question.

    It is a mean over the expected tokens. A token that the question already holds to 0.6 and the answer to 0.9 counts
    (0.9 - 0.6) / (1 - 0.6).
    """
    if not len(meant.ids):
        return 0.0
    to_question, to_answer = np.maximum(_likeness(meant, asked), 0), _likeness(meant, said)
    return float(
        np.average(np.maximum(to_answer - to_question, 0) / np.maximum(1 - to_question, 0.05), weights=rarity[meant.ids])
    )


def _match(asked: Reading, meant: Reading, said: Reading, rarity: np.ndarray) -> float:
    """Harmonic mean of recall and precision over the tokens that the question does not hold."""
    recall = np.average(_likeness(meant, said), weights=_new(meant, asked, rarity)) if len(meant.ids) else 0.0
    precision = np.average(_likeness(said, meant), weights=_new(said, asked, rarity)) if len(said.ids) else 0.0
    return float(2 * recall * precision / (recall + precision)) if recall > 0 and precision > 0 else 0.0


def _likeness(text: Reading, other: Reading) -> np.ndarray:
    """For each token of one text, the cosine to the likest token of the other; 0 where the other is empty."""
    return (text.states @ other.states.T).max(1) if len(other.ids) else np.zeros(len(text.ids))


def _new(text: Reading, asked: Reading, rarity: np.ndarray) -> np.ndarray:
    """Weights of a text's tokens. Tokens that the question holds count nothing, unless it holds all of them."""
    weights = rarity[text.ids] * ~np.isin(text.ids, asked.ids)
    return weights if weights.sum() > 1e-3 else rarity[text.ids]
