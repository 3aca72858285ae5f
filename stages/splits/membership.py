"""Which part a row belongs to: train, validation or test, by a hash of its group.

The hash is a place in [0, 1). With shares of 0.2 for test and 0.2 for validation, places below 0.2 are test, those from there
to 0.4 validation, and the rest is train. The two limits are called cuts. So a row's part depends neither on order nor on other
rows.

In two cases a cut is moved, and other rows have a say:

- A part would be empty. A cut moves just so far that the part has one group, which stands in. With `stratify` this is done for
  each class, so that every part has every class. Where there are fewer groups than parts, train comes first, then test, then
  validation. Where no part is empty by the hashes alone, no cut moves, whatever rows are added.
- `exact` moves the cuts to the exact shares, of each class where there are classes. Then added rows may move others.

Example: three groups lie at 0.10, 0.60 and 0.85; test ends at 0.2 and validation at 0.4. Validation would be empty. So its end
moves up to 0.85, and the group at 0.60 stands in.
"""

import hashlib
import math
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import partial
from typing import NamedTuple

from stages.common.errors import StageError, shorten
from stages.common.row_keys import question_key
from stages.common.rows import LabelledRow
from stages.common.schema_data import Split
from stages.common.text_keys import folded_key, text_key
from stages.splits import PARTS

Cuts = tuple[float, float]  # below the first lies test, below the second validation, then train


