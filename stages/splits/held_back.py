"""The rows that are held back (test and validation), and whether another row repeats one of them."""

from typing import TYPE_CHECKING, NamedTuple

from stages.common.row_keys import answer_key, earlier_question_keys, question_key
from stages.common.rows import LabelledRow
from stages.common.schema_data import Split
from stages.common.seen import Seen, digest
from stages.splits.membership import group_of

if TYPE_CHECKING:
    import numpy as np

BEFORE = {"test": (), "validation": ("test",), "train": ("test", "validation")}  # the parts whose rows a part must not repeat


class Traits(NamedTuple):
    """What must be known of a row to say whether it repeats another one. `earlier`: the questions of earlier turns to learn."""

    id: str
    question: bytes
    earlier: tuple[bytes, ...]
    group: bytes
    signature: "np.ndarray | None"  # None where near-duplicates are not looked for


def traits_of(rows: list[LabelledRow], params: Split) -> list[Traits]:
    """The traits of rows; the signatures take most of the time that a split takes."""
    questions, signatures = [question_key(row) for row in rows], [None] * len(rows)
    if params.near_duplicate:
        from stages.splits.near_duplicates import signatures_of

        signatures = signatures_of([f"{question}\n{answer_key(row)}" for question, row in zip(questions, rows, strict=True)])
    return [
        Traits(
            row["id"],
            digest(f"question\0{question}"),
            tuple(digest(f"question\0{earlier}") for earlier in earlier_question_keys(row)),
            digest(f"group\0{group_of(row, params, question)}"),
            signature,
        )
        for row, question, signature in zip(rows, questions, signatures, strict=True)
    ]


class HeldBack:
    """Remembers held-back rows by question, by group and by near-duplicate search (unless `near_duplicate` is 0).

    Logs of chats often hold a conversation several times, each time with a turn more. A row that continues a held-back
    conversation, or that a held-back one continues, repeats it. Two that only begin alike ("Hello!") do not.
    """

    def __init__(self, params: Split):
        self.parts, self.earlier = Seen(), Seen()
        self.near = {}
        if params.near_duplicate:
            from stages.splits.near_duplicates import NearDuplicates

            self.near = {part: NearDuplicates(params.near_duplicate) for part in ("test", "validation")}

    def add(self, row: Traits, part: str) -> None:
        """Remember a row of test or validation."""
        self.parts.first(row.question, part)
        self.parts.first(row.group, part)
        for question in row.earlier:
            self.earlier.first(question, part)
        if self.near:
            self.near[part].add(row.id, row.signature)

    def reasons(self, rows: list[Traits], part: str) -> list[str | None]:
        """For each row the reason why it must not be in `part` (train, validation or test); None where it may."""
        reasons = [self._repeated(row, BEFORE[part]) for row in rows]
        for other in BEFORE[part] if self.near else ():
            open_places = [place for place, reason in enumerate(reasons) if reason is None]
            twins = self.near[other].like([rows[place].signature for place in open_places])
            for place, twin in zip(open_places, twins, strict=True):
                reasons[place] = twin and f"near-duplicate held back in {other}: {twin}"
        return reasons

    def _repeated(self, row: Traits, before: tuple[str, ...]) -> str | None:
        for reason, key in (("same question", row.question), ("same group", row.group)):
            if (part := self.parts.get(key)) in before:
                return f"{reason} held back in {part}"
        continued = (self.earlier.get(row.question), *map(self.parts.get, row.earlier))
        part = next((part for part in continued if part in before), None)
        return part and f"same conversation held back in {part}"
