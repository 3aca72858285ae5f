"""What has been held back for validation and test, and whether another row repeats any of it."""

from typing import TYPE_CHECKING, NamedTuple

from stages.common.row_keys import answer_key, question_key
from stages.common.schema_data import Split
from stages.common.seen import Seen, digest
from stages.splits.membership import group_of

if TYPE_CHECKING:
    import numpy as np


class Facts(NamedTuple):
    """All that is asked of a row to say whether it repeats another one."""

    id: str
    question: bytes
    group: bytes
    signature: "np.ndarray | None"  # None where near-duplicates are not looked for


def facts(row: dict, params: Split) -> Facts:
    """The facts of a row; the signature takes most of the time that a split takes."""
    found = None
    if params.near_duplicate:
        from stages.splits.near_duplicates import signature

        found = signature(f"{question_key(row)}\n{answer_key(row)}")
    return Facts(row["id"], digest(f"question\0{question_key(row)}"), digest(f"group\0{group_of(row, params)}"), found)


class HeldBack:
    """Remembers held-back rows by question, by group and by near-duplicate search (unless `near_duplicate` is 0)."""

    def __init__(self, params: Split):
        self.seen = Seen()
        self.near = {}
        if params.near_duplicate:
            from stages.splits.near_duplicates import NearDuplicates

            self.near = {part: NearDuplicates(params.near_duplicate) for part in ("test", "validation")}

    def add(self, row: Facts, part: str) -> None:
        for key in (row.question, row.group):
            self.seen.first(key, part)
        if self.near:
            self.near[part].add(row.id, row.signature)

    def reasons(self, rows: list[Facts], part: str) -> list[str | None]:
        """Why rows must not be in `part` (train, validation or test); None where one may."""
        before = {"test": (), "validation": ("test",), "train": ("test", "validation")}[part]
        found = [self._repeated(row, before) for row in rows]
        for other in before if self.near else ():
            open_still = [place for place, reason in enumerate(found) if reason is None]
            for place, twin in zip(open_still, self.near[other].like([rows[i].signature for i in open_still]), strict=True):
                found[place] = twin and f"near-duplicate held back in {other}: {twin}"
        return found

    def _repeated(self, row: Facts, before: tuple[str, ...]) -> str | None:
        for what, key in (("same question", row.question), ("same group", row.group)):
            if (part := self.seen.get(key)) in before:
                return f"{what} held back in {part}"
        return None
