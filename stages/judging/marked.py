"""Marks that your own people gave: read from a directory, matched by text, and used to calibrate a judge's scores.

The files are tables that `affinage marks export` writes and people fill in (`*.csv`), and what its page saves (`*.json`). A
mark belongs to the texts of a question, an expected answer and an answer. Whose answer it was does not matter.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from stages.common.errors import StageError, shorten
from stages.common.text_keys import text_key
from stages.judging.controls import Item
from stages.judging.intervals import Bootstrap

LEVELS = 5  # marks are 1 (useless) to 5 (as good as the expected answer)
FEWEST = 40  # marks from which a calibration is made
FOLDS = 5
PRIOR = 4.0  # of a Gaussian about "as it is", in marks: few marks move little
GUARD, FORMULA = "'", ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute what begins so
FORMAT = "affinage marks"


@dataclass(frozen=True)
class Mark:
    """One answer and what a person made of it: 0 (useless) to 1 (as good as the expected answer)."""

    texts: Item
    value: float
    file: str


def read_marks(folder: Path) -> list[Mark]:
    """All marks of a directory. Several marks of one answer are averaged.

    Raises:
        StageError: if a cell holds no mark; it names the file and the line.
    """
    files = sorted([*folder.glob("*.csv"), *folder.glob("*.json")])
    by_text: dict[tuple[str, ...], list[Mark]] = {}
    for file in files:
        for texts, level in _table(file) if file.suffix == ".csv" else _saved(file):
            by_text.setdefault(tuple(map(text_key, texts)), []).append(Mark(texts, (level - 1) / (LEVELS - 1), file.name))
    return [Mark(same[0].texts, float(np.mean([mark.value for mark in same])), same[0].file) for same in by_text.values()]


def bare(text: str) -> str:
    """A cell without the guard against formulas."""
    return text.removeprefix(GUARD) if text[1:].startswith(FORMULA) else text


def read_level(text: str, where: str) -> int | None:
    """The level of 1 to LEVELS that a cell holds; None where the cell is empty. `where` names the cell in errors."""
    text = text.strip()
    if text and text not in [str(level) for level in range(1, LEVELS + 1)]:
        raise StageError(where, shorten(text), f"a whole number from 1 to {LEVELS}, or nothing", "edit the file")
    return int(text) if text else None


def _table(file: Path) -> Iterator[tuple[Item, int]]:
    text = file.read_text(encoding="utf-8-sig")
    head = text.partition("\n")[0]
    for number, line in enumerate(csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count)), 2):
        for side in "ab":
            columns = ("question", "expected", f"answer_{side}")
            if missing := [name for name in (*columns, f"mark_{side}") if name not in line]:
                raise StageError(file, f"no column {', '.join(missing)}", "a table of `affinage marks export`", "edit the file")
            if level := read_level(line[f"mark_{side}"] or "", f"{file} row {number}, mark_{side}"):
                yield tuple(bare(line[name] or "") for name in columns), level


def _saved(file: Path) -> Iterator[tuple[Item, int]]:
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StageError(file, f"no JSON: {error}", "what the page of `affinage marks export` saved", "save it again") from None
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        raise StageError(file, "another kind of file", f'"format": "{FORMAT}"', "keep only files of marks in this directory")
    for number, entry in enumerate(saved["marks"], 1):
        if level := read_level(str(entry.get("mark") or ""), f"{file}, mark {number}"):
            yield (entry["question"], entry["expected"], entry["answer"]), level


# what marks make of scores ---------------------------------------------------------------------------------------------


def odds(scores: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Log-odds of scores within their scale."""
    low, high = scale
    share = np.clip((scores - low) / (high - low), 0.005, 0.995)
    return np.log(share / (1 - share))


def fit(scores: np.ndarray, marks: np.ndarray) -> tuple[float, float]:
    """Slope (not negative) and level that turn log-odds [n] into people's marks [n]. Both stay near 1 and 0 for few marks."""

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        predicted = point[0] * scores + point[1]
        away = point - (1, 0)
        value = (np.logaddexp(0, predicted) - marks * predicted).sum() + PRIOR * (away**2).sum() / 2
        slope = 1 / (1 + np.exp(-predicted)) - marks
        return value, np.array([slope @ scores, slope.sum()]) + PRIOR * away

    optimum = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)])
    return float(optimum.x[0]), float(optimum.x[1])


