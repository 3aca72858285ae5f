"""Bootstrap intervals (Efron 1979, percentile method): every headline carries one, and every difference a paired one."""

from collections.abc import Callable

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]  # sums over rows [..., k] -> values [...]


class Bootstrap:
    """Resamples of `rows` rows. Paired: every figure of a run is computed on the same resamples.

    Args:
        rows: number of judged rows.
        samples: number of resamples.
        confidence: 0.95 gives the 2.5 and 97.5 percentiles.
    """

    def __init__(self, rows: int, samples: int, confidence: float, seed: int):
        draws = np.random.default_rng(seed).integers(0, rows, (samples, rows))
        self.draws = draws
        self.counts = np.stack([np.bincount(draw, minlength=rows) for draw in draws]).astype(float)  # [samples, rows]
        self.bounds = (50 * (1 - confidence), 50 * (1 + confidence))

    def _summary(self, value: float, resampled: np.ndarray) -> dict[str, float]:
        low, high = np.percentile(resampled, self.bounds)
        return {"value": float(value), "low": float(low), "high": float(high)}

    def interval(self, rows: np.ndarray, statistic: Statistic) -> dict[str, float]:
        """`value`, `low` and `high` of a statistic of the sums of per-row figures `rows` [n, k]."""
        return self._summary(statistic(rows.sum(0)), statistic(self.counts @ rows))

    def difference(self, first: np.ndarray, second: np.ndarray, statistic: Statistic) -> dict[str, float]:
        """`value`, `low` and `high` of statistic(first) - statistic(second), resampled together."""
        return self._summary(
            statistic(first.sum(0)) - statistic(second.sum(0)),
            statistic(self.counts @ first) - statistic(self.counts @ second),
        )

    def auc(self, good: np.ndarray, bad: np.ndarray) -> dict[str, float]:
        """Probability that a good answer [n] scores over a bad one [n], ties counting half (Mann and Whitney 1947)."""
        wins = (good[:, None] > bad[None, :]) + 0.5 * (good[:, None] == bad[None, :])
        pairs = len(good) ** 2
        resampled = np.einsum("si,ij,sj->s", self.counts, wins, self.counts, optimize=True) / pairs
        return self._summary(wins.mean(), resampled)


def mean(sums: np.ndarray) -> np.ndarray:
    """Of rows [value, 1]: the mean."""
    return sums[..., 0] / sums[..., 1]


def with_count(values: list[float] | np.ndarray) -> np.ndarray:
    """Rows [value, 1] for `mean`."""
    return np.stack([np.asarray(values, float), np.ones(len(values))], 1)
