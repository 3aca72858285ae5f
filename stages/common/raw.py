"""What `scrape` left: rows to be labelled, and names to label them by, told apart by `sources.json`."""

from collections.abc import Iterator
from pathlib import Path

from stages.common.files import json_files, read_json, read_rows


def raw_rows(raw: Path, yields: str = "rows") -> Iterator[dict]:
    """The rows of all sources that yield `rows` or `names`, in order of sources and files; what nothing is said of is rows."""
    index = read_json(raw / "sources.json")["sources"] if (raw / "sources.json").exists() else {}
    for file in json_files(raw):
        source = index.get(file.relative_to(raw).parts[0], {})
        if source.get("yields", "rows") == yields:
            yield from read_rows(file)
