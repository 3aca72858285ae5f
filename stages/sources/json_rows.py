"""JSON documents and JSON Lines: arrays of objects, or what lies at a path in them."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TextIO

from stages.common.errors import StageError
from stages.common.schema_sources import JsonLinesRecords, JsonRecords
from stages.common.text_keys import shorten
from stages.sources import SourceFile
from stages.sources.encodings import open_text, undecodable
from stages.sources.json_path import rows_at, steps, value_at

READER = "datasets.<name>.scrape.sources.<source>.reader"
WHOLE = 1 << 28  # bytes of a file that may be parsed whole, to say where it is broken


class _Odd(Exception):
    """JSON that is to be parsed whole."""


class _Distinct(dict):
    """An object of a streamed document. A key that comes twice may hold two values: the document is then looked at whole."""

    def __setitem__(self, key: str, value: object) -> None:
        if key in self:
            raise _Odd
        super().__setitem__(key, value)


def _distinct(pairs: list[tuple[str, object]]) -> dict:
    """An object of JSON; a key that comes twice with one value is one key.

    Raises:
        ValueError: for a key with two values: which of them is meant, no one knows.
    """
    distinct = dict(pairs)
    if len(distinct) < len(pairs):
        twice = next((key for key, value in pairs if distinct[key] != value), None)
        if twice is not None:
            raise ValueError(f"the key {twice!r} twice, with different values")
    return distinct


def read_jsonl(file: SourceFile, params: JsonLinesRecords | None = None) -> Iterator[dict]:
    """One object a line, or the rows at a path in it; empty lines are skipped.

    Not `read_rows` of stages/common/files.py, which reads what our stages write: a source has an encoding, and paths.
    """
    path = _steps(params.at if params else "")
    try:
        with open_text(file) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                where = f"{file.place} line {number}"
                try:
                    value = json.loads(line, object_pairs_hook=_distinct)
                except (ValueError, RecursionError) as error:
                    fix = f"edit the line, or set {READER}"
                    raise StageError(where, f"{shorten(line)} ({error})", "one JSON object a line", fix) from None
                yield from _rows_of([(None, value)], path, where)
    except UnicodeError as error:
        raise undecodable(file, error) from None


def read_json(file: SourceFile, params: JsonRecords | None = None) -> Iterator[dict]:
    """An array of objects, an object of objects (their keys are the field `key`), or the rows at a path.

    Arrays are streamed by ijson, item by item; what lies at a path, by the outermost array or object of its way. Files with
    NaN or with a key twice in an object are parsed whole, as broken ones are to name the place.
    """
    path = _steps(params.at if params else "")
    passed = 0
    try:
        for row in _streamed(file, path):
            yield row
            passed += 1
    except _Odd:
        yield from islice(_whole(file, path), passed, None)
    except UnicodeError as error:
        raise undecodable(file, error) from None


def _steps(at: str) -> list[str]:
    try:
        return steps(at)
    except ValueError as error:
        raise StageError(f"the path {at!r}", str(error), "a path such as data[*].qa", f"edit {READER}.at") from None


def _mapping(value: object, where: str) -> dict:
    if not isinstance(value, dict):
        raise StageError(where, shorten(value), "an object with named columns", "edit the source, or its reader's path")
    return value


def _streamed(file: SourceFile, path: list[str]) -> Iterator[dict]:
    """Raises _Odd for what is to be parsed whole: no strict JSON, or no array or object of rows at the path."""
    from ijson.common import JSONError

    with open_text(file) as text:
        array = _first(text) == "["
        outer, rest = _parted(path, array)
        prefix, some = ".".join(outer), False
        try:
            keyed = not array and not path
            items = _items(text, prefix, keyed)
            for row in _rows_of(_objects(items) if keyed else items, rest, file.place):
                some = True
                yield row
            if not some and not array and "*" in path:  # no array but an object, all of whose values are asked for
                yield from _rows_of(_items(text, prefix, True), rest, file.place)
        except UnicodeError:
            raise
        except (JSONError, ValueError, OverflowError):
            raise _Odd from None
        if not some and "*" not in path:
            raise _Odd


def _objects(items: Iterator[tuple[str | None, object]]) -> Iterator[tuple[str | None, object]]:
    """The items of a document that is an object of objects; others are to be looked at whole."""
    for key, item in items:
        if not isinstance(item, dict):
            raise _Odd
        yield key, item


def _items(text: TextIO, prefix: str, keyed: bool) -> Iterator[tuple[str | None, object]]:
    """The items of the array at a prefix of ijson's, or, `keyed`, the values of the object there with their keys.

    By ijson's parser in Python: that in C is faster and ends the process on some broken files.
    """
    from ijson.backends import python
    from ijson.common import JSONError
    from ijson.utils import sendable_list

    items = sendable_list()
    make, place = (python.kvitems_coro, prefix) if keyed else (python.items_coro, f"{prefix}.item".lstrip("."))
    parser = make(items, place, use_float=True, map_type=_Distinct)
    text.seek(0)
    try:
        while chunk := text.read(1 << 16):
            parser.send(chunk.encode("utf-8", "surrogatepass"))
            yield from items if keyed else ((None, item) for item in items)
            del items[:]
        parser.close()
        yield from items if keyed else ((None, item) for item in items)
    finally:
        with suppress(JSONError):  # of a file that is not read to its end
            parser.close()


def _first(text: TextIO) -> str:
    character = text.read(1)
    while character and character.isspace():
        character = text.read(1)
    return character


def _parted(path: list[str], array: bool) -> tuple[list[str], list[str]]:
    """The steps to the array or object whose items are gone through, and those from each item on.

    Where the document is an array it is that one, and a first `*` for its items may be left out.
    """
    if array:
        return ([], path[1:] if path[:1] == ["*"] else path)
    place = path.index("*") if "*" in path else len(path)
    return path[:place], path[place + 1 :]


def _rows_of(items: Iterable[tuple[str | None, object]], rest: list[str], place: str) -> Iterator[dict]:
    """The rows in the items of an array, or in the values of an object with their keys."""
    for number, (key, item) in enumerate(items, 1):
        where = f"{place} row {number}" if " line " not in place else place
        around = {} if key is None else {"key": key}
        try:
            yield from rows_at(item, rest, around) if rest else [around | _mapping(item, where)]
        except KeyError as error:
            contents = ", ".join(islice(item, 12)) if isinstance(item, dict) else type(item).__name__
            raise _no_step(where, error, contents) from None


def _no_step(where: str, error: KeyError, contents: str) -> StageError:
    return StageError(
        where, f"no {error.args[0]!r}; there is {contents or 'nothing'}", "what the path names", f"edit {READER}.at"
    )


def _whole(file: SourceFile, path: list[str]) -> Iterator[dict]:
    """The rows of a file parsed at once, or the place where it is broken."""
    if file.path.stat().st_size > WHOLE:
        fix = "write it as strict JSON or JSON Lines"
        raise StageError(file.place, f"broken JSON, NaN, or one object, in over {WHOLE >> 20} MiB", "strict JSON", fix)
    try:
        with open_text(file) as text:
            value = json.load(text, object_pairs_hook=_distinct)
    except UnicodeError as error:
        raise undecodable(file, error) from None
    except json.JSONDecodeError as error:
        raise StageError(
            f"{file.place} line {error.lineno} column {error.colno}",
            f"broken JSON: {error.msg}",
            "an array of objects",
            f"edit the file, or set {READER} to jsonl",
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets in thousands of brackets
        raise StageError(file.place, str(error), "an array of objects", "edit the file") from None
    outer, rest = _parted(path, isinstance(value, list))
    try:
        value = value_at(value, outer)
    except KeyError as error:
        raise _no_step(file.place, error, ", ".join(islice(value, 12)) if isinstance(value, dict) else "no object") from None
    if isinstance(value, list):
        yield from _rows_of(((None, item) for item in value), rest, file.place)
    elif isinstance(value, dict) and (path[-1:] == ["*"] or (not path and value and _all_objects(value))):
        yield from _rows_of(value.items(), rest, file.place)
    elif isinstance(value, dict) and path:
        yield value
    else:
        contents = f" with {', '.join(islice(value, 12))}" if isinstance(value, dict) else ""
        fix = f"set {READER} to {{kind: json_records, at: …}}"
        raise StageError(file.place, f"a JSON {type(value).__name__}{contents}", "an array of objects", fix)


def _all_objects(value: dict) -> bool:
    return all(isinstance(inner, dict) for inner in value.values())
