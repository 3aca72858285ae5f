"""Reading and writing rows and metrics. Everything appears whole or not at all.

Unfinished output lives beside the real one under a fixed name (`.<name>.partial`), so that what a kill leaves is
overwritten by the next run; it is locked while it is written, for a killed `dvc` leaves its stage running, and a rerun
would then share the name. Nothing opens an existing output in place: with a hardlinked DVC cache that would corrupt
the cache.
"""

import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stages.common.errors import StageError, shorten

_SURROGATE = re.compile("[\ud800-\udfff]")


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def remove(path: Path) -> None:
    """Remove a file or a directory tree; nothing happens if it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replace(partial: Path, path: Path) -> None:
    if path.is_dir() or partial.is_dir():  # os.replace replaces no directory with something in it, and no file by one
        old = _old(path)
        if path.exists() or path.is_symlink():
            os.rename(path, old)  # set aside whole: removed in its place, a kill would leave half of it there
        os.replace(partial, path)
        remove(old)
    else:
        os.replace(partial, path)


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.old.partial")


@contextmanager
def _alone(partial: Path, path: Path, make: Callable[[], object]):
    """Remove what a killed process left, `make()` it anew, and hold it: the lock ends with the process.

    Raises:
        StageError: while another process writes it.
    """
    with ExitStack() as locks:
        if partial.exists():
            _lock(locks, partial, path)
            remove(partial)
        if path.exists():
            remove(_old(path))
        elif _old(path).exists():  # killed between the two renames: back to the whole old one
            os.rename(_old(path), path)
        try:
            make()
        except FileExistsError:
            raise _written(path) from None
        _lock(locks, partial, path)
        try:
            yield
        finally:
            remove(partial)


def _lock(locks: ExitStack, partial: Path, path: Path) -> None:
    try:
        number = os.open(partial, os.O_RDONLY)
        locks.callback(os.close, number)
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = os.fstat(number).st_ino == os.stat(partial).st_ino
    except (BlockingIOError, FileNotFoundError):
        same = False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):  # a file system without locks
            raise
        same = True
    if not same:
        raise _written(path)


def _written(path: Path) -> StageError:
    return StageError(
        path,
        "another process that writes it",
        "one at a time",
        "wait for it, or end it (a killed dvc leaves its stage running), then run the same command again",
    )


@contextmanager
def atomic_file(path: Path):
    """Open `path` for writing UTF-8 text; it appears under its name only if the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    with _alone(partial, path, lambda: partial.touch(exist_ok=False)):
        with open(partial, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _replace(partial, path)


@contextmanager
def atomic_directory(path: Path):
    """A fresh directory to write in; it appears as `path` only if the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    with _alone(partial, path, partial.mkdir):
        yield partial
        _replace(partial, path)


def clean_text(text: str) -> str:
    """Lone surrogates (legal in JSON escapes, impossible in UTF-8) become U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def json_line(row: dict) -> str:
    return clean_text(json.dumps(row, ensure_ascii=False)) + "\n"


def json_files(path: Path) -> list[Path]:
    """The JSONL files of `path`: itself, or all in the directory below it, in order of their names."""
    path = Path(path)
    if path.is_dir():
        return sorted(path.rglob("*.jsonl"))
    if not path.exists():
        raise StageError(path, "no such file", "the output of the stage before", "dvc repro")
    return [path]


def read_rows(path: Path) -> Iterator[dict]:
    """Rows of a JSONL file, or of every JSONL file in a directory, one at a time."""
    for file in json_files(path):
        yield from read_piece(file)


def read_piece(file: Path, start: int = 0, end: int | None = None) -> Iterator[dict]:
    """The rows whose lines begin in a range of bytes, one at a time."""
    with open(file, "rb") as lines:
        if start:
            lines.seek(start - 1)
            start += len(lines.readline()) - 1
        for line in lines:
            if end is not None and start >= end:
                return
            try:
                row = parse_row(line)
            except ValueError as error:
                raise StageError(
                    f"{file} line {_number(file, start)}",
                    f"{shorten(line.decode(errors='replace'))} ({error})",
                    "one JSON object a line",
                    "restore the file with `dvc checkout`, or rerun its stage with `dvc repro -f`",
                ) from None
            yield row
            start += len(line)


def parse_row(line: bytes) -> dict:
    """The JSON object that a line holds.

    Raises:
        ValueError: where it holds anything else.
    """
    try:
        row = json.loads(line)
    except RecursionError as error:
        raise ValueError(f"nested too deeply: {error}") from None
    if not isinstance(row, dict):
        raise ValueError("no object")
    return row


def _number(file: Path, start: int) -> int:
    """The number of the line that begins at a byte."""
    with open(file, "rb") as lines:
        return sum(1 for _ in iter(lambda: lines.tell() < start and lines.readline(), False)) + 1


def write_rows(path: Path, rows: Iterable[dict]) -> int:
    """Write rows as JSONL, whole or not at all; returns their number."""
    count = 0
    with atomic_file(path) as file:
        for row in rows:
            file.write(json_line(row))
            count += 1
    return count


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def write_json(path: Path, data: dict, line_each: bool = False) -> None:
    """Write metrics: indented JSON with floats to six significant digits, so that a diff can be read.

    With `line_each`, each entry of the top level stands on a line of its own, whatever it holds.
    """
    rounded = _rounded(data)
    if line_each and rounded:
        entries = (f"  {_json(key)}: {_json(value)}" for key, value in rounded.items())
        text = "{\n" + ",\n".join(entries) + "\n}"
    else:
        text = _json(rounded, indent=2)
    with atomic_file(path) as file:
        file.write(clean_text(text) + "\n")


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)


def read_json(path: Path) -> dict:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StageError(path, "no such file", "the output of the stage before", "dvc repro") from None
    except ValueError as error:
        raise StageError(path, f"broken JSON ({error})", "JSON", "dvc checkout") from None
