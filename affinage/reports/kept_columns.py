"""The columns that a dataset keeps beside question and answer, such as `topic`: what rows of a page can be narrowed by.

Answers and verdicts do not hold them. They are read from `data/<dataset>/splits/test.jsonl` at the same revision and joined by
the row's id, so that nothing has to run again. The file that a row comes from, which its id says, is a column too.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

from affinage.reports.outputs import Revision
from affinage.reports.results import Row
from stages.common.errors import StageError
from stages.common.files import clean_text

SHOWN_ELSEWHERE = frozenset(  # the page shows them itself, or they say nothing to a reader
    {"id", "task", "instruction", "input", "response", "messages", "text", "paraphrase", "weak", "group", "part", "place"}
)
FILE = "file"
MOST_OPTIONS = 50  # of a column; the rest are one option
LONGEST = 60  # characters of an option
RANGES = 4  # of a column of numbers with more different ones than MOST_OPTIONS


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        options: what can be chosen, and how many rows have it.
        places: by row id, the places of the options that it has; several where the row keeps a list.
    """

    name: str
    options: list[tuple[str, int]]
    places: dict[str, list[int]]


@dataclass(frozen=True)
class Kept:
    """The columns of a dataset, and why there are none, where the rows of the split are not at hand."""

    columns: list[Column] = field(default_factory=list)
    missing: str = ""

    def places(self, row_id: str) -> list[list[int]]:
        """By column: the places of the options that a row has."""
        return [column.places.get(row_id, []) for column in self.columns]

    def values(self, row_id: str) -> list[tuple[str, str]]:
        """(column, value in words) of a row, those that it has."""
        named = [(column.name, column.places.get(row_id, []), column.options) for column in self.columns]
        return [(name, ", ".join(options[place][0] for place in places)) for name, places, options in named if places]


def kept_columns(revision: Revision, dataset: str, rows: list[Row]) -> Kept:
    """The columns by which these rows can be narrowed: those with two values or more, of which some value repeats."""
    table = {row.id: {FILE: row.id.rpartition("#")[0]} for row in rows}
    missing = ""
    try:
        for kept in revision.rows(f"data/{dataset}/splits/test.jsonl", f"split@{dataset}"):
            if kept["id"] in table:
                table[kept["id"]] |= {name: value for name, value in kept.items() if name not in SHOWN_ELSEWHERE}
    except StageError as error:  # an old revision's, or not pulled: the page says so, and goes without
        missing = f"{error.where}: {error.found}. {error.fix}"
    names = dict.fromkeys(name for values in table.values() for name in values if name != FILE)
    columns = [_column(name, {row_id: _texts(values.get(name)) for row_id, values in table.items()}) for name in (*names, FILE)]
    return Kept([column for column in columns if column], missing)


def _texts(value: object) -> list[str]:
    """A cell as texts: of a list each, of nothing or of something nested none."""
    if isinstance(value, list):
        return list(dict.fromkeys(text for part in value if not isinstance(part, list | dict) for text in _texts(part)))
    if value is None or isinstance(value, dict):
        return []
    text = " ".join(clean_text(str(value)).split())
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return [text] if text else []


def _column(name: str, cells: dict[str, list[str]]) -> Column | None:
    counts = Counter(text for texts in cells.values() for text in texts)
    numbers = {text: number for text in counts if (number := _number(text)) is not None}
    if len(counts) > MOST_OPTIONS and len(numbers) == len(counts):
        return _ranges(name, cells, numbers)
    if len(counts) < 2 or max(counts.values()) < 2:
        return None
    ordered = sorted(counts, key=lambda text: (-counts[text], text))
    if len(ordered) > MOST_OPTIONS:
        place = {text: min(number, MOST_OPTIONS) for number, text in enumerate(ordered)}
        options = [*ordered[:MOST_OPTIONS], f"any of {len(ordered) - MOST_OPTIONS:,} others"]
    else:
        place, options = {text: number for number, text in enumerate(ordered)}, ordered
    return _counted(name, options, {row_id: [place[text] for text in texts] for row_id, texts in cells.items()})


def _ranges(name: str, cells: dict[str, list[str]], numbers: dict[str, float]) -> Column:
    """Numbers in ranges that hold about as many different ones each."""
    ordered = sorted(set(numbers.values()))
    starts = [ordered[len(ordered) * part // RANGES] for part in range(RANGES)]
    ends = [ordered[len(ordered) * part // RANGES - 1] for part in range(1, RANGES + 1)]
    place = {text: sum(start <= number for start in starts) - 1 for text, number in numbers.items()}
    options = [f"{start:g} to {end:g}" for start, end in zip(starts, ends, strict=True)]
    return _counted(name, options, {row_id: [place[text] for text in texts] for row_id, texts in cells.items()})


def _counted(name: str, options: list[str], places: dict[str, list[int]]) -> Column:
    places = {row_id: sorted(set(own)) for row_id, own in places.items()}
    counts = Counter(place for own in places.values() for place in own)
    return Column(name, [(text, counts[number]) for number, text in enumerate(options)], places)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
