"""Figures of labels that need no more than the label itself. They import no torch, so that a report can make them too."""

import numpy as np

from stages.judging.intervals import mean, with_count
from stages.judging.metrics import Figure

BINS = 10


def accuracy(expected: list[str], answers: list[str]) -> Figure:
    """Share of rows labelled right; sums of a row: 0 or 1, 1."""
    return with_count([label == answer for label, answer in zip(expected, answers, strict=True)]), mean


def macro_f1(expected: list[str], answers: list[str], labels: list[str]) -> Figure:
    """F1 of each label, averaged; sums of a row: for each label right, answered and expected.

    A label that no row expects is left out, in each resample anew. Answers with it count by the recall that they cost others.
    """
    place = {label: i for i, label in enumerate(labels)}
    expected_rows, answered_rows = (np.eye(len(labels))[[place[label] for label in column]] for column in (expected, answers))

    def statistic(sums: np.ndarray) -> np.ndarray:
        right, times_answered, times_expected = np.split(sums, 3, axis=-1)
        occurs = times_expected > 0
        scores = np.where(occurs, 2 * right / np.maximum(times_answered + times_expected, 1), 0)
        return scores.sum(-1) / np.maximum(occurs.sum(-1), 1)

    return np.hstack([answered_rows * expected_rows, answered_rows, expected_rows]), statistic


def calibration_error(expected: list[str], answers: list[str], probabilities: list[dict[str, float]]) -> Figure:
    """Expected calibration error in ten bins (Guo et al., arXiv 1706.04599): how far the stated probability of the likeliest
    label and the share of right ones lie apart, weighted by the bins' rows.

    Sums of a row: the stated probability and whether it is right, each in the row's bin; 1. Their width is 2 * BINS + 1.
    """
    right = np.array([label == answer for label, answer in zip(expected, answers, strict=True)], float)
    sure = np.array([max(shares.values()) for shares in probabilities])
    bins = np.eye(BINS)[np.minimum((sure * BINS).astype(int), BINS - 1)]

    def statistic(sums: np.ndarray) -> np.ndarray:
        stated, actual = sums[..., :BINS], sums[..., BINS : 2 * BINS]
        return np.abs(stated - actual).sum(-1) / sums[..., -1]

    return np.hstack([bins * sure[:, None], bins * right[:, None], np.ones((len(expected), 1))]), statistic
