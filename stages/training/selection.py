"""Which rows a training takes, and in which order.

A later round starts from an earlier model and takes rows of its own. It is not the earlier run resumed.
"""

import random
from collections.abc import Iterable

from stages.common.errors import StageError
from stages.common.rows import FormattedRow, FormattedText


def between(rows: Iterable[FormattedRow], span: str | list[int], parameter: str) -> list[FormattedRow]:
    """The rows whose `place` lies in `span` = [from, to), or all of them.

    Raises:
        StageError: if there are fewer rows than the span names.
    """
    if span in ("all", "none"):
        return list(rows) if span == "all" else []
    first, last = span
    chosen = [row for row in rows if first <= row["place"] < last]
    if len(chosen) != last - first:
        raise StageError(
            parameter,
            f"[{first}, {last}), of which {len(chosen)} rows are there",
            f"{last - first} rows",
            "lower it, or let `shards` name a file or folder of formatted rows that holds them all",
        )
    return chosen


def repeated(rows: list[FormattedRow], right: Iterable[bool], times: int) -> list[FormattedRow]:
    """The rows that were not right, each `times` times."""
    return [row for row, correct in zip(rows, right, strict=True) if not correct for _ in range(times)]


def order(count: int, seed: int, epoch: int) -> list[int]:
    """The order of the rows in an epoch, by a generator of its own."""
    rows = list(range(count))
    random.Random(f"{seed}/{epoch}").shuffle(rows)
    return rows


def shuffled_pairs(rows: list[FormattedText], seed: int) -> list[FormattedText]:
    """Every answer moved to another question, in one cycle through all rows.

    The texts are the same, but there is nothing left to learn except their style.
    """
    turn = order(len(rows), seed, -1)
    after = {row: turn[(i + 1) % len(turn)] for i, row in enumerate(turn)}
    return [{**row, "completion": rows[after[i]]["completion"]} for i, row in enumerate(rows)]