def uniform(seed: int, purpose: str, group: str) -> float:
    """A number in [0, 1) that depends on its arguments only."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def group_of(row: LabelledRow, params: Split, question: str | None = None) -> str:
    """The group that must stay in one part: the first of the group columns that has a value, else the question itself.

    `question`: its key, where it is known already.
    """
    for column in [params.group] if isinstance(params.group, str) else params.group:
        if column and (value := folded_key(row.get(column))):
            return value
    return question_key(row) if question is None else question


def class_of(row: LabelledRow, params: Split) -> str:
    """The row's class; "" where none is asked for.

    Raises:
        StageError: if the row has no value in the column of classes.
    """
    name = text_key(row.get(params.stratify)) if params.stratify else ""
    if params.stratify and not name:
        raise StageError(
            f"row {row['id']}",
            f"{params.stratify} = {shorten(row.get(params.stratify))}",
            "a class",
            "make the label stage require it, or edit datasets.<name>.split.stratify",
        )
    return name


def is_sampled(row: LabelledRow, params: Split) -> bool:
    """Whether the row is in the sample; the rows of a smaller sample are all in a larger one."""
    return uniform(params.seed, "sample", group_of(row, params)) < params.sample


def place_of(row: LabelledRow, params: Split) -> float:
    """Where its group lies in [0, 1). With classes, each has an order of its own; a group of two classes is two groups."""
    group = group_of(row, params)
    return uniform(params.seed, "part", f"{class_of(row, params)}\0{group}" if params.stratify else group)


def part_said(row: LabelledRow, params: Split) -> str:
    """The part that the row says it belongs to, or the file that it is from; "" for none."""
    if isinstance(params.given, str):
        return folded_key(row.get(params.given)) if params.given else ""
    file = row["id"].rpartition("#")[0].partition("/")[2]
    for part, globs in params.given.items():
        if any(fnmatchcase(file, glob) for glob in ([globs] if isinstance(globs, str) else globs)):
            return part
    return ""


def says_its_part(row: LabelledRow, params: Split) -> bool:
    """Whether the row itself, or its file, says which part it belongs to."""
    return bool(params.given) and bool(part_said(row, params))


def plain_cuts(params: Split) -> Cuts:
    """The cuts where the shares say."""
    return params.test, params.test + params.validation


def part_of(row: LabelledRow, params: Split, cuts: Cuts | None = None) -> str:
    """train, validation or test.

    Args:
        cuts: those of the row's class; None where they lie as the shares say.

    Raises:
        StageError: if the source says the part itself (`given`) and says something else.
    """
    if part := params.given and part_said(row, params):
        if part not in PARTS:
            raise StageError(
                f"row {row['id']}",
                f"{params.given} = {shorten(row.get(params.given))}",
                f"one of {', '.join(PARTS)}",
                'edit the source, or set datasets.<name>.split.given to ""',
            )
        return part
    test, validation = cuts or plain_cuts(params)
    place = place_of(row, params)
    return "test" if place < test else "validation" if place < validation else "train"


def cuts_of(places: list[float], params: Split) -> Cuts:
    """Where test and validation end, for groups at `places` (ascending, distinct)."""
    total = len(places)
    train = int(0 < params.train < 1)  # at 1 every row is trained on anyway
    test = int(params.test > 0 and total > train)
    validation = int(params.validation > 0 and total > train + test)
    ends = plain_cuts(params)
    wanted = [round(total * end) if params.exact else bisect_left(places, end) for end in ends]
    first = min(max(wanted[0], test), total - train - validation)
    second = min(max(wanted[1], first + validation), total - train)

    def cut(number: int, index: int) -> float:
        if not params.exact and index == wanted[number]:
            return ends[number]
        return places[index] if index < total else 1.0

    return cut(0, first), cut(1, second)


class Membership(NamedTuple):
    """The rule of one set of rows; picklable."""

    params: Split
    cuts: dict[str, Cuts]  # of each class; none where the plain cuts hold for every row
    shares: dict  # how near the shares of the classes come to those asked for

    @classmethod
    def of(cls, rows: Iterable, params: Split, mapper: Callable = map) -> "Membership":
        """The rule for `rows` (files of rows where `mapper` is `mapped`), which are looked at only if it needs to know them."""
        needs_rows = params.stratify or params.exact
        return cls.with_stand_ins(rows, params, mapper) if needs_rows else cls(params, {}, {})

    @classmethod
    def with_stand_ins(cls, rows: Iterable, params: Split, mapper: Callable = map) -> "Membership":
        """The rule that leaves no part empty. Holds one number a row (8 bytes) while it is worked out."""
        places = defaultdict(lambda: array("d"))
        for name_and_place in mapper(partial(_class_and_place, params=params), rows):
            if name_and_place is not None:
                places[name_and_place[0]].append(name_and_place[1])
        cuts, counts = {}, {}
        for name in sorted(places):
            of_class = sorted(set(places.pop(name)))
            cuts[name] = cuts_of(of_class, params)
            first, second = (bisect_left(of_class, cut) for cut in cuts[name])
            counts[name] = {"test": first, "validation": second - first, "train": len(of_class) - second}
        return cls(params, cuts, shares_of(counts, params))

    def placed(self, row: LabelledRow) -> tuple[LabelledRow, str | None]:
        """A row and its part; None if it is not in the sample."""
        if not is_sampled(row, self.params):
            return row, None
        return row, part_of(row, self.params, self.cuts.get(class_of(row, self.params)))


def _class_and_place(row: LabelledRow, params: Split) -> tuple[str, float] | None:
    if not is_sampled(row, params) or says_its_part(row, params):
        return None
    return class_of(row, params), place_of(row, params)


def shares_of(counts: dict[str, dict[str, int]], params: Split) -> dict:
    """How near the shares of the classes come to those asked for, in groups; {} where there are no classes.

    Of a class of n groups about n·p come to a part of share p. Chance makes it more or fewer: the binomial standard error is
    √(n·p·(1-p)). `beyond_bound` counts the shares that are off by over three standard errors and one group; `widest` is the
    share that is furthest off. Of exact shares none is off by over one group.
    """
    asked = {part: getattr(params, part) for part in PARTS if part != "train" or params.train < 1}
    widest, beyond = None, 0
    for name, of_class in counts.items() if params.stratify else ():
        total = sum(of_class.values())
        for part, share in asked.items():
            error = math.sqrt(total * share * (1 - share))
            off = abs(of_class[part] - total * share)
            beyond += off > 3 * error + 1
            if error and (widest is None or off / error > widest["standard_errors"]):
                got = of_class[part] / total
                widest = {"class": name, "part": part, "share": got, "asked": share, "standard_errors": off / error}
    return {"beyond_bound": beyond, "widest": widest} if widest else {}
