"""JSON arrays and JSON Lines."""

import json
from collections.abc import Iterator
from pathlib import Path

from stages.common.errors import StageError, shorten
from stages.common.schema_sources import JsonRecords
from stages.sources.text import open_text, undecodable


def _mapping(value: object, where: str) -> dict:
    if not isinstance(value, dict):
        raise StageError(where, shorten(value), "an object with named columns", "edit the source")
    return value


def read_jsonl(path: Path, encoding: str) -> Iterator[dict]:
    """One object a line; empty lines are skipped."""
    try:
        with open_text(path, encoding) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise StageError(
                        f"{path} line {number}",
                        f"{shorten(line)} ({error})",
                        "one JSON object a line",
                        "edit the line, or set datasets.<name>.scrape.sources.<source>.reader",
                    ) from None
                yield _mapping(value, f"{path} line {number}")
    except UnicodeError as error:
        raise undecodable(path, encoding, error) from None


def read_json(path: Path, encoding: str) -> Iterator[dict]:
    """An array of objects. The array is parsed whole: for sources larger than memory, use JSON Lines."""
    yield from _objects(_load(path, encoding), path)


def read_json_records(params: JsonRecords, path: Path, encoding: str) -> Iterator[dict]:
    """The array of objects under a key of an object, parsed whole."""
    found = _load(path, encoding)
    if not isinstance(found, dict) or params.at not in found:
        there = f"the keys {', '.join(found) or 'none'}" if isinstance(found, dict) else f"a JSON {type(found).__name__}"
        fix = "edit datasets.<name>.scrape.sources.<source>.reader"
        raise StageError(path, there, f"an object with {params.at}", fix)
    yield from _objects(found[params.at], path)


def _load(path: Path, encoding: str) -> object:
    try:
        with open_text(path, encoding) as file:
            return json.load(file)
    except UnicodeError as error:
        raise undecodable(path, encoding, error) from None
    except json.JSONDecodeError as error:
        raise StageError(
            f"{path} line {error.lineno} column {error.colno}",
            f"broken JSON: {error.msg}",
            "an array of objects",
            "edit the file, or set datasets.<name>.scrape.sources.<source>.reader to jsonl",
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets in thousands of brackets
        raise StageError(path, str(error), "an array of objects", "edit the file") from None


def _objects(rows: object, path: Path) -> Iterator[dict]:
    if not isinstance(rows, list):
        raise StageError(path, f"a JSON {type(rows).__name__}", "an array of objects", "edit the file")
    for number, row in enumerate(rows, 1):
        yield _mapping(row, f"{path} row {number}")
