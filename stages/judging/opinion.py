"""What a judge of any kind says of the answers to the test rows, and what the controls say of the judge."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from stages.common.errors import StageError
from stages.common.rows import TextAnswers, TextVerdicts
from stages.judging.intervals import Bootstrap, mean, with_count
from stages.judging.metrics import Figure
from stages.judging.scale import WRONG, scale
from stages.judging.scoring import trust


@dataclass
class Opinion:
    """The verdicts of one judge.

    Args:
        scores: by contestant, one of each row [n]; nan where the judge failed.
        control_rows: places of the rows whose controls were judged.
        controls: by kind, one of each of those rows; nan where the judge failed.
        scale: the lowest and the highest score.
        about: what tells this judge from others: model, prompt, options, weights.
        reasons, thinking, failed: by contestant (or `control <kind>`) and row, where there is something to say.
        said: by kind of failure, what was said instead of the first such verdict.
        pairs: by row, the comparison of two answers in both orders.
        versus: figures of these comparisons.
        flagged: by kind of control, which of its answers have a flag of form.
    """

    scores: dict[str, np.ndarray]
    control_rows: list[int]
    controls: dict[str, np.ndarray]
    scale: tuple[float, float]
    about: dict
    reasons: dict[str, dict[int, str]] = field(default_factory=dict)
    thinking: dict[str, dict[int, str]] = field(default_factory=dict)
    failed: dict[str, dict[int, str]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    pairs: dict[int, dict] = field(default_factory=dict)
    versus: dict = field(default_factory=dict)
    flagged: dict[str, np.ndarray] = field(default_factory=dict)

    def require_verdicts(self, judge: str, fix: str = "try another model or prompt") -> None:
        """Refuse to make figures out of nothing. `fix` says what to try.

        Raises:
            StageError: if there is no verdict at all on a contestant or on a kind of control.
        """
        for contestant, values in (self.scores | {f"control {kind}": values for kind, values in self.controls.items()}).items():
            if np.isnan(values).all():
                counts = sorted(Counter(self.failed.get(contestant, {}).values()).items())
                listing = "".join(f"\n    - {kind}: {count}, such as {self.said[kind]}" for kind, count in counts)
                raise StageError(
                    f"judge {judge!r} on {contestant}",
                    f"no verdict at all{listing}",
                    "at least one",
                    fix,
                )

    def at(self, place: int) -> dict[str, dict]:
        """This judge's part of a row of the verdicts file."""
        scores = {contestant: values[place] for contestant, values in self.scores.items()}
        if place in self.control_rows:
            turn = self.control_rows.index(place)
            scores |= {f"control {kind}": values[turn] for kind, values in self.controls.items()}
        rounded = {contestant: None if np.isnan(score) else round(float(score), 2) for contestant, score in scores.items()}
        notes = {
            name: {contestant: at[place] for contestant, at in notes.items() if place in at}
            for name, notes in (("reasons", self.reasons), ("thinking", self.thinking), ("failed", self.failed))
        }
        return {"scores": rounded, **notes, "pairs": self.pairs.get(place, {})}


def verdict_rows(rows: list[TextAnswers], opinions: dict[str, Opinion]) -> Iterator[TextVerdicts]:
    """Rows of the verdicts file. Keys beside `id` and `scores` are there only where they hold something."""
    for place, row in enumerate(rows):
        parts = {judge: opinion.at(place) for judge, opinion in opinions.items()}
        line = {"id": row["id"], "scores": {judge: part["scores"] for judge, part in parts.items()}}
        for name in ("reasons", "thinking", "failed", "pairs"):
            if by_judge := {judge: part[name] for judge, part in parts.items() if part[name]}:
                line[name] = by_judge
        yield line


def figure(values: np.ndarray) -> Figure:
    """Scores [n] as a figure. A row where the judge failed adds nothing and does not count."""
    missing = np.isnan(values)
    return np.where(missing[:, None], 0.0, with_count(np.where(missing, 0.0, values))), mean


