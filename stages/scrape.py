"""Read the sources of a dataset: every row of every file, under our column names, nothing judged yet."""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_directory, write_json, write_rows
from stages.common.path_fields import path
from stages.common.rows import RawRow
from stages.common.sanity import Alarms, Columns, raised, together
from stages.common.schema import Scrape
from stages.common.track import track
from stages.sources import FETCHERS, SourceFile, rows_of
from stages.sources.archive import opened
from stages.sources.columns import column
from stages.sources.values import json_value

MOST_NAME = 240  # bytes of a file's name in raw/: disks take 255, and a file that is being written has a longer name


@dataclass(frozen=True)
class Paths:
    """What `scrape` reads and writes."""

    source: Path = path("directory to read")
    out: Path = path("directory of raw rows to write")


def rows(file: SourceFile, prefix: str, params) -> Iterator[RawRow]:
    """`id`, then our columns, then those carried along. Values stay as they are; ids are `<prefix>#<row>`, from 1."""
    columns = {ours: column(theirs, ours) for ours, theirs in params.columns.items()}
    for count, values in enumerate(rows_of(file, params.reader), 1):
        row, missing = {"id": f"{prefix}#{count}"}, []
        for ours, value_of in columns.items():
            try:
                row[ours] = value_of(values)
            except KeyError as error:
                missing.append(error.args[0])
        if missing:
            raise StageError(
                f"{file.place} row {count}",
                f"columns {', '.join(map(str, values)) or 'none'}",
                f"also {', '.join(missing)}",
                "edit datasets.<name>.scrape.sources.<source>.columns",
            )
        row |= {name: values[name] for name in params.keep if name in values}
        for name, value in row.items():
            try:
                row[name] = json_value(value)
            except TypeError as error:
                raise StageError(
                    f"{file.place} row {count}",
                    f"not text or numbers: {name} ({error})",
                    "values that JSON can hold",
                    "convert them in the source, or take them out of datasets.<name>.scrape.sources.<source>.keep",
                ) from None
        yield row


def read_source(dataset: str, key: str, params, source: Path, folder: Path) -> tuple[dict, Alarms]:
    """Write one JSONL a file below `folder`; returns what `sources.json` says of the source, and its alarms."""
    index, left_out, columns = [], Counter(), Columns(key, params.columns)
    for fetched in track(FETCHERS[params.kind]()(dataset, params, source, left_out), f"scrape {dataset} {key}", unit="file"):
        for file in opened(fetched, params.members, params.max_bytes, left_out):
            file.encoding = params.encoding
            with open(file.path, "rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            size, written = file.path.stat().st_size, folder / f"{file.name}.jsonl"
            check_name(file, written)
            count = write_rows(written, columns.watch(rows(file, f"{key}/{file.name}", params)))
            entry = {"file": file.name, **file.origin, "sha256": sha256, "bytes": size, "rows": count}
            index.append(entry | {"bad_lines": file.bad_lines.count})
            if params.encoding == "auto" and file.encoding != "auto":
                index[-1]["encoding"] = file.encoding
            if "other_sheets" in file.origin:
                others = ", ".join(file.origin["other_sheets"])
                note(dataset, key, f"{file.place}: sheet {file.origin['sheet']} is read; not read: {others}")
            if file.bad_lines.count:
                index[-1]["first_bad_lines"] = file.bad_lines.first
                note(
                    dataset, key, f"{file.place}: {file.bad_lines.count} bad lines left out; {'; '.join(file.bad_lines.first)}"
                )
    empty = [entry["file"] for entry in index if not entry["rows"]]
    if len(empty) == len(index):
        where = source if params.kind == "local" else f"{dataset}: {key}"
        fix = "check datasets.<name>.scrape.sources.<source>.reader"
        raise StageError(where, f"no row in {len(index)} files", "at least one", fix)
    if empty:
        note(dataset, key, f"no row in {len(empty)} of {len(index)} files: {', '.join(empty[:5])}")
    summary = {
        "kind": params.kind,
        "licence": params.licence,
        "yields": "names" if set(params.columns) == {"name"} else "rows",  # the latter are labelled
        "left_out": dict(sorted(left_out.items())),
        "files": sorted(index, key=lambda entry: entry["file"]),
    }
    return summary, columns.alarms()


def check_name(file: SourceFile, written: Path) -> None:
    """Refuse a name that cannot be written, or that the disk takes for that of an earlier file: some know no upper case."""
    if len(written.name.encode("utf-8", "surrogateescape")) > MOST_NAME:
        raise StageError(file.place, f"a name of {len(file.name)} letters", f"at most {MOST_NAME} bytes", "rename the file")
    if written.exists():
        fix = "rename one of them, or use a disk that tells upper from lower case"
        raise StageError(file.place, f"{file.name}, which is on this disk the name of another file", "one file a name", fix)


def note(dataset: str, key: str, text: str) -> None:
    """Say something of a source that is no error."""
    print(f"scrape {dataset} {key}: {text}", file=sys.stderr)


def main(name: str, params: Scrape, paths: Paths) -> None:
    """Read every source of a dataset into one JSONL a file."""
    index, alarms = {}, {}
    with atomic_directory(paths.out) as folder:
        for key, section in sorted(params.sources.items()):
            index[key], looks_wrong = read_source(name, key, section, paths.source, folder / key)
            alarms = together(alarms, looks_wrong)
        write_json(folder / "sources.json", {"sources": index, **raised("scrape", name, alarms)})


if __name__ == "__main__":
    run_stage(main, "datasets", "scrape", Paths)
