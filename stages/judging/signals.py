"""What the embedded judge looks at: signals of how much of the expected answer an answer says. More is better.

| signal | what | source |
|---|---|---|
| words | of expected words that are not the question's, what a passage of the answer has, in any form or spelling | Dice 1945 |
| news | how much nearer expected tokens find their like in the answer than in the question | BERTScore, arXiv 1904.09675 |
| meaning | cosine of the two texts' embeddings, both read after the question | Reimers and Gurevych 2019 |
| topic | the same, both read alone | the same |

`words` counts twice, for the others are all of the encoder. Tokens of `news` are weighted by their rarity.

`known` stands behind them: the cosine of the question's embedding and the expected answer's. It is the same for all answers to
a question. The nearer the question comes to what is expected, the more any answer to it has for free. `opposite` is 1 where
yes is said and no was expected, or the reverse: no likeness makes up for that.

None looks at length, and nothing is fitted to the data that is judged: the same question, expected answer and answer have the
same signals in every run.
"""

import re
from collections import Counter, defaultdict
from functools import cached_property, lru_cache

import numpy as np
import torch

from stages.common import kept
from stages.common.text_keys import folded_key
from stages.judging.controls import Item
from stages.judging.encoder import Encoder, Reading
from stages.models import runtime

SHARES = {"words": 2, "news": 1, "meaning": 1, "topic": 1}  # how often each counts
NAMES = (*SHARES, "known", "opposite")
CHANCE = 0.3  # Dice coefficient of an expected word with the likest word of an answer to something else
PASSAGE = 100  # words of an answer that are taken together; as many as were expected, where these are more
AT_ONCE = 256  # answers whose states are held
_STOP_WORDS = (
    "a an the of to in on at by for with and or but if is are was were be been being it its this that these those as from "
    "which who whom what when where why how do does did has have had i you he she they we them his her their our your my "
    "me us so than then there can could will would should may might must also into about between both each any some such "
    "other very"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
_YES = "yes|yeah|yep|true|correct|ja|oui|sí|si|sim"
_NO = "no|nope|false|incorrect|nein|non|não|nee|nej|nei"
_GOES_ON = "because|since|as|if|it|they|he|she|we|you|i|that|this|there|the"
_ENDS = r"[^\S\n]{0,5}(?:[,.;:!?…–—)\"'”’\n]|\Z)"
_BEGIN = r"(?:\A|(?<=[.!?:;\n])\s)\W{0,5}"  # of a sentence
_VERDICT = re.compile(rf"{_BEGIN}(?:({_YES})|({_NO}))(?={_ENDS}|\s+(?:{_GOES_ON})\b)")  # not: No problem, non-toxic
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
        different, signals = sorted(set(items)), {}
        # needed with every answer, and by the next contestant
        self.encoder.hold({key for q, expected, _ in different for key in (("", q), ("", expected), (q, expected))})
        for start in range(0, len(different), AT_ONCE):
            part = different[start : start + AT_ONCE]
            self.encoder.read([key for question, _, answer in part for key in (("", answer), (question, answer))])
            signals |= {item: self._of_item(*item) for item in part}
            self.encoder.forget()
        return [signals[item] for item in items]

    def _of_item(self, question: str, expected: str, answer: str) -> list[float]:
        read, rarity = self.encoder, self.encoder.rarity
        asked, meant, said = (read["", text] for text in (question, expected, answer))
        return [
            _words(question, expected, answer),
            _news(asked, meant, said, rarity),
            float(read[question, expected].whole @ read[question, answer].whole),
            float(meant.whole @ said.whole),
            float(asked.whole @ meant.whole),
            float(_opposite(expected, answer)),
        ]


def _opposite(expected: str, answer: str) -> bool:
    """Whether the expected answer begins with yes and some sentence of the answer with no, or the reverse.

    It counts for nothing where another sentence begins with the expected word.
    """
    right = _VERDICT.match(expected.casefold())
    return right is not None and {bool(said[1]) for said in _VERDICT.finditer(answer.casefold())} == {not right[1]}


def _words(question: str, expected: str, answer: str) -> float:
    """The largest share that one passage of the answer has. In a long text many words stand by chance, here and there.

    Of a word that the passage lacks counts its Dice coefficient with the likest word, by runs of three letters, over CHANCE.
    """
    meant, asked = content_words(expected), set(words(question))
    new = [word for word in meant if word not in asked] or meant
    if not new:
        return 0.0
    return max(_share(new, said) for said in _passages(answer, max(PASSAGE, len(expected.split()))))


def _share(new: list[str], said: set[str]) -> float:
    """How much of each expected word the words of a passage have, on average."""
    holding = defaultdict(list)  # words of the passage, by a run of letters
    for word in said:
        for run in _runs(word):
            holding[run].append(word)
    likest = {word: _likest(word, holding) for word in set(new)}
    return sum(max(likest[word] - CHANCE, 0) / (1 - CHANCE) for word in new) / len(new)


def _likest(word: str, holding: dict[str, list[str]]) -> float:
    """The Dice coefficient of a word with the likest one."""
    own = _runs(word)
    shared = Counter(other for run in own for other in holding.get(run, ()))
    return max((2 * count / (len(own) + len(_runs(other))) for other, count in shared.items()), default=0.0)


@lru_cache(2**16)
def _runs(word: str) -> frozenset[str]:
    """The runs of three letters of a word, its ends marked."""
    marked = f"#{word}#"
    return frozenset(marked[start : start + 3] for start in range(len(marked) - 2))


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


def _likeness(text: Reading, other: Reading) -> np.ndarray:
    """For each token of one text, the cosine to the likest token of the other; 0 where the other is empty."""
    return (text.states @ other.states.T).max(1) if len(other.ids) else np.zeros(len(text.ids))
