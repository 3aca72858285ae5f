"""The training rows, which a judge learns from. They are read anew each time, for memory may not hold all of them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from stages.common.errors import StageError
from stages.common.files import read_rows
from stages.common.text_keys import until


class TrainingRows:
    """Formatted training rows. Their completions end before the stop string.

    Args:
        path: `formatted/train`.
        stop: the stop strings of the model's prompt.
    """

    def __init__(self, path: Path, stop: list[str]):
        self.path, self.stop = path, stop
        self.count = sum(1 for _ in read_rows(path))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict]:
        return ({**row, "completion": until(row["completion"], self.stop).strip()} for row in read_rows(self.path))

    def at(self, places: list[int]) -> list[dict]:
        """The rows at these places, in their order."""
        wanted = set(places)
        row_at = {place: row for place, row in enumerate(self) if place in wanted}
        return [row_at[place] for place in places]


class Answers:
    """The answers of training rows. Each pass over them reads the rows anew."""

    def __init__(self, rows: Iterable[dict]):
        self.rows = rows

    def __iter__(self) -> Iterator[str]:
        return (row["completion"] for row in self.rows)


def shots_of(rows: list[dict], training: Iterable[dict], answers: Path) -> list[dict]:
    """The training rows that the base was shown before it answered.

    Raises:
        StageError: if one of them is no training row any more.
    """
    ids = [row_id for row in rows[:1] for answer in row["answers"].values() for row_id in answer.get("shots", [])]
    there = {row["id"]: row for row in training if row["id"] in ids} if ids else {}
    if lost := [row_id for row_id in ids if row_id not in there]:
        raise StageError(
            answers, f"answers after an example {lost[0]!r}", "examples out of the training rows", "run generate again"
        )
    return [there[row_id] for row_id in ids]
