"""What has been held back for validation and test, and whether another row repeats any of it."""

from stages.common.schema_data import Split
from stages.common.seen import Seen
from stages.common.text import answer, question
from stages.splits.membership import group_of


class HeldBack:
    """Remembers held-back rows by question, by group and by near-duplicate search (unless `near_duplicate` is 0)."""

    def __init__(self, params: Split):
        self.params = params
        self.seen = Seen()
        self.near = {}
        if params.near_duplicate:
            from stages.splits.near_duplicates import NearDuplicates

            self.near = {part: NearDuplicates(params.near_duplicate) for part in ("test", "validation")}

    def _keys(self, row: dict) -> dict[str, str]:
        return {"same question": f"question\0{question(row)}", "same group": f"group\0{group_of(row, self.params)}"}

    def add(self, row: dict, part: str) -> None:
        for key in self._keys(row).values():
            self.seen.first(key, part)
        if self.near:
            self.near[part].add(row["id"], _text(row))

    def reason(self, row: dict, part: str) -> str | None:
        """Why `row` must not be in `part` (train, validation or test); None if it may."""
        before = {"test": (), "validation": ("test",), "train": ("test", "validation")}[part]
        for what, key in self._keys(row).items():
            if self.seen.get(key) in before:
                return f"{what} held back in {self.seen.get(key)}"
        for other in before:
            if self.near and (twin := self.near[other].like(_text(row))):
                return f"near-duplicate held back in {other}: {twin}"
        return None


def _text(row: dict) -> str:
    return f"{question(row)}\n{answer(row)}"
