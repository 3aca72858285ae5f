"""Where the files of a dataset come from, and the readers that make rows of them.

To read one file: `for row in rows_of(file, "csv")`, with `file = SourceFile(path, encoding="auto")`. `file.bad_lines` then
counts what was left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stages.common.errors import StageError


@dataclass
class BadLines:
    """Lines that a reader could not read and left out.

    Args:
        count: how many.
        first: the first three, each with its line, what was found and what was expected.
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, line: int, problem: str) -> None:
        """Count one more; `line` is the file's, from 1."""
        self.count += 1
        if len(self.first) < 3:
            self.first.append(f"line {line}: {problem}")


@dataclass
class SourceFile:
    """One file of a source, there to be read until the next one is asked for.

    Args:
        path: where its bytes lie, perhaps in a cache.
        name: its name in the source, a relative path with `/`.
        place: what errors call it: its path, `archive: member` or its address.
        encoding: of its text; `auto` finds it out.
        charset: what a server said its text is in; "" where nothing was said.
        origin: what `sources.json` keeps beside name, sha256, rows and bytes.
        bad_lines: what its reader left out.
    """

    path: Path
    name: str = ""
    place: str = ""
    encoding: str = "utf-8"
    charset: str = ""
    origin: dict = field(default_factory=dict)
    bad_lines: BadLines = field(default_factory=BadLines)

    def __post_init__(self):
        self.name = self.name or self.path.name
        self.place = self.place or str(self.path)


Reader = Callable[..., Iterator[dict]]  # (file, the reader's parameters or None) -> rows
Fetcher = Callable[..., Iterator[SourceFile]]  # (dataset, parameters, local directory, counter of files left out) -> files


def _local() -> Fetcher:
    from stages.sources.local import fetch

    return fetch


def _web() -> Fetcher:
    from stages.sources.web import fetch

    return fetch


def _hub() -> Fetcher:
    from stages.sources.hub import fetch

    return fetch


def _kaggle() -> Fetcher:
    from stages.sources.kaggle import fetch

    return fetch


FETCHERS: dict[str, Callable[[], Fetcher]] = {"local": _local, "web": _web, "hub": _hub, "kaggle": _kaggle}


def _csv() -> Reader:
    from stages.sources.csv_rows import read_csv

    return read_csv


def _parquet() -> Reader:
    from stages.sources.parquet_rows import read_parquet

    return read_parquet


def _json() -> Reader:
    from stages.sources.json_rows import read_json

    return read_json


def _jsonl() -> Reader:
    from stages.sources.json_rows import read_jsonl

    return read_jsonl


def _xml() -> Reader:
    from stages.sources.xml_rows import read_xml

    return read_xml


def _text() -> Reader:
    from stages.sources.documents import read_text

    return read_text


def _excel() -> Reader:
    from stages.sources.excel import read_excel

    return read_excel


def _datasets() -> Reader:
    from stages.sources.hub_rows import read_datasets

    return read_datasets


def _medquad() -> Reader:
    from stages.sources.medquad import read_medquad

    return read_medquad


def _reviews_csv() -> Reader:
    from stages.sources.reviews_csv import read_reviews_csv

    return read_reviews_csv


def _lines() -> Reader:
    from stages.sources.names import read_lines

    return read_lines


def _html_list() -> Reader:
    from stages.sources.names import read_html_list

    return read_html_list


def _html_table() -> Reader:
    from stages.sources.names import read_html_table

    return read_html_table


def _html_xpath() -> Reader:
    from stages.sources.names import read_html_xpath

    return read_html_xpath


def _html_rows() -> Reader:
    from stages.sources.html_rows import read_html_rows

    return read_html_rows


def _html_items() -> Reader:
    from stages.sources.html_rows import read_html_items

    return read_html_items


READERS: dict[str, Callable[[], Reader]] = {
    "csv": _csv,
    "parquet": _parquet,
    "json": _json,
    "json_records": _json,
    "jsonl": _jsonl,
    "jsonl_records": _jsonl,
    "xml": _xml,
    "text": _text,
    "excel": _excel,
    "datasets": _datasets,
    "medquad": _medquad,
    "reviews_csv": _reviews_csv,
    "lines": _lines,
    "html_list": _html_list,
    "html_table": _html_table,
    "html_xpath": _html_xpath,
    "html_rows": _html_rows,
    "html_items": _html_items,
}
BINARY = ("parquet", "medquad", "xml", "excel", "datasets")  # readers that no encoding concerns


def rows_of(file: SourceFile, reader) -> Iterator[dict]:
    """The rows of a file, one at a time. `reader`: a name of READERS, or a reader's parameters with that name as `kind`.

    Raises:
        StageError: where the file cannot be read, or more of its lines are bad than good.
    """
    name = reader if isinstance(reader, str) else reader.kind
    from stages.sources.opaque import refuse

    refuse(file, text=name not in BINARY)
    if file.encoding == "auto" and name not in BINARY:
        from stages.sources.encodings import detect

        file.encoding = detect(file)
    count = 0
    for row in READERS[name]()(file, None if isinstance(reader, str) else reader):
        count += 1
        yield row
    if file.bad_lines.count > count:
        raise StageError(
            file.place,
            f"{file.bad_lines.count} bad lines and {count} rows; {'; '.join(file.bad_lines.first)}",
            "more rows than bad lines",
            "edit datasets.<name>.scrape.sources.<source>.reader, or the file",
        )
