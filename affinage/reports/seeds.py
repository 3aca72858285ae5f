"""Revisions of a model that differ in their seed alone: how much of a difference is noise."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from affinage.reports.comparison import FEWEST, Comparison
from affinage.reports.results import TUNED, Results
from stages.common.errors import StageError


@dataclass(frozen=True)
class Floor:
    """A headline over runs that differ in their seed: mean, standard deviation, and what two runs differ by at most in 95
    of 100 cases by their seed alone (Student's t, for the deviation is estimated from few runs)."""

    name: str
    values: list[float]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float:
        return float(np.std(self.values, ddof=1))

    @property
    def floor(self) -> float:
        return float(student.ppf(0.975, len(self.values) - 1) * np.sqrt(2) * self.deviation)


def seed_noise(runs: list[Results], contestant: str = TUNED) -> list[Floor]:
    """The noise of each headline.

    Raises:
        StageError: with fewer than two runs, or where they differ in more than seeds.
    """
    if len(runs) < FEWEST:
        raise StageError(
            "--seeds", f"{len(runs)} revision", "at least two, better five", "dvc exp list --all-commits names them"
        )
    for other in runs[1:]:
        unlike = [name for name, *_ in Comparison(runs[0], other).params if not name.endswith(".seed")]
        if unlike:
            raise StageError(
                f"{runs[0].name}: {runs[0].revision} and {other.revision}",
                f"they differ in {', '.join(unlike)}",
                "runs that differ in a seed alone",
                "leave one out of --seeds",
            )
    names = Counter(
        name for run in runs for name, values in run.scores.items() if isinstance(values, dict) and contestant in values
    )
    return [Floor(name, [run.scores[name][contestant] for run in runs]) for name, count in names.items() if count == len(runs)]
