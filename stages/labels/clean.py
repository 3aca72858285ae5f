"""Cleaning: rows without a value and repeated rows are set aside, each with its reason."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from stages.common import chat
from stages.common.raw import raw_rows
from stages.common.schema_data import Clean
from stages.common.seen import Seen
from stages.common.text import answer, normal, question

TEXTS = ("instruction", "input", "response", "text", "label")  # ours: text wherever they are


def tidy(row: dict) -> dict:
    """Outer white space and line endings made plain; None becomes ""; other values stay, `messages` among them."""

    def text(value: object) -> object:
        if value is None:
            return ""
        return value.replace("\r\n", "\n").replace("\r", "\n").strip() if isinstance(value, str) else value

    return {key: text(value) for key, value in row.items()}


class Repeats:
    """Remembers rows by what they ask; says in what way another one repeats them."""

    def __init__(self, conflicts: str):
        self.conflicts, self.answers, self.exact = conflicts, Seen(), Seen()

    def reason(self, row: dict, verbatim: str) -> str | None:
        """`duplicate` (the same to the letter, which `verbatim` stands for), `duplicate but for case or white space`,
        `conflict` (the same question with another answer; the first one stays), or None."""
        asked, said = question(row), answer(row)
        same = self.exact.first(verbatim, "") is not None
        before = self.answers.first(asked if self.conflicts == "drop_later" else f"{asked}\n{said}", said)
        if before is None:
            return None
        return ("duplicate" if same else "duplicate but for case or white space") if before == said else "conflict"

    def __enter__(self) -> "Repeats":
        return self

    def __exit__(self, *_) -> None:
        self.answers.__exit__()
        self.exact.__exit__()


def clean(rows: Iterable[dict], params: Clean) -> Iterator[tuple[dict, str | None]]:
    """Each row with the reason to drop it, or None to keep it.

    Reasons: `missing <column>`, `not text: <column>`, `not usable: messages: <why>`, and those of `Repeats`.
    """
    texts = [name for name in dict.fromkeys([*params.required, *TEXTS]) if name != "messages"]
    with Repeats(params.conflicts) as repeats:
        for raw in rows:
            row = tidy(raw)
            reason = next((f"not text: {name}" for name in texts if not isinstance(row.get(name, ""), str)), None)
            reason = reason or next((f"missing {name}" for name in params.required if not row_has(row, name)), None)
            if reason is None and "messages" in row and (why := chat.problem(row["messages"])):
                reason = f"not usable: messages: {why}"
            if reason is None:
                verbatim = [raw.get(name) for name in ("instruction", "input", "response", "text", "label", "messages")]
                reason = repeats.reason(row, repr(verbatim))
            yield row, reason


def label_clean(raw: Path, params: Clean) -> tuple:
    """The rows of all sources that yield rows."""
    return clean(raw_rows(raw), params), dict


def row_has(row: dict, column: str) -> bool:
    """Whether there is a value that is not blank."""
    value = row.get(column)
    return bool(normal(value)) if isinstance(value, str) or value is None else bool(value) or value == 0
