"""Readers of `scrape`: each takes one file and yields its rows as mappings of column names to values."""

from collections.abc import Callable, Iterator
from pathlib import Path

Reader = Callable[[Path, str], Iterator[dict]]


def reader(name: str) -> Reader:
    """The function that reads one file of this kind: `(path, encoding) -> rows`."""
    if name in ("json", "jsonl"):
        from stages.sources import json_rows

        return getattr(json_rows, f"read_{name}")
    if name in ("csv", "parquet"):
        from stages.sources import tables

        return getattr(tables, f"read_{name}")
    if name == "reviews_csv":
        from stages.sources.reviews_csv import read_reviews_csv

        return read_reviews_csv
    from stages.sources.medquad import read_medquad

    return read_medquad