class Calibration:
    """A judge's scores on the scale of your people's marks.

    Args:
        marks: of answers that the judge has scored [n].
        scores: of the same answers, by the judge [n].
        scale: the lowest and the highest score.
    """

    def __init__(self, marks: list[Mark], scores: np.ndarray, scale: tuple[float, float]):
        self.scale, self.marks = scale, np.array([mark.value for mark in marks])
        self.scores = odds(scores, scale)
        questions = [text_key(mark.texts[0]) for mark in marks]
        self.order = {question: place for place, question in enumerate(dict.fromkeys(questions))}
        self.groups = np.array([self.order[question] for question in questions])
        self.folds = min(FOLDS, len(self.order))
        self.whole = fit(self.scores, self.marks)
        self.without = [self._fit(self.groups % self.folds != fold) for fold in range(self.folds)]
        self.held_out = self._apply(self.scores, questions)

    def _fit(self, there: np.ndarray) -> tuple[float, float]:
        return fit(self.scores[there], self.marks[there])

    def _apply(self, values: np.ndarray, questions: list[str]) -> np.ndarray:
        places = [self.order.get(question) for question in questions]
        fits = np.array([self.whole if place is None else self.without[place % self.folds] for place in places])
        return 100 / (1 + np.exp(-(fits[:, 0] * values + fits[:, 1])))

    def apply(self, scores: np.ndarray, questions: list[str]) -> np.ndarray:
        """Scores of 0 to 100 [n].

        An answer to a marked question is scored by the marks of other questions. Where the judge failed, nan stays nan.
        """
        return self._apply(odds(scores, self.scale), [text_key(question) for question in questions])

    def describe(self, bootstrap: Bootstrap) -> dict:
        """How far judge and marks agree, with intervals by question, and what the calibration does."""
        plain = 100 / (1 + np.exp(-self.scores))
        agreement = self._intervals(bootstrap.over(len(self.order)), plain)
        apart = agreement["mark_less_score"]
        return {
            "marks": len(self.marks),
            "questions": len(self.order),
            **agreement,
            "disagree": bool(apart["low"] > 0 or apart["high"] < 0),
            "slope": self.whole[0],
            "level": self.whole[1],
        }

    def _intervals(self, bootstrap: Bootstrap, plain: np.ndarray) -> dict:
        by_question = [np.flatnonzero(self.groups == place) for place in range(len(self.order))]

        def of(draw: np.ndarray) -> list[float]:
            rows = np.concatenate([by_question[place] for place in draw])
            marks, calibrated = 100 * self.marks[rows], self.held_out[rows]
            return [
                rank_agreement(plain[rows], marks),
                float(np.abs(plain[rows] - marks).mean()),
                float(np.abs(calibrated - marks).mean()),
                float((marks - plain[rows]).mean()),
            ]

        names = ("spearman", "error", "error_calibrated", "mark_less_score")
        low, high = np.percentile([of(draw) for draw in bootstrap.draws], bootstrap.bounds, axis=0)
        values = of(np.arange(len(by_question)))
        return {
            name: {"value": value, "low": float(least), "high": float(most)}
            for name, value, least, most in zip(names, values, low, high, strict=True)
        }


def rank_agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation. Ties share their rank; it is 0 where all values of one side are the same."""
    from scipy.stats import rankdata

    x, y = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    spread = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / spread) if spread else 0.0


def matched(marks: list[Mark], items: list[Item], scores: np.ndarray) -> tuple[list[Mark], np.ndarray]:
    """The marks of answers that were scored in this run, and these scores. Marks of other answers are stale."""
    score_of = {tuple(map(text_key, texts)): score for texts, score in zip(items, scores, strict=True) if not np.isnan(score)}
    current = [mark for mark in marks if tuple(map(text_key, mark.texts)) in score_of]
    return current, np.array([score_of[tuple(map(text_key, mark.texts))] for mark in current])


def calibration(marks: list[Mark], scores: np.ndarray, scale: tuple[float, float]) -> Calibration | None:
    """A calibration, or None where there are fewer than FEWEST marks, or all are of one question."""
    if len(marks) < FEWEST or len({text_key(mark.texts[0]) for mark in marks}) < 2:
        return None
    return Calibration(marks, scores, scale)
