"""The embedded judge: no server, no generation. It reads the expected answer.

Logistic regression over the signals of `signals.py`, with weights that cannot be negative (more likeness is never worse),
fitted on controls made from the training split: expected answers and paraphrases against bad answers of known kinds. The
score is 100 times the fitted probability of a good answer; weights and training rows are reported with every run.
"""

import numpy as np
from scipy.optimize import minimize

from stages.judging.controls import controls, question
from stages.judging.signals import NAMES, Signals


class EmbeddedJudge:
    """Scores answers from 0 to 100 against the expected ones."""

    def __init__(self, signals: Signals):
        self.signals = signals

    def fit(self, rows: list[dict], seed: int) -> "EmbeddedJudge":
        """Fit the mapping on formatted training rows. Good and bad answers weigh the same in total."""
        expected = [row["completion"] for row in rows]
        made = controls(rows, expected, self.signals.encoder.vectors(expected), seed)
        good, bad = [], []
        for row, answers in zip(rows, made, strict=True):
            asked = question(row)
            good += [(asked, row["completion"], answers.pop("good")), (asked, row["completion"], row["completion"])]
            bad += [(asked, row["completion"], answer) for answer in answers.values()]
        features = self.signals(good + bad)
        labels = np.r_[np.ones(len(good)), -np.ones(len(bad))]
        importance = np.r_[np.full(len(good), len(bad) / len(good)), np.ones(len(bad))]
        self.center, self.scale = features.mean(0), features.std(0) + 1e-9
        self.weights, self.bias = _fit((features - self.center) / self.scale, labels, importance)
        return self

    def score(self, items: list[tuple[str, str, str]]) -> np.ndarray:
        """Scores [n] of (question, expected, answer); an empty answer gets 0."""
        if not items:
            return np.zeros(0)
        odds = (self.signals(items) - self.center) / self.scale @ self.weights + self.bias
        return np.where([bool(answer.strip()) for _, _, answer in items], 100 / (1 + np.exp(-odds)), 0.0)

    def describe(self) -> dict[str, float]:
        """Weights of the standardized signals."""
        return dict(zip(NAMES, self.weights.tolist(), strict=True)) | {"bias": float(self.bias)}


def _fit(features: np.ndarray, labels: np.ndarray, importance: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights [k] >= 0 and bias of a logistic regression (labels -1 and 1) with a unit Gaussian prior on the weights."""
    width = features.shape[1]

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        margin = labels * (features @ point[:width] + point[width])
        slope = -importance * labels / (1 + np.exp(margin))
        value = (importance * np.logaddexp(0, -margin)).sum() + (point[:width] ** 2).sum() / 2
        return value, np.r_[features.T @ slope + point[:width], slope.sum()]

    found = minimize(loss, np.zeros(width + 1), jac=True, method="L-BFGS-B", bounds=[(0, None)] * width + [(None, None)])
    return found.x[:width], found.x[width]
