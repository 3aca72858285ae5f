"""Which part a row belongs to: decided by a hash of its group alone, so it never depends on order or on other rows."""

import hashlib

from stages.common.errors import StageError, shorten
from stages.common.schema import Split
from stages.common.text import normal, question
from stages.splits import PARTS


def uniform(seed: int, purpose: str, group: str) -> float:
    """A number in [0, 1) that depends on its arguments only."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def group_of(row: dict, params: Split) -> str:
    """The group that must stay on one side: the value of the group column, else the question itself."""
    return normal(row.get(params.group)) if params.group and normal(row.get(params.group)) else question(row)


def sampled(row: dict, params: Split) -> bool:
    """Whether the row is in the sample; the rows of a smaller sample are all in a larger one."""
    return uniform(params.seed, "sample", group_of(row, params)) < params.sample


def part_of(row: dict, params: Split) -> str:
    """train, validation or test.

    Raises:
        StageError: if the source says the part itself (`given`) and says something else.
    """
    if params.given:
        part = normal(row.get(params.given))
        if part not in PARTS:
            raise StageError(
                f"row {row['id']}",
                f"{params.given} = {shorten(row.get(params.given))}",
                f"one of {', '.join(PARTS)}",
                'edit the source, or set datasets.<name>.split.given to ""',
            )
        return part
    place = uniform(params.seed, "part", group_of(row, params))
    return "test" if place < params.test else "validation" if place < params.test + params.validation else "train"