def health(judge: str, opinion: Opinion, answers: dict[str, list[str]], bootstrap: Bootstrap, warn_below: float) -> dict:
    """What is to be thought of a judge: a part of details.json, `judges.<name>`.

    - `auc`, `fooled`, `control_means`: what its scores of the controls say (`trust`).
    - `graded_steps`, `near_ends`: whether it uses its scale (`scale`).
    - `weak`: what is wrong with either. A warning says so too.
    - `failed`, `bounds`: its failures, and how far they could move its means.
    - `length_correlation`: its liking for length.

    Args:
        answers: texts [n] by contestant.
        warn_below: an area under the ROC curve that is smaller is weak.
    """
    places, (low, high) = opinion.control_rows, opinion.scale
    own = bootstrap if len(places) == bootstrap.rows else bootstrap.over(len(places))
    on_controls = trust(opinion.controls, own, (low + high) / 2, opinion.flagged)
    weak = {kind: area["value"] for kind, area in sorted(on_controls["auc"].items()) if area["value"] < warn_below}
    on_scale = scale(opinion.controls, opinion.scores, own, opinion.scale)
    for problem in on_scale["wrong"]:
        print(f"warning: judge {judge!r}: {WRONG[problem]}. Do not build on its scores: docs/judging.md", file=sys.stderr)
    if weak:
        areas = ", ".join(f"{kind} {area:.2f}" for kind, area in weak.items())
        print(
            f"warning: judge {judge!r} hardly tells good answers from bad ones: area under the curve {areas}; expected "
            f"at least {warn_below:g} (warn_below). Do not build on its scores: docs/judging.md",
            file=sys.stderr,
        )
    kinds = Counter(kind for at in opinion.failed.values() for kind in at.values())
    return {
        "failed": dict(sorted(kinds.items())),
        **({"said_instead": dict(sorted(opinion.said.items()))} if opinion.said else {}),
        "bounds": {contestant: bounds(values, low, high) for contestant, values in opinion.scores.items()},
        **on_controls,
        # no list: DVC looks for a plot's data in every list of this file, and stumbles over an empty one
        "weak": weak | on_scale.pop("wrong"),
        **on_scale,
        "length_correlation": {
            contestant: bootstrap.interval(*rank_correlation(values, [len(text) for text in answers[contestant]]))
            for contestant, values in opinion.scores.items()
        },
        **({"pairwise": opinion.versus} if opinion.versus else {}),
        "scale": [low, high],
        **opinion.about,
    }


def bounds(values: np.ndarray, low: float, high: float) -> dict[str, float]:
    """The mean if every failed verdict had been the lowest possible one, and if it had been the highest."""
    return {
        "low": float(np.where(np.isnan(values), low, values).mean()),
        "high": float(np.where(np.isnan(values), high, values).mean()),
    }


def rank_correlation(values: np.ndarray, lengths: list[int]) -> Figure:
    """Spearman's correlation of scores [n] and lengths in characters [n], over rows that have a score.

    It is 0 where all scores or all lengths are alike. Ranks are those of the whole sample, also in resamples.
    """
    from scipy.stats import rankdata

    scored = ~np.isnan(values)
    x, y = np.zeros(len(values)), np.zeros(len(values))
    if scored.any():
        ranks = [rankdata(part) for part in (values[scored], np.asarray(lengths, float)[scored])]
        x[scored], y[scored] = (rank - rank.mean() for rank in ranks)

    def statistic(sums: np.ndarray) -> np.ndarray:
        n, sx, sy, sxx, syy, sxy = np.moveaxis(sums, -1, 0)
        n = np.maximum(n, 1)
        spread = np.sqrt(np.maximum((sxx - sx * sx / n) * (syy - sy * sy / n), 0))
        return np.where(spread > 1e-9, (sxy - sx * sy / n) / np.maximum(spread, 1e-9), 0.0)

    return np.stack([scored.astype(float), x, y, x * x, y * y, x * y], 1), statistic
