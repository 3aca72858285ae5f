"""Reviews in the shape of the Kaggle set "Edmunds-Consumer Car Ratings and Reviews", one CSV a brand.

Traps of the real files: a nameless index column, a nameless empty last one, bare `\\r` inside fields, line ends of either
kind, columns shifted by a missing or an additional field, ratings in words, quotes that never close. Every record comes out,
in order; one that cannot be trusted says so in `problem` and is neither mended nor guessed at. Authors stay behind.
"""

import csv
import re
from collections.abc import Iterator

from stages.common.errors import StageError
from stages.common.text_keys import shorten
from stages.sources import SourceFile
from stages.sources.encodings import lines_of, open_text, undecodable

csv.field_size_limit(1 << 24)  # characters in one field

COLUMNS = {"date": "Review_Date", "vehicle": "Vehicle_Title", "title": "Review_Title", "review": "Review", "rating": "Rating"}
AUTHOR = "Author_Name"
START = re.compile(r'(?:\d*,)?"?\s?on \d\d/\d\d/\d\d ')  # how a record begins: an index, a date
DATE = re.compile(r"on \d\d/\d\d/\d\d\b")
VEHICLE = re.compile(r"(?:19|20)\d\d\b")
RATING = re.compile(r"(\d+(?:\.\d+)?|one|two|three|four|five)(?:\s*(?:stars?|/\s*5|out of (?:5|five)))?")
WORDS = {"one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0}
EMPTY = {"", "na", "n/a", "none", "null"}
RETURN, NEWLINE = "\ufdd0", "\ufdd1"  # stand for line ends in fields while the csv module reads: noncharacters


def read_reviews_csv(file: SourceFile, params: None = None) -> Iterator[dict]:
    """Rows `date, vehicle, title, review` (as they stand), `rating` (1 to 5, or None), `problem` and `note` ("" for none).

    `problem` says why a record is not to be used, after "; " with what it holds; `note` what is odd about one that is.

    Raises:
        StageError: where the columns are not those of the set, or the bytes not in `encoding`.
    """
    try:
        with open_text(file) as text:
            lines = (line.rstrip("\n").removesuffix("\r") for line in lines_of(text))
            header = _split(next(lines, ""), file.place, 0)
            if not header:
                return
            missing = [name for name in COLUMNS.values() if header.count(name) != 1]
            if missing:
                raise StageError(
                    f"{file.place} line 1",
                    f"columns {shorten(header, 200)}",
                    f"each once: {', '.join(COLUMNS.values())}",
                    "rename the columns, or set the source's reader to csv",
                )
            for number, (record, closed) in enumerate(_records(lines), 1):
                yield _row(header, _split(record, file.place, number), closed)
    except UnicodeError as error:
        raise undecodable(file, error) from None


def _records(lines: Iterator[str]) -> Iterator[tuple[str, bool]]:
    """Each record's text, and whether its quotes close. One that does not ends where the next record begins."""
    record: list[str] = []
    quotes = 0
    for line in lines:
        if record and START.match(line):
            yield "\n".join(record), False
            record, quotes = [], 0
        record.append(line)
        quotes += line.count('"')
        if quotes % 2 == 0:
            if any(part.strip() for part in record):
                yield "\n".join(record), True
            record, quotes = [], 0
    if record:
        yield "\n".join(record), False


def _split(record: str, place: str, number: int) -> list[str]:
    """The fields of one record; none where there is no text."""
    text = record.replace("\r", RETURN).replace("\n", NEWLINE)
    try:
        fields = next(csv.reader([text]), [])
    except csv.Error as error:
        raise StageError(f"{place} record {number}", str(error), "CSV as in RFC 4180", "edit the record") from None
    return [field.replace(RETURN, "\r").replace(NEWLINE, "\n") for field in fields]


def _row(header: list[str], fields: list[str], closed: bool) -> dict:
    named = dict(zip(header, fields, strict=False))
    row: dict = {ours: named.get(theirs, "") for ours, theirs in COLUMNS.items()}
    row["rating"], note = _rating(row["rating"])
    problem = "a quote never closes" if not closed else _shift(header, fields, named)
    if not problem and row["review"].strip().lower() in EMPTY:
        problem = f"empty review; {row['review'].strip()!r}" if row["review"].strip() else "empty review"
    return row | {"problem": problem, "note": note}


def _rating(text: str) -> tuple[float | None, str]:
    """The number of stars, and what is odd about it."""
    stripped = text.strip().lower()
    if not stripped:
        return None, "no rating"
    match = RATING.fullmatch(stripped)
    value = None if match is None else WORDS.get(match[1]) or float(match[1])
    if value is None or not 1 <= value <= 5:
        return None, f"rating {shorten(text, 40)}"
    return value, "" if stripped == match[1] and stripped not in WORDS else f"rating {shorten(text, 40)} read as {value:g}"


def _shift(header: list[str], fields: list[str], named: dict[str, str]) -> str:
    """Why the columns of a record do not hold what their names say; "" if they seem to."""
    if len(fields) != len(header):
        return f"shifted columns; {len(fields)} fields, the header has {len(header)}"
    if named.get("", "").strip() and header[-1] == "":
        return f"shifted columns; {shorten(named[''], 40)} after the last named one"
    for column, pattern in ((COLUMNS["date"], DATE), (COLUMNS["vehicle"], VEHICLE)):
        if not pattern.match(named[column].strip()):
            return f"shifted columns; {column} holds {shorten(named[column], 40)}"
    rating = named[COLUMNS["rating"]].strip()
    if len(rating) > 40:
        return f"shifted columns; {COLUMNS['rating']} holds {shorten(rating, 40)}"
    if not rating and RATING.fullmatch(named[COLUMNS["review"]].strip().lower()):
        return f"shifted columns; {COLUMNS['review']} holds {shorten(named[COLUMNS['review']], 40)}"
    return ""
