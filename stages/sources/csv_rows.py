"""CSV and its kin: fields between delimiters, a header row, quotes.

Python's `csv` splits records. pandas was tried and is the reference of the tests, where files are regular; it fills short
records with empty text without a word, ends records at a bare carriage return, and refuses a whole file for one open quote.
"""

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, product

from stages.common.errors import StageError
from stages.common.schema_sources import Csv
from stages.common.text_keys import shorten
from stages.sources import SourceFile
from stages.sources.encodings import lines_of, open_text, undecodable

csv.field_size_limit(1 << 24)  # characters in one field
MOST_LINES = 10_000  # of one record; a quote that does not close before is an open one
HEAD = 1 << 16  # characters by which the dialect is found out
SAMPLE = 200  # records by which the dialect and the number of columns are found out
RETURN = "\ufdd0"  # a noncharacter that stands for a bare \r while `csv` reads: there it would end a record
_BARE_RETURN = re.compile(r"\r(?!\n|\Z)")
ONE_COLUMN = "\x1f"  # stands for the delimiter where there is none
FIX = "set reader: {kind: csv, delimiter: …} in datasets.<name>.scrape.sources.<source>, or edit the file"


@dataclass(frozen=True)
class Dialect:
    """How fields are parted and quoted; a quote within quotes is doubled, or follows `escape`. `spaces`: some stand between a
    delimiter and a quote, and are no part of the field."""

    delimiter: str
    quote: str = '"'
    escape: str | None = None
    spaces: bool = False


@dataclass(slots=True)
class Record:
    """Fields of one record, and the line that it begins on, from 1; or why it cannot be split."""

    line: int
    fields: list[str]
    problem: str = ""


def read_csv(file: SourceFile, params: Csv | None = None) -> Iterator[dict]:
    """Rows under the names of the header. The delimiter is found out by the first records, unless `params` name it.

    Bad lines: a record with more or fewer fields than the others, one whose quotes do not close or hold other records, the
    header once more, as where files were put together. A header of one name more or fewer than every record is set right (see
    `_columns`).

    Raises:
        StageError: for columns of one name, and a header that cannot be set right.
    """
    delimiter = params.delimiter if params else "auto"
    try:
        with open_text(file) as text:
            head = text.read(HEAD)
            named = re.match(r"\ufeff?sep=(.)\r?\n", head)  # how Excel is told
            if named and delimiter == "auto":
                delimiter = named[1]
            dialect = _dialect(head, delimiter)
            records = _records(lines_of(text, head), dialect)
            if named:
                next(records)
            header = next((record for record in records if record.fields), None)
            if header is None:
                return
            sample = list(islice(records, SAMPLE))
            columns, missing = _columns(header, sample, file.place)
            for record in chain(sample, records):
                if is_header(record.fields, header.fields):
                    file.bad_lines.add(record.line, "the names of the columns once more")
                elif not record.problem and len(record.fields) == len(columns):
                    yield dict(zip(columns, record.fields, strict=True)) | missing
                elif record.problem or record.fields:
                    count = f"{len(record.fields)} fields, not {len(columns)}: {shorten(record.fields)}"
                    file.bad_lines.add(record.line, record.problem or count)
    except UnicodeError as error:
        raise undecodable(file, error) from None


def _records(lines: Iterator[str], dialect: Dialect) -> Iterator[Record]:
    """Every record in order. One that cannot be split is its first line alone: the next begins on the line after it."""
    waiting: deque[str] = deque()
    record: list[str] = []  # lines of the record on its way

    def feed() -> Iterator[str]:
        while len(record) < MOST_LINES:
            line = waiting.popleft() if waiting else next(lines, None)
            if line is None:
                return
            record.append(line)
            yield _BARE_RETURN.sub(RETURN, line) if "\r" in line else line

    options = {"delimiter": dialect.delimiter, "quotechar": dialect.quote, "escapechar": dialect.escape, "strict": True}
    options |= {"doublequote": dialect.escape is None, "skipinitialspace": dialect.spaces}
    number, reader = 1, csv.reader(feed(), **options)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            waiting.extendleft(reversed(record[1:]))
            yield Record(number, [], f"{error}: {shorten(record[0])}")
            number += 1
            record.clear()
            reader = csv.reader(feed(), **options)
            continue
        if fields is None:
            return
        if len(record) > 1 and _swallowed(record, dialect, len(fields)):
            yield Record(
                number, [], f"quotes around {len(record)} lines, each of which looks like a record: {shorten(record[0])}"
            )
        else:
            yield Record(
                number, [field.replace(RETURN, "\r") for field in fields] if any("\r" in line for line in record) else fields
            )
        number += len(record)
        record.clear()


