"""How the files are read: the readers that fit them, their encoding, and the first rows that each reader gives."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile

from affinage.adding.kinds import MARKDOWN, head_of
from affinage.adding.material import LOOKED_AT, Material, typed
from affinage.adding.structure import json_paths, jsonl_paths, xml_readers
from stages.common.errors import StageError
from stages.sources import SourceFile, rows_of
from stages.sources.encodings import detect, open_text
from stages.sources.reviews_csv import COLUMNS as REVIEWS

ROWS = 500  # rows of the first file by which columns are known
MORE = 20  # rows of each file after it
WHOLE = 1 << 28  # bytes of a file that is read whole to tell its encoding; of a larger one its head is
TEXTS = ("csv", "json", "jsonl", "html", "text")  # kinds that an encoding concerns


@dataclass
class Reading:
    """One way to read the files.

    Args:
        reader: a name, or parameters with `kind`.
        rows: the first rows.
        columns: of each file the names of its columns.
        bad_lines: how many of these lines could not be read.
    """

    reader: str | dict
    rows: list[dict] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict)
    bad_lines: int = 0

    @property
    def kind(self) -> str:
        return self.reader if isinstance(self.reader, str) else self.reader["kind"]

    @property
    def at(self) -> str:
        """Where in the file its rows lie, as `--rows` takes it."""
        named = {} if isinstance(self.reader, str) else self.reader
        if self.kind == "html_items":
            return "lists"
        at = next((named[key] for key in ("at", "rows", "sheet", "column", "table") if key in named), "")
        return ", ".join(at) if isinstance(at, list) else str(at)

    @property
    def shared(self) -> list[str]:
        """The columns that every file has."""
        first, *others = self.columns.values() or [[]]
        return [name for name in first if all(name in other for other in others)]


def readings(material: Material, defaults: dict, at: str) -> tuple[list[Reading], str]:
    """The readers that fit, those of outer rows first, and the encoding of the files.

    Args:
        at: what `--rows` says; "" for nothing.

    Raises:
        StageError: where no reader gives a row.
    """
    ways: list[Reading] = []
    encodings, errors, number = [], [], 0
    for number, file in enumerate(islice(material.files(defaults), LOOKED_AT + 1)):
        if number == LOOKED_AT:
            break
        if material.kind in TEXTS:
            encodings.append(encoding_of(file))
            file.encoding = by_head(file) if encodings[-1] == "auto" else encodings[-1]
        if not number:
            ways = [Reading(reader) for reader in readers(file, material.kind, at, defaults)]
        for way in list(ways):
            try:
                _read(way, file, ROWS if not number else MORE, defaults)
            except StageError as error:
                errors.append(error)
                ways.remove(way)
        if not ways:
            raise errors[-1] if errors else _without_rows(material, at)
    ways = [way for way in ways if way.rows]
    if not ways:
        raise _without_rows(material, at)
    same = len(set(encodings)) < 2 and number < LOOKED_AT
    return ways, (encodings or [""])[0] if same or not encodings else "auto"


def _without_rows(material: Material, at: str) -> StageError:
    where = f"{material.path or material.name}{f' at {at}' if at else ''}"
    fix = "look at the file; --rows says where its rows lie"
    return StageError(where, f"no row ({material.kind})", "at least one row", fix)


def _read(way: Reading, file: SourceFile, most: int, defaults: dict) -> None:
    """Look at the first rows of a file."""
    own, names = replace(file, bad_lines=type(file.bad_lines)()), {}
    for row in islice(rows_of(own, reader_of(way.reader, defaults)), most):
        names |= dict.fromkeys(row)
        if len(way.rows) < ROWS:
            way.rows.append(row)
    if names:
        way.columns[file.name] = list(names)
    way.bad_lines += own.bad_lines.count


def reader_of(reader: str | dict, defaults: dict):
    """A reader as `rows_of` takes it, filled in from the defaults."""
    section = {"kind": "local", "files": "*", "columns": {"name": "name"}, "reader": reader}
    return typed(section, defaults).reader


def rows_of_all(new: Material, way: Reading, defaults: dict) -> Iterator[dict]:
    """The rows of all files; of what is fetched, the first rows."""
    if new.path is None:
        yield from way.rows
        return
    with closing(new.files(defaults)) as files:
        for file in files:
            file.encoding = "auto" if new.kind in TEXTS else file.encoding
            yield from rows_of(file, reader_of(way.reader, defaults))


def encoding_of(file: SourceFile) -> str:
    """The encoding of a file; auto where only its head was looked at."""
    if file.path.stat().st_size <= WHOLE:
        return detect(file)
    return "auto"


def by_head(file: SourceFile) -> str:
    """The encoding of a huge file as its first bytes have it."""
    with TemporaryDirectory() as folder:
        return detect(head_of(file, Path(folder)))


def readers(file: SourceFile, kind: str, at: str, defaults: dict) -> list[str | dict]:
    """The readers to try on files of a kind; `at` says where their rows lie."""
    if kind == "json":
        paths = [at] if at else list(dict.fromkeys(json_paths(file))) or [""]
        return [{"kind": "json_records", "at": path} if path else "json" for path in paths]
    if kind == "jsonl":
        paths = [at] if at else list(dict.fromkeys(["", *jsonl_paths(file)]))
        return [{"kind": "jsonl_records", "at": path} if path else "jsonl" for path in paths]
    if kind == "xml":
        xpath = at if at.startswith(("/", ".")) else f"//{at}"
        return [{"kind": "xml", "rows": xpath, "fields": {}}] if at else xml_readers(file)
    if kind == "csv":
        return ["reviews_csv", "csv"] if _is_reviews(file) else ["csv"]
    if kind == "excel":
        return [{"kind": "excel", "sheet": at}] if at else _sheets(file)
    if kind == "html":
        return _of_page(file, at, defaults)
    if kind == "text":
        return _of_text(file, at)
    return [kind]


def _is_reviews(file: SourceFile) -> bool:
    with open_text(file) as text:
        header = text.readline()
    return all(name in header for name in REVIEWS.values())


def _sheets(file: SourceFile) -> list[str | dict]:
    """The sheets of a workbook, the first one first."""
    from openpyxl import load_workbook

    try:
        with closing(load_workbook(file.path, read_only=True)) as workbook:
            names = workbook.sheetnames
    except (OSError, ValueError, KeyError, BadZipFile):
        names = []  # its reader says what is wrong with it
    return ["excel", *({"kind": "excel", "sheet": name} for name in names[1:])]


def _of_page(file: SourceFile, at: str, defaults: dict) -> list[dict]:
    from affinage.adding.page_readers import page_readers

    return page_readers(
        file, at, *(reader_of(reader, defaults) for reader in ({"kind": "html_rows", "table": 1}, {"kind": "html_items"}))
    )


def _of_text(file: SourceFile, at: str) -> list[str | dict]:
    markdown = Path(file.name).suffix.lower() in MARKDOWN
    if at or markdown:
        if at not in ("", "file", "paragraph", "line"):
            raise StageError(f"--rows {at}", "no part of a text", "file, paragraph or line", "affinage add … --rows paragraph")
        return [{"kind": "text", "rows": at or "paragraph"}]
    with open_text(file) as text:
        lines = [line.split() for line in islice(text, 200)]
    full = [line for line in lines if line]
    names = len(full) > 2 and sum(len(line) <= 6 for line in full) > 0.9 * len(full)
    return ["lines"] if names else [{"kind": "text", "rows": "paragraph" if len(full) < len(lines) else "line"}]
