"""The embedded judge: no server, no generation. It scores how much of the expected answer an answer says.

Its log-odds are the sum of the signals of `signals.py`, each on its own scale, less what the question gives away. More of the
expected answer is never worse. Slope and level were fitted once, on answers that people marked. A score of 70 means that people
would give about 70 of 100. `weights/content.json` names these answers and the command that fitted. Nothing is fitted here.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np

from stages.judging.signals import NAMES, Item, Signals

DECIMALS = 3  # of a score; what comes after is noise of the machine, and would rank equal answers
FEWEST = 4  # words of a question that is left out of an answer
WEIGHTS = Path(__file__).parent / "weights" / "content.json"


@cache
def shipped() -> dict:
    """The weights and where they come from."""
    return json.loads(WEIGHTS.read_text(encoding="utf-8"))


def own_words(question: str, answer: str) -> str:
    """An answer without the question, where all of the question stands in it.

    A question of fewer than FEWEST words stays, for it may stand in any answer.
    """
    asked = question.strip()
    return answer.replace(asked, " ").strip() if len(asked.split()) >= FEWEST else answer


class EmbeddedJudge:
    """Scores answers from 0 to 100 against the expected ones."""

    def __init__(self, signals: Signals):
        self.signals = signals
        fitted = shipped()
        self.center, self.scale, self.weights = (
            np.array([fitted["signals"][name][part] for name in NAMES]) for part in ("center", "scale", "weight")
        )
        self.bias = fitted["bias"]

    def score(self, items: list[Item]) -> np.ndarray:
        """Scores [n] of (question, expected, answer).

        An empty answer gets 0. So does an answer that is only the question, for the question is left out (`own_words`).
        """
        if not items:
            return np.zeros(0)
        items = [(question, expected, own_words(question, answer)) for question, expected, answer in items]
        odds = (self.signals(items) - self.center) / self.scale @ self.weights + self.bias
        scores = np.round(100 / (1 + np.exp(-odds)), DECIMALS)
        return np.where([bool(answer.strip()) for _, _, answer in items], scores, 0.0)

    def score_lists(self, lists: dict[str, list[Item]]) -> dict[str, np.ndarray]:
        """Scores of several lists by their names. A text that several lists have is read once."""
        ends = np.cumsum([len(items) for items in lists.values()])[:-1]
        scores = self.score([item for items in lists.values() for item in items])
        return dict(zip(lists, np.split(scores, ends), strict=True))

    def describe(self) -> dict:
        """Which weights these are, and the encoder that they were fitted with."""
        fitted = shipped()
        weights = {name: fitted["signals"][name]["weight"] for name in NAMES} | {"bias": self.bias}
        as_fitted = self.signals.encoder.content_hash == fitted["encoder"]["sha256"]
        return {"version": fitted["version"], "weights": weights, "encoder_as_fitted": as_fitted}
