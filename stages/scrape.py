"""Read the sources of a dataset: every row of every file, under our column names, nothing judged yet."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_directory, write_json, write_rows
from stages.common.progress import track
from stages.common.schema import Scrape
from stages.sources import reader


def find(source: Path, pattern: str) -> list[Path]:
    """The files behind a glob below `source`, in order of their relative paths."""
    if not source.is_dir():
        raise StageError(
            source,
            "no such directory",
            "the directory that datasets.<name>.source names",
            "create it or edit params.yaml",
        )
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise StageError(
            f"{source}/{pattern}",
            "a pattern that leaves the source",
            "a glob below the source",
            "edit datasets.<name>.scrape.files",
        )
    try:
        found = [path for path in source.glob(pattern) if path.is_file()]
    except (ValueError, IndexError) as error:  # `**` inside a name, "", "."
        raise StageError(f"{source}/{pattern}", str(error), "a glob", "edit datasets.<name>.scrape.files") from None
    files = sorted(found, key=lambda path: path.relative_to(source).as_posix())
    if not files:
        there = sorted({path.suffix or path.name for path in source.rglob("*") if path.is_file()})
        raise StageError(
            f"{source}/{pattern}",
            "no file",
            f"at least one; there are: {', '.join(there) or 'no files at all'}",
            "edit datasets.<name>.source or datasets.<name>.scrape.files",
        )
    return files


def plain(value: object) -> bool:
    """Whether JSON can hold `value`; Parquet also has dates, decimals and bytes."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(item) for key, item in value.items())
    return all(map(plain, value)) if isinstance(value, list) else value is None or isinstance(value, str | int | float)


def rows(path: Path, name: str, params: Scrape) -> Iterator[dict]:
    """`id`, then our columns, then those carried along. Values stay as they are; ids are `<file>#<row>`, from 1."""
    for count, found in enumerate(reader(params.reader)(path, params.encoding), 1):
        missing = [column for column in params.columns.values() if column not in found]
        if missing:
            raise StageError(
                f"{path} row {count}",
                f"columns {', '.join(map(str, found)) or 'none'}",
                f"also {', '.join(missing)}",
                "edit datasets.<name>.scrape.columns",
            )
        row = {"id": f"{name}#{count}"}
        row |= {ours: found[theirs] for ours, theirs in params.columns.items()}
        row |= {column: found[column] for column in params.keep if column in found}
        if strange := [f"{column} ({type(value).__name__})" for column, value in row.items() if not plain(value)]:
            raise StageError(
                f"{path} row {count}",
                f"not text or numbers: {', '.join(strange)}",
                "values that JSON can hold",
                "convert them in the source, or take them out of datasets.<name>.scrape.keep",
            )
        yield row


def main(name: str, params: Scrape, source: Path, out: Path) -> None:
    """Read local files by glob into one JSONL a file."""
    index = []
    with atomic_directory(out) as folder:
        for path in track(find(source, params.files), f"scrape {name}", unit="file"):
            relative = path.relative_to(source).as_posix()
            count = write_rows(folder / f"{relative}.jsonl", rows(path, relative, params))
            with open(path, "rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            index.append({"file": relative, "sha256": sha256, "rows": count})
        empty = [entry["file"] for entry in index if not entry["rows"]]
        if len(empty) == len(index):
            raise StageError(source, f"no row in {len(index)} files", "at least one", "check datasets.<name>.scrape.reader")
        if empty:
            print(f"scrape {name}: no row in {len(empty)} of {len(index)} files: {', '.join(empty[:5])}", file=sys.stderr)
        write_json(folder / "sources.json", {"licence": params.licence, "files": index})


if __name__ == "__main__":
    run_stage(main, "datasets", "scrape", {"source": "directory to read", "out": "directory of raw rows to write"})
