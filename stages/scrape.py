"""Read the sources of a dataset: every row of every file, under our column names, nothing judged yet."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_directory, write_json, write_rows
from stages.common.rows import RawRow
from stages.common.sanity import Alarms, Columns, raised, together
from stages.common.schema import Scrape
from stages.common.track import track
from stages.sources import BINARY, Found, fetcher, reader
from stages.sources.archive import opened
from stages.sources.text import detect


def plain(value: object) -> bool:
    """Whether JSON can hold `value`; Parquet also has dates, decimals and bytes."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(item) for key, item in value.items())
    return all(map(plain, value)) if isinstance(value, list) else value is None or isinstance(value, str | int | float)


def rows(found: Found, prefix: str, params) -> Iterator[RawRow]:
    """`id`, then our columns, then those carried along. Values stay as they are; ids are `<prefix>#<row>`, from 1."""
    encoding = params.encoding
    if encoding == "auto" and params.reader not in BINARY:
        encoding = detect(found.path, found.charset)
    for count, values in enumerate(reader(params.reader)(found.path, encoding), 1):
        missing = [column for column in params.columns.values() if column not in values]
        if missing:
            raise StageError(
                f"{found.path} row {count}",
                f"columns {', '.join(map(str, values)) or 'none'}",
                f"also {', '.join(missing)}",
                "edit datasets.<name>.scrape.sources.<source>.columns",
            )
        row = {"id": f"{prefix}#{count}"}
        row |= {ours: values[theirs] for ours, theirs in params.columns.items()}
        row |= {column: values[column] for column in params.keep if column in values}
        if strange := [f"{column} ({type(value).__name__})" for column, value in row.items() if not plain(value)]:
            raise StageError(
                f"{found.path} row {count}",
                f"not text or numbers: {', '.join(strange)}",
                "values that JSON can hold",
                "convert them in the source, or take them out of datasets.<name>.scrape.sources.<source>.keep",
            )
        yield row


def read_source(dataset: str, key: str, params, source: Path, folder: Path) -> tuple[list[dict], Alarms]:
    """Write one JSONL a file below `folder`; returns the files' entries for `sources.json`, in order of their names, and what
    looks wrong with the rows."""
    index, columns = [], Columns(key, params.columns)
    for file in track(fetcher(params.kind)(dataset, params, source), f"scrape {dataset} {key}", unit="file"):
        for found in opened(file, params.members, params.max_bytes):
            with open(found.path, "rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            size = found.path.stat().st_size
            count = write_rows(folder / f"{found.file}.jsonl", columns.watch(rows(found, f"{key}/{found.file}", params)))
            index.append({"file": found.file, **found.origin, "sha256": sha256, "bytes": size, "rows": count})
    empty = [entry["file"] for entry in index if not entry["rows"]]
    if len(empty) == len(index):
        where = source if params.kind == "local" else f"{dataset}: {key}"
        fix = "check datasets.<name>.scrape.sources.<source>.reader"
        raise StageError(where, f"no row in {len(index)} files", "at least one", fix)
    if empty:
        listing = ", ".join(empty[:5])
        print(f"scrape {dataset} {key}: no row in {len(empty)} of {len(index)} files: {listing}", file=sys.stderr)
    return sorted(index, key=lambda entry: entry["file"]), columns.alarms()


def main(name: str, params: Scrape, source: Path, out: Path) -> None:
    """Read every source of a dataset into one JSONL a file."""
    index, alarms = {}, {}
    with atomic_directory(out) as folder:
        for key, section in sorted(params.sources.items()):
            files, looks_wrong = read_source(name, key, section, source, folder / key)
            alarms = together(alarms, looks_wrong)
            yields = "names" if set(section.columns) == {"name"} else "rows"  # the latter are labelled
            index[key] = {"kind": section.kind, "licence": section.licence, "yields": yields, "files": files}
        write_json(folder / "sources.json", {"sources": index, **raised("scrape", name, alarms)})


if __name__ == "__main__":
    run_stage(main, "datasets", "scrape", {"source": "directory to read", "out": "directory of raw rows to write"})
