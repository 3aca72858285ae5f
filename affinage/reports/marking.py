"""Answers to be marked by people who do not see whose they are, as a table to fill in, and what was filled in.

One line of the file to fill in holds a question, the expected answer and two answers, the tuned model's and its rival's,
in an order drawn for each row; rows are shuffled, too. `mark_a` and `mark_b` take 1 (useless) to 5 (as good as the expected
answer), `preferred` takes a, b or tie; what is left empty does not count. Whose an answer is follows from its text.
"""

import csv
import io
import random
from dataclasses import dataclass
from pathlib import Path

from affinage.reports.results import TUNED, Results, Row
from stages.common.errors import StageError, shorten
from stages.common.files import atomic_file, clean_text
from stages.common.text_keys import folded_key
from stages.judging.marked import FORMULA, GUARD, bare, read_level

COLUMNS = ("row", "question", "expected", "answer_a", "answer_b", "mark_a", "mark_b", "preferred", "remark")
TIE = "tie"
FEWEST = 2  # marks of which anything can be said


def sheet(results: Results, rival: str, rows: int, seed: int) -> list[dict[str, str]]:
    """At most `rows` lines to fill in, drawn and ordered by `seed`."""
    lines = []
    for row, (first, second) in drawn(results, rival, rows, seed):
        texts = {
            "row": row.id,
            "question": "\n\n".join(text for _, text in row.turns),
            "expected": row.expected,
            "answer_a": row.text_of(first),
            "answer_b": row.text_of(second),
        }
        lines.append({name: _guarded(texts.get(name, "")) for name in COLUMNS})
    return lines


def drawn(results: Results, rival: str, rows: int, seed: int) -> list[tuple[Row, list[str]]]:
    """At most `rows` rows that both answered, and both contestants in an order of their own."""
    dice = random.Random(seed)
    answered = [row for row in results.judged if TUNED in row.answers and rival in row.answers]
    return [(row, dice.sample((TUNED, rival), 2)) for row in dice.sample(answered, min(rows, len(answered)))]


def _guarded(text: str) -> str:
    return GUARD + text if text.startswith(FORMULA) else text


def write_sheet(path: Path, lines: list[dict[str, str]]) -> None:
    """The lines as CSV, with the mark by which spreadsheets know UTF-8."""
    with atomic_file(path) as file:
        file.write("\ufeff")
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows({name: clean_text(text) for name, text in line.items()} for line in lines)


@dataclass(frozen=True)
class Marks:
    """What a person made of one row: marks (1 to 5) by contestant, and whom they prefer (or `tie`), as far as given."""

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
    if len(filled) < FEWEST:
        raise StageError(
            path, f"{len(filled)} of {len(marked)} rows filled in", f"at least {FEWEST}", "fill in mark_a, mark_b, preferred"
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
    row = rows.get(bare(line["row"]))
    where = f"{where}, row {shorten(line['row'])}"
    if row is None:
        raise StageError(where, "no such test row", "a row of the answers that were exported", "name their revision with --rev")
    sides = {side: _whose(line[f"answer_{side}"], row, rival, where) for side in "ab"}
    if sides["a"] == sides["b"]:  # the same text twice: either may be the tuned model's
        sides = {"a": TUNED, "b": rival}
    marks = {contestant: read_level(line[f"mark_{side}"], f"{where}, mark_{side}") for side, contestant in sides.items()}
    preferred = line["preferred"].strip().casefold()
    if preferred not in ("", TIE, *sides):
        raise StageError(f"{where}, preferred", shorten(line["preferred"]), "a, b, tie or nothing", "edit the file")
    return Marks(row, {contestant: mark for contestant, mark in marks.items() if mark}, {**sides, TIE: TIE}.get(preferred))


def _whose(text: str, row: Row, rival: str, where: str) -> str:
    for contestant in (TUNED, rival):
        if folded_key(bare(text)) == folded_key(clean_text(row.text_of(contestant))):
            return contestant
    raise StageError(
        where,
        f"the answer {shorten(text, 50)}",
        f"what {TUNED} or {rival} answered",
        "name the revision that was exported with --rev, or the contestant with --against",
    )
