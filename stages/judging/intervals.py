"""Bootstrap intervals (Efron 1979, percentile method). Every headline carries one, and every difference a paired one."""

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
        self.rows, self.settings = rows, (samples, confidence, seed)
        draws = np.random.default_rng(seed).integers(0, rows, (samples, rows))
        self.draws = draws
        self.counts = np.stack([np.bincount(draw, minlength=rows) for draw in draws]).astype(float)  # [samples, rows]
        self.bounds = (50 * (1 - confidence), 50 * (1 + confidence))

    def over(self, rows: int) -> "Bootstrap":
        """The same settings for another number of rows."""
        return Bootstrap(rows, *self.settings)

    def _summary(self, value: float, resampled: np.ndarray) -> dict[str, float]:
        values = resampled[~np.isnan(resampled)]  # where a judge failed on rows, a resample may hold none but these
        low, high = np.percentile(values, self.bounds)
        return {"value": float(value), "low": float(low), "high": float(high)}

    def interval(self, rows: np.ndarray, statistic: Statistic) -> dict[str, float]:
        """`value`, `low` and `high` of a statistic of the sums of per-row figures `rows` [n, k]."""
        with np.errstate(invalid="ignore"):
            return self._summary(statistic(rows.sum(0)), statistic(self.counts @ rows))

    def weighted(self, statistic: Statistic) -> dict[str, float]:
        """`value`, `low` and `high` of a statistic of how often each row was drawn [..., n]."""
        return self._summary(statistic(np.ones(self.rows)), statistic(self.counts))

    def difference(self, first: np.ndarray, second: np.ndarray, statistic: Statistic) -> dict[str, float]:
        """`value`, `low` and `high` of statistic(first) - statistic(second), resampled together."""
        with np.errstate(invalid="ignore"):
            return self._summary(
                statistic(first.sum(0)) - statistic(second.sum(0)),
                statistic(self.counts @ first) - statistic(self.counts @ second),
            )

    def auc(self, good: np.ndarray, bad: np.ndarray) -> dict[str, float]:
        """Probability that a good answer [n] scores over a bad one [n], ties counting half (Mann and Whitney 1947).

        A score of nan is none: pairs with it do not count.
        """
        wins = (good[:, None] > bad[None, :]) + 0.5 * (good[:, None] == bad[None, :])
        counts_good, counts_bad = self.counts @ ~np.isnan(good), self.counts @ ~np.isnan(bad)
        won = np.einsum("si,ij,sj->s", self.counts, wins, self.counts, optimize=True)
        with np.errstate(invalid="ignore"):
            return self._summary(
                wins.sum() / ((~np.isnan(good)).sum() * (~np.isnan(bad)).sum()), won / (counts_good * counts_bad)
            )


def mean(sums: np.ndarray) -> np.ndarray:
    """Of rows [value, 1]: the mean."""
    return sums[..., 0] / sums[..., 1]


def with_count(values: list[float] | np.ndarray) -> np.ndarray:
    """Rows [value, 1] for `mean`."""
    return np.stack([np.asarray(values, float), np.ones(len(values))], 1)
