"""How far scores agree with people's marks: sets of judged answers, and figures with intervals by question."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

BINS = 10
COLUMNS = ("set", "group", "question", "reference", "answer", "human")


@dataclass(frozen=True)
class Judged:
    """Answers that people marked.

    Args:
        sets: name of the set [n].
        groups: of the question [n]: the unit of every resample.
        marks: 0 to 1 [n].
        right: 1 or 0, nan where people only compared [n].
        texts: (question, expected answer, answer) [n].
    """

    sets: np.ndarray
    groups: np.ndarray
    marks: np.ndarray
    right: np.ndarray
    texts: list[tuple[str, str, str]]

    def at(self, places: np.ndarray) -> "Judged":
        """The rows where `places` [n] is true."""
        texts = [texts for texts, inside in zip(self.texts, places, strict=True) if inside]
        return Judged(self.sets[places], self.groups[places], self.marks[places], self.right[places], texts)

    def by_set(self) -> Iterator["Judged"]:
        """Each set, in their order."""
        return (self.at(self.sets == name) for name in dict.fromkeys(self.sets.tolist()))

    def items(self) -> list[tuple[str, str, str]]:
        """What a judge is given."""
        return self.texts


def read_sets(folder: Path) -> tuple[list[Path], Judged]:
    """All `*.jsonl` files of a folder whose rows have a mark of a single answer; rows of one set stand together."""
    by_set, used = defaultdict(list), []
    for file in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not rows or "answer" not in rows[0]:  # comparisons of two answers
            continue
        for number, row in enumerate(rows, 1):
            if missing := [column for column in COLUMNS if column not in row]:
                raise SystemExit(f"{file} line {number}: no {', '.join(missing)}; expected {', '.join(COLUMNS)}")
            by_set[row["set"]].append(row)
        used.append(file)
    if not by_set:
        raise SystemExit(f"{folder}: no judged answers; expected files <set>.jsonl with {', '.join(COLUMNS)}")
    rows = [row for name in by_set for row in by_set[name]]
    right = [np.nan if row.get("right") is None else float(row["right"]) for row in rows]
    return used, Judged(
        np.array([row["set"] for row in rows]),
        np.array([row["group"] for row in rows]),
        np.array([row["human"] for row in rows], float),
        np.array(right),
        [(row["question"], row["reference"], row["answer"]) for row in rows],
    )


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's; 0 where one is the same throughout."""
    x, y = x - x.mean(), y - y.mean()
    spread = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / spread) if spread > 0 else 0.0


def spearman(scores: np.ndarray, marks: np.ndarray) -> float:
    """Correlation of ranks, ties sharing theirs."""
    return correlation(rankdata(scores), rankdata(marks))


def preference(scores: np.ndarray, marks: np.ndarray, groups: np.ndarray) -> float:
    """Of pairs of answers to one question that people marked differently, the share where the scores agree; ties count half."""
    won = total = 0.0
    order = np.argsort(groups, kind="stable")
    for places in np.split(order, np.flatnonzero(groups[order][1:] != groups[order][:-1]) + 1):
        better = marks[places][:, None] > marks[places]
        over, same = scores[places][:, None] > scores[places], scores[places][:, None] == scores[places]
        won += (better * (over + 0.5 * same)).sum()
        total += better.sum()
    return won / total if total else float("nan")


def area(scores: np.ndarray, right: np.ndarray) -> float:
    """Area under the ROC curve of right answers against wrong ones; nan where there is only one kind."""
    known = ~np.isnan(right)
    ranks, good = rankdata(scores[known]), right[known] > 0.5
    if not known.any() or good.all() or not good.any():
        return float("nan")
    count = good.sum()
    return float((ranks[good].sum() - count * (count + 1) / 2) / (count * (len(good) - count)))


def calibration_error(scores: np.ndarray, marks: np.ndarray) -> float:
    """How far scores of 0 to 100 and marks lie apart, in ten bins of scores, weighted by their rows."""
    bins = np.minimum((scores / 100 * BINS).astype(int), BINS - 1)
    apart = np.bincount(bins, scores / 100 - marks, BINS)
    return float(np.abs(apart).sum() / len(marks))


def top_less_bottom(scores: np.ndarray, marks: np.ndarray) -> float:
    """Mean score of the answers of the best mark less that of the worst mark's."""
    return float(scores[marks == marks.max()].mean() - scores[marks == marks.min()].mean())


FIGURES: dict[str, Callable[[np.ndarray, Judged], float]] = {
    "spearman": lambda scores, judged: spearman(scores, judged.marks),
    "pearson": lambda scores, judged: correlation(scores, judged.marks),
    "preference": lambda scores, judged: preference(scores, judged.marks, judged.groups),
    "area": lambda scores, judged: area(scores, judged.right),
    "calibration_error": lambda scores, judged: calibration_error(scores, judged.marks),
    "top_less_bottom": lambda scores, judged: top_less_bottom(scores, judged.marks),
    "under_5": lambda scores, judged: float((scores < 5).mean()),
    "over_95": lambda scores, judged: float((scores > 95).mean()),
}


def agreement(judged: Judged, scores: np.ndarray, resamples: int, seed: int = 1) -> dict[str, dict[str, dict[str, float]]]:
    """By set, each figure with its 95 % interval (`value`, `low`, `high`), questions resampled."""
    table = {}
    for name in dict.fromkeys(judged.sets.tolist()):
        of_set = judged.sets == name
        table[name] = _of_set(judged.at(of_set), scores[of_set], resamples, seed)
    return table


def _of_set(judged: Judged, scores: np.ndarray, resamples: int, seed: int) -> dict[str, dict[str, float]]:
    places = defaultdict(list)
    for place, group in enumerate(judged.groups):
        places[group].append(place)
    by_question = [np.array(rows) for rows in places.values()]
    dice = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        chosen = dice.integers(0, len(by_question), len(by_question))
        rows = np.concatenate([by_question[question] for question in chosen])
        # a question that is drawn twice is two questions: answers to one are not compared with those to its copy
        copies = np.concatenate([np.full(len(by_question[question]), turn) for turn, question in enumerate(chosen)])
        sample = Judged(judged.sets[rows], copies, judged.marks[rows], judged.right[rows], [])
        drawn.append([figure(scores[rows], sample) for figure in FIGURES.values()])
    values = [figure(scores, judged) for figure in FIGURES.values()]
    low, high = np.nanpercentile(np.array(drawn), (2.5, 97.5), axis=0) if resamples else (values, values)
    return {
        name: {"value": float(value), "low": float(least), "high": float(most)}
        for name, value, least, most in zip(FIGURES, values, low, high, strict=True)
    }
