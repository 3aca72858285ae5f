"""Answers to be marked by people who do not see whose they are, and how far each judge agrees with the marks.

One line of the file to fill in holds a question, the expected answer and two answers, the tuned model's and its rival's,
in an order drawn for each row; rows are shuffled, too. `mark_a` and `mark_b` take 1 (useless) to 5 (as good as the expected
answer), `preferred` takes a, b or tie; what is left empty does not count. Whose an answer is follows from its text.
"""

import csv
import io
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from affinage.reports.results import TUNED, Results, Row
from stages.common.errors import StageError, shorten
from stages.common.files import atomic_file, clean_text
from stages.common.text_keys import folded_key
from stages.judging.intervals import Bootstrap, mean, with_count

COLUMNS = ("row", "question", "expected", "answer_a", "answer_b", "mark_a", "mark_b", "preferred", "remark")
LEVELS = 5
TIE = "tie"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute what begins so
_GUARD = "'"
_FEWEST = 2


# the file to fill in --------------------------------------------------------------------------------------------------


def sheet(results: Results, rival: str, rows: int, seed: int) -> list[dict[str, str]]:
    """At most `rows` lines to fill in, drawn and ordered by `seed`."""
    lines = []
    for row, (first, second) in drawn(results, rival, rows, seed):
        texts = {
            "row": row.id,
            "question": "\n\n".join(said for _, said in row.turns),
            "expected": row.expected,
            "answer_a": row.said(first),
            "answer_b": row.said(second),
        }
        lines.append({name: _guarded(texts.get(name, "")) for name in COLUMNS})
    return lines


def drawn(results: Results, rival: str, rows: int, seed: int) -> list[tuple[Row, list[str]]]:
    """At most `rows` rows that both answered, and both contestants in an order of their own."""
    dice = random.Random(seed)
    there = [row for row in results.judged if TUNED in row.answers and rival in row.answers]
    return [(row, dice.sample((TUNED, rival), 2)) for row in dice.sample(there, min(rows, len(there)))]


def _guarded(text: str) -> str:
    return _GUARD + text if text.startswith(_FORMULA) else text


def write_sheet(path: Path, lines: list[dict[str, str]]) -> None:
    """The lines as CSV, with the mark by which spreadsheets know UTF-8."""
    with atomic_file(path) as file:
        file.write("\ufeff")
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows({name: clean_text(text) for name, text in line.items()} for line in lines)


@dataclass(frozen=True)
class Marks:
    """What a person made of one row: marks (1 to LEVELS) by contestant, and whom they prefer (or `tie`), as far as given."""

    row: Row
    marks: dict[str, int]
    preferred: str | None


def read_sheet(path: Path, results: Results, rival: str) -> list[Marks]:
    """The lines that were filled in.

    Raises:
        StageError: naming file, line and row of the first line that cannot be used.
    """
    rows = {row.id: row for row in results.judged}
    marked = [_marks(line, f"{path} line {number}", rows, rival) for number, line in _lines(path)]
    filled = [row_marks for row_marks in marked if row_marks.marks or row_marks.preferred]
    if len(filled) < _FEWEST:
        raise StageError(
            path, f"{len(filled)} of {len(marked)} rows filled in", f"at least {_FEWEST}", "fill in mark_a, mark_b, preferred"
        )
    return filled


def _lines(path: Path):
    """(number, line) of a CSV as spreadsheets write it: commas, semicolons or tabs, with or without a byte order mark."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise StageError(path, "no such file", "the marks", "affinage marks export MODEL") from None
    except UnicodeDecodeError as error:
        raise StageError(path, f"byte {error.start} is not UTF-8", "CSV in UTF-8", "save it as `CSV UTF-8`") from None
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    if missing := [name for name in COLUMNS[:-1] if name not in (reader.fieldnames or [])]:
        raise StageError(
            path, f"no column {', '.join(missing)}", f"the columns {', '.join(COLUMNS)}", "keep the first line as it was"
        )
    for line in reader:
        yield reader.line_num, {name: line.get(name) or "" for name in COLUMNS}


def _marks(line: dict[str, str], where: str, rows: dict[str, Row], rival: str) -> Marks:
    row = rows.get(_bare(line["row"]))
    where = f"{where}, row {shorten(line['row'])}"
    if row is None:
        raise StageError(where, "no such test row", "a row of the answers that were exported", "name their revision with --rev")
    sides = {side: _whose(line[f"answer_{side}"], row, rival, where) for side in "ab"}
    if sides["a"] == sides["b"]:  # the same text twice: either may be the tuned model's
        sides = {"a": TUNED, "b": rival}
    marks = {contestant: _mark(line[f"mark_{side}"], f"{where}, mark_{side}") for side, contestant in sides.items()}
    preferred = line["preferred"].strip().casefold()
    if preferred not in ("", TIE, *sides):
        raise StageError(f"{where}, preferred", shorten(line["preferred"]), "a, b, tie or nothing", "edit the file")
    return Marks(row, {contestant: mark for contestant, mark in marks.items() if mark}, {**sides, TIE: TIE}.get(preferred))


def _bare(text: str) -> str:
    return text.removeprefix(_GUARD) if text[1:].startswith(_FORMULA) else text


def _whose(text: str, row: Row, rival: str, where: str) -> str:
    for contestant in (TUNED, rival):
        if folded_key(_bare(text)) == folded_key(clean_text(row.said(contestant))):
            return contestant
    raise StageError(
        where,
        f"the answer {shorten(text, 50)}",
        f"what {TUNED} or {rival} answered",
        "name the revision that was exported with --rev, or the contestant with --against",
    )


def _mark(text: str, where: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if text not in [str(level) for level in range(1, LEVELS + 1)]:
        raise StageError(where, shorten(text), f"a whole number from 1 to {LEVELS}, or nothing", "edit the file")
    return int(text)


# agreement ------------------------------------------------------------------------------------------------------------


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


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of ranks, ties sharing theirs; 0 where one is the same throughout."""
    x, y = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    spread = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / spread) if spread else 0.0


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
    if len(both) >= _FEWEST:
        bootstrap = _bootstrap(results, len(both))
        table = _counts([[(mark - 1, level(score, low, high) - 1) for mark, score in pairs] for pairs in both], LEVELS)
        of_marks = bootstrap.interval(table, lambda sums: kappa(sums, quadratic=True))
        of_ranks = _ranks(both, bootstrap)
    if len(preferences) >= _FEWEST:
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
        return spearman(drawn[:, 0], drawn[:, 1])

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
    if len(both) >= _FEWEST:
        bootstrap = _bootstrap(results, len(both))
        tuned, other = (with_count([marks[contestant] for marks in both]) for contestant in (TUNED, rival))
        figures |= {TUNED: bootstrap.interval(tuned, mean), rival: bootstrap.interval(other, mean)}
        figures["difference"] = bootstrap.difference(tuned, other, mean)
    if len(chosen) >= _FEWEST:
        figures["preferred"] = _bootstrap(results, len(chosen)).interval(with_count(chosen), mean)
    return figures
