"""Rows on their way through a stage, shown as they go by."""

from collections.abc import Iterable, Iterator

from stages.common.progress import Progress


def track(rows: Iterable, work: str, total: int | None = None, unit: str = "row") -> Iterator:
    """Yield `rows`, and tell how many went by. It lies apart from progress.py, through which no row goes."""
    with Progress(total, work, unit) as progress:
        for row in rows:
            yield row
            progress.add()
