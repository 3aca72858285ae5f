"""JSON arrays and JSON Lines."""

import json
from collections.abc import Iterator

from stages.common.errors import StageError
from stages.common.schema_sources import JsonRecords
from stages.common.text import shorten
from stages.sources import SourceFile
from stages.sources.text import open_text, undecodable


def _mapping(value: object, where: str) -> dict:
    if not isinstance(value, dict):
        raise StageError(where, shorten(value), "an object with named columns", "edit the source")
    return value


def read_jsonl(file: SourceFile, params: None = None) -> Iterator[dict]:
    """One object a line; empty lines are skipped."""
    try:
        with open_text(file) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise StageError(
                        f"{file.place} line {number}",
                        f"{shorten(line)} ({error})",
                        "one JSON object a line",
                        "edit the line, or set datasets.<name>.scrape.sources.<source>.reader",
                    ) from None
                yield _mapping(value, f"{file.place} line {number}")
    except UnicodeError as error:
        raise undecodable(file, error) from None


def read_json(file: SourceFile, params: JsonRecords | None = None) -> Iterator[dict]:
    """An array of objects, or the one under a key of an object. Parsed whole."""
    value = _load(file)
    if params is not None:
        if not isinstance(value, dict) or params.at not in value:
            there = f"the keys {', '.join(value) or 'none'}" if isinstance(value, dict) else f"a JSON {type(value).__name__}"
            fix = "edit datasets.<name>.scrape.sources.<source>.reader"
            raise StageError(file.place, there, f"an object with {params.at}", fix)
        value = value[params.at]
    yield from _objects(value, file.place)


def _load(file: SourceFile) -> object:
    try:
        with open_text(file) as text:
            return json.load(text)
    except UnicodeError as error:
        raise undecodable(file, error) from None
    except json.JSONDecodeError as error:
        raise StageError(
            f"{file.place} line {error.lineno} column {error.colno}",
            f"broken JSON: {error.msg}",
            "an array of objects",
            "edit the file, or set datasets.<name>.scrape.sources.<source>.reader to jsonl",
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets in thousands of brackets
        raise StageError(file.place, str(error), "an array of objects", "edit the file") from None


def _objects(rows: object, place: str) -> Iterator[dict]:
    if not isinstance(rows, list):
        raise StageError(place, f"a JSON {type(rows).__name__}", "an array of objects", "edit the file")
    for number, row in enumerate(rows, 1):
        yield _mapping(row, f"{place} row {number}")
