"""Where the files of a dataset come from, and the readers that make rows of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """One file of a source, there to be read until the next one is asked for.

    Args:
        file: its name in the source, a relative path with `/`.
        path: where its bytes lie.
        charset: what a server said its text is in; "" where nothing was said.
        origin: what `sources.json` keeps beside name, sha256, rows and bytes.
    """

    file: str
    path: Path
    charset: str = ""
    origin: dict = field(default_factory=dict)


Reader = Callable[[Path, str], Iterator[dict]]
BINARY = ("parquet", "medquad")  # readers that no encoding concerns


def fetcher(kind: str) -> Callable[..., Iterator[Found]]:
    """The function that brings the files of this kind of source: `(dataset, params, local directory) -> files`."""
    if kind == "local":
        from stages.sources.local import fetch
    elif kind == "web":
        from stages.sources.web import fetch
    elif kind == "hub":
        from stages.sources.hub import fetch
    else:
        from stages.sources.kaggle import fetch
    return fetch


def reader(choice) -> Reader:
    """The function that reads one file: `(path, encoding) -> rows`. `choice`: a name, or a reader's parameters."""
    if choice in ("json", "jsonl") or getattr(choice, "kind", "") == "json_records":
        from stages.sources import json_rows

        return getattr(json_rows, f"read_{choice}") if isinstance(choice, str) else partial(json_rows.read_json_records, choice)
    if choice in ("csv", "parquet"):
        from stages.sources import tables

        return getattr(tables, f"read_{choice}")
    if choice == "reviews_csv":
        from stages.sources.reviews_csv import read_reviews_csv

        return read_reviews_csv
    if choice == "medquad":
        from stages.sources.medquad import read_medquad

        return read_medquad
    from stages.sources import names

    return names.read_lines if choice == "lines" else partial(getattr(names, f"read_{choice.kind}"), choice)
