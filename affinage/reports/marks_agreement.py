"""How far each judge agrees with the marks that people gave, and what the marks themselves say, with intervals."""

from dataclasses import dataclass

import numpy as np

from affinage.reports.marking import FEWEST, TIE, Marks
from affinage.reports.results import TUNED, Results, Row
from stages.judging.intervals import Bootstrap, mean, with_count
from stages.judging.marked import LEVELS, rank_agreement


def kappa(sums: np.ndarray, quadratic: bool) -> np.ndarray:
    """Cohen's kappa (1960) of tables of counts [..., k * k]; with quadratic weights (1968), a miss by two levels counts four
    times one by one. 0 where one of the two always says the same: nothing shows beyond chance then."""
    size = int(sums.shape[-1] ** 0.5)
    table = sums.reshape(*sums.shape[:-1], size, size)
    places = np.arange(size)
    weights = (places[:, None] - places) ** 2.0 if quadratic else (places[:, None] != places).astype(float)
    total = np.maximum(table.sum((-2, -1)), 1)
    seen = (table * weights).sum((-2, -1)) / total
    by_chance = (table.sum(-1)[..., :, None] * table.sum(-2)[..., None, :] * weights).sum((-2, -1)) / total**2
    return np.where(by_chance > 0, 1 - seen / np.where(by_chance > 0, by_chance, 1), 0.0)


def _counts(pairs: list[list[tuple[int, int]]], size: int) -> np.ndarray:
    """Tables [n, size * size] of each row's pairs of places."""
    tables = np.zeros((len(pairs), size, size))
    for table, of_row in zip(tables, pairs, strict=True):
        for first, second in of_row:
            table[first, second] += 1
    return tables.reshape(len(pairs), -1)


def level(score: float, low: float, high: float) -> int:
    """A judge's score on the scale of the marks, from 1: LEVELS classes of equal width from `low` to `high`."""
    if high - low == LEVELS - 1:  # a rubric of as many marks
        return round(score - low) + 1
    return min(LEVELS, int((score - low) / (high - low) * LEVELS) + 1)


@dataclass(frozen=True)
class Agreement:
    """A judge against the marks: figures with intervals, None where there was nothing to compare; how many answers and rows."""

    judge: str
    answers: int
    kappa: dict | None
    spearman: dict | None
    rows: int
    preference: dict | None


def agreement(marked: list[Marks], results: Results, rival: str, judge: str) -> Agreement:
    """How far one judge agrees. Verdicts that failed do not count. Rows are resampled, both answers of one together."""
    low, high = results.span(judge)
    both, preferences = [], []
    for row_marks in marked:
        scores = row_marks.row.scores.get(judge, {})
        both.append(
            [(mark, scores[contestant]) for contestant, mark in row_marks.marks.items() if scores.get(contestant) is not None]
        )
        preferences.append((row_marks.preferred, _prefers(row_marks.row, results, rival, judge)))
    both = [pairs for pairs in both if pairs]
    preferences = [pair for pair in preferences if None not in pair]
    of_marks = of_ranks = of_preferences = None
    if len(both) >= FEWEST:
        bootstrap = _bootstrap(results, len(both))
        table = _counts([[(mark - 1, level(score, low, high) - 1) for mark, score in pairs] for pairs in both], LEVELS)
        of_marks = bootstrap.interval(table, lambda sums: kappa(sums, quadratic=True))
        of_ranks = _ranks(both, bootstrap)
    if len(preferences) >= FEWEST:
        places = (TUNED, rival, TIE)
        table = _counts(
            [[(places.index(of_person), places.index(of_judge))] for of_person, of_judge in preferences], len(places)
        )
        of_preferences = _bootstrap(results, len(preferences)).interval(table, lambda sums: kappa(sums, quadratic=False))
    return Agreement(judge, sum(map(len, both)), of_marks, of_ranks, len(preferences), of_preferences)


def _bootstrap(results: Results, rows: int) -> Bootstrap:
    options = results.params["judge"]
    return Bootstrap(rows, options["bootstrap"], options["confidence"], options["seed"])


def _ranks(pairs: list[list[tuple[int, float]]], bootstrap: Bootstrap) -> dict:
    def of(places: np.ndarray) -> float:
        drawn = np.array([pair for place in places for pair in pairs[place]], float)
        return rank_agreement(drawn[:, 0], drawn[:, 1])

    low, high = np.percentile([of(draw) for draw in bootstrap.draws], bootstrap.bounds)
    return {"value": of(np.arange(len(pairs))), "low": float(low), "high": float(high)}


def _prefers(row: Row, results: Results, rival: str, judge: str) -> str | None:
    """Whom a judge prefers: by its comparison in both orders where it made one with this rival, else by the higher score."""
    versus = results.said_of(judge).get("pairwise") or {}
    if versus.get("over") == rival:
        return {TUNED: TUNED, "base": rival, TIE: TIE}.get((row.pairs.get(judge) or {}).get("winner"))
    tuned, other = (row.scores.get(judge, {}).get(contestant) for contestant in (TUNED, rival))
    if tuned is None or other is None:
        return None
    return TIE if tuned == other else TUNED if tuned > other else rival


def opinion(marked: list[Marks], results: Results, rival: str) -> dict[str, dict | None]:
    """What the marks themselves say: the mean mark of each, the mean difference, and the share that prefers tuned (a tie
    counts half), with intervals."""
    both = [row_marks.marks for row_marks in marked if len(row_marks.marks) == 2]
    chosen = [{TUNED: 1.0, rival: 0.0, TIE: 0.5}[row_marks.preferred] for row_marks in marked if row_marks.preferred]
    figures: dict[str, dict | None] = dict.fromkeys((TUNED, rival, "difference", "preferred"))
    if len(both) >= FEWEST:
        bootstrap = _bootstrap(results, len(both))
        tuned, other = (with_count([marks[contestant] for marks in both]) for contestant in (TUNED, rival))
        figures |= {TUNED: bootstrap.interval(tuned, mean), rival: bootstrap.interval(other, mean)}
        figures["difference"] = bootstrap.difference(tuned, other, mean)
    if len(chosen) >= FEWEST:
        figures["preferred"] = _bootstrap(results, len(chosen)).interval(with_count(chosen), mean)
    return figures