def is_header(fields: list[str], header: list[str]) -> bool:
    """Whether a record is the header once more, a byte order mark before it left aside."""
    return len(fields) == len(header) and [fields[0].removeprefix("\ufeff"), *fields[1:]] == header


def _swallowed(lines: list[str], dialect: Dialect, width: int) -> bool:
    """Whether lines between two quotes are records: each quote is the only one of its line, of at least three lines, and
    each line has all delimiters of a record, no space after any, as in prose.

    A quote that someone wrote in one record, and one in a later record, make one record of all in between.
    """
    delimiters = re.compile(re.escape(dialect.delimiter) + r"(?=(\S)?)")
    behind = [delimiters.findall(line.rstrip("\r\n")) for line in lines]
    quotes = [line.count(dialect.quote) for line in lines]
    alone = len(lines) > 2 and quotes[0] == quotes[-1] == 1 and not any(quotes[1:-1])
    return width > 1 and alone and all(len(after) == width - 1 and all(after) for after in behind)


def _dialect(head: str, delimiter: str) -> Dialect:
    """The dialect that splits most records of the head into as many fields as the header has; of equal ones the commoner."""
    delimiters = [",", ";", "\t", "|"] if delimiter == "auto" else [delimiter]
    whole = head if len(head) < HEAD else head[: head.rfind("\n") + 1] or head
    best, best_share = None, 0.0
    escapes = (None, "\\") if '\\"' in whole else (None,)
    quotes = ('"',) if '"' in whole else ('"', "'")
    for escape, quote, character in product(escapes, quotes, delimiters):
        spaced = re.search(rf"{re.escape(character)} +{quote}(?!{quote})", whole) is not None
        for spaces in (True, False) if spaced else (False,):
            dialect = Dialect(character, quote, escape, spaces)
            share = _share(whole, dialect)
            if share > best_share + 1e-9:
                best, best_share = dialect, share
    return best or Dialect(ONE_COLUMN if delimiter == "auto" else delimiter)


def _share(head: str, dialect: Dialect) -> float:
    """The share of records that have the commonest number of fields, at least two; less where the header has another number."""
    records = [record for record in islice(_records(lines_of(None, head), dialect), SAMPLE) if record.fields or record.problem]
    if not records or len(records[0].fields) < 2:
        return 0.0
    header = len(records[0].fields)
    widths = Counter(len(record.fields) for record in records[1:] if not record.problem)
    if not widths:
        return 0.5
    width, count = widths.most_common(1)[0]
    share = count / len(records[1:])
    return share if width == header else 0.9 * share if abs(width - header) == 1 else 0.0


def _columns(header: Record, sample: list[Record], place: str) -> tuple[list[str], dict[str, str]]:
    """The name of each field of the records, and the columns that no record has, empty.

    A header of one name fewer: the last field is nameless where it is always empty (a delimiter ends each line), else the first
    is, if it numbers or names the rows. A header of one name more: a nameless last or first one goes; else the last column
    has no fields.
    """
    names = [name.strip() for name in header.fields]
    where = f"{place} line {header.line}"
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):  # several may be unnamed
        raise StageError(
            where, f"columns named twice: {', '.join(repeated)}", "distinct column names", "rename them in the source"
        )
    records = [record.fields for record in sample if record.fields]
    widths = {len(fields) for fields in records}
    if len(records) < 2 or len(widths) != 1 or abs(widths.copy().pop() - len(names)) != 1:
        return names, {}
    if len(records[0]) < len(names):
        if "" not in (names[-1], names[0]):
            return names[:-1], {names[-1]: ""}
        return (names[:-1] if names[-1] == "" else names[1:]), {}
    if not any(fields[-1].strip() for fields in records):
        return [*names, ""], {}
    first = [fields[0] for fields in records]
    if len(set(first)) == len(first) and not any(fields[1].startswith(" ") for fields in records):
        return ["", *names], {}
    raise StageError(where, f"{len(names)} names over records of {len(records[0])} fields", "a name for each field", FIX)
