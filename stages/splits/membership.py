"""Which part a row belongs to: decided by a hash of its group, so it never depends on order.

Without classes it does not depend on other rows either. With classes (`stratify`) each class is to be on every side,
and no rule can promise both that and that no row ever moves: a class whose rows all hash to train must lend one out.
The rule here moves as few as can be. Within a class the groups are put in order of their hash; the cuts between test,
validation and train lie where the shares say, and are moved only where a side would be empty, just so far that it has
one group. A class that is on every side by its hashes alone has the plain cuts: whatever is added to it, no row moves.
A class of fewer groups than sides fills train first, then test, then validation.
"""

import hashlib
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial

from stages.common.errors import StageError, shorten
from stages.common.row_keys import question_key
from stages.common.schema_data import Split
from stages.common.text import folded_key, text_key
from stages.splits import PARTS

Cuts = dict[str, tuple[float, float]]  # class: below the first lies test, below the second validation, then train


def uniform(seed: int, purpose: str, group: str) -> float:
    """A number in [0, 1) that depends on its arguments only."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def group_of(row: dict, params: Split) -> str:
    """The group that must stay on one side: the value of the group column, else the question itself."""
    return (params.group and folded_key(row.get(params.group))) or question_key(row)


def sampled(row: dict, params: Split) -> bool:
    """Whether the row is in the sample; the rows of a smaller sample are all in a larger one."""
    return uniform(params.seed, "sample", group_of(row, params)) < params.sample


def class_of(row: dict, params: Split) -> str:
    """The row's class; "" where none is asked for.

    Raises:
        StageError: if the row has no value in the column of classes.
    """
    found = text_key(row.get(params.stratify)) if params.stratify else ""
    if params.stratify and not found:
        raise StageError(
            f"row {row['id']}",
            f"{params.stratify} = {shorten(row.get(params.stratify))}",
            "a class",
            "make the label stage require it, or edit datasets.<name>.split.stratify",
        )
    return found


def place_of(row: dict, params: Split) -> float:
    """Where its group lies in [0, 1). With classes, each has an order of its own; a group of two classes is two groups."""
    group = group_of(row, params)
    return uniform(params.seed, "part", f"{class_of(row, params)}\0{group}" if params.stratify else group)


def class_cuts(rows: Iterable, params: Split, each: Callable = map) -> Cuts:
    """The cuts of every class; none without `stratify`. `rows` may be files where `each` is `mapped`.

    Holds one number a row (8 bytes).
    """
    places = defaultdict(lambda: array("d"))
    for found in each(partial(_class_and_place, params=params), rows) if params.stratify else ():
        if found:
            places[found[0]].append(found[1])
    return {name: cuts(sorted(set(found)), params) for name, found in places.items()}


def _class_and_place(row: dict, params: Split) -> tuple[str, float] | None:
    return (class_of(row, params), place_of(row, params)) if sampled(row, params) else None


def cuts(places: list[float], params: Split) -> tuple[float, float]:
    """Where test and validation end, for a class with groups at `places` (ascending, distinct)."""
    total = len(places)
    train = int(0 < params.train < 1)  # at 1 every row is trained on anyway
    test = int(params.test > 0 and total > train)
    validation = int(params.validation > 0 and total > train + test)
    ends = params.test, params.test + params.validation
    plain = [bisect_left(places, end) for end in ends]
    first = min(max(plain[0], test), total - train - validation)
    second = min(max(plain[1], first + validation), total - train)

    def cut(side: int, index: int) -> float:
        return ends[side] if index == plain[side] else places[index] if index < total else 1.0

    return cut(0, first), cut(1, second)


def said(row: dict, params: Split) -> bool:
    """Whether the row itself says which part it belongs to."""
    return bool(params.given and folded_key(row.get(params.given)))


def part_of(row: dict, params: Split, found: Cuts | None = None) -> str:
    """train, validation or test; `found`: the cuts of the classes, where there are any.

    Raises:
        StageError: if the source says the part itself (`given`) and says something else.
    """
    if said(row, params):
        part = folded_key(row.get(params.given))
        if part not in PARTS:
            raise StageError(
                f"row {row['id']}",
                f"{params.given} = {shorten(row.get(params.given))}",
                f"one of {', '.join(PARTS)}",
                'edit the source, or set datasets.<name>.split.given to ""',
            )
        return part
    test, validation = (found or {}).get(class_of(row, params), (params.test, params.test + params.validation))
    place = place_of(row, params)
    return "test" if place < test else "validation" if place < validation else "train"
