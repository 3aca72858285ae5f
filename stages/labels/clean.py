"""Cleaning: rows without a value and repeated rows are set aside, each with its reason."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from stages.common import conversations
from stages.common.raw import raw_files
from stages.common.row_keys import to_classify
from stages.common.rows import RawRow
from stages.common.schema_data import Clean
from stages.common.spread import mapped
from stages.common.text_keys import as_text, text_key
from stages.labels.alike import Classes
from stages.labels.repeats import Checked, distinct, keys

TEXTS = ("instruction", "input", "response", "text", "label")  # ours: text wherever they are


def tidy(row: RawRow) -> RawRow:
    """Outer white space and line endings made plain; None becomes ""; numbers become text in columns of text.

    Other values stay, `messages` among them.
    """

    def text(value: object) -> object:
        if value is None:
            return ""
        return value.replace("\r\n", "\n").replace("\r", "\n").strip() if isinstance(value, str) else value

    return {key: text(as_text(value) if key in TEXTS else value) for key, value in row.items()}


def checked(raw: RawRow, params: Clean) -> Checked:
    """A row made plain, with the reason to drop it, or its keys.

    A label is the name of a class, so it is written in one way: as its `text_key`.

    Reasons: `missing <column>`, `not text: <column>`, `not usable: messages: <why>`.
    """
    row = tidy(raw)
    if to_classify(row) and isinstance(row["label"], str | int | float):
        row["label"] = class_name(row["label"])
    if reason := _unusable(row, params.required):
        return row, reason, None
    verbatim = [raw.get(name) for name in ("instruction", "input", "response", "text", "label", "messages")]
    return row, None, keys(row, repr(verbatim))


def class_name(label: str | float) -> str:
    """The name of a class as it is written from here on: 1 and 1.0 are "1", true is "true", a text is its `text_key`."""
    return text_key(as_text(label))


def _unusable(row: dict, required: list[str]) -> str | None:
    """Why a row cannot be used; None if it can: its conversation then stands in our own form."""
    texts = [name for name in dict.fromkeys([*required, *TEXTS]) if name != "messages"]
    for name in texts:
        if not isinstance(row.get(name, ""), str):
            return f"not text: {name}"
    for name in required:
        if not row_has(row, name):
            return f"missing {name}"
    if "messages" not in row:
        return None
    try:
        row["messages"] = conversations.conversation(row["messages"])
    except conversations.NotUsable as error:
        return f"not usable: messages: {error}"
    return None


def clean(rows: Iterable, params: Clean, mapper: Callable = map) -> Iterator[tuple[RawRow, str | None]]:
    """Each row with the reason to drop it, or None to keep it.

    Args:
        rows: rows that can be gone through more than once; files of rows where `mapper` is `mapped`.
        params: which columns are required, and what becomes of conflicts.
        mapper: `map`, or what does the same on all rows of files.
    """
    return distinct(lambda: mapper(partial(checked, params=params), rows), params.conflicts)


def label_clean(raw: Path, params: Clean) -> tuple:
    """The rows of all sources that yield rows; of texts with a label also the classes."""
    classes = Classes()
    return classes.counted(clean(raw_files(raw), params, mapped)), classes.metrics


def row_has(row: dict, column: str) -> bool:
    """Whether there is a value that is not blank."""
    value = row.get(column)
    return bool(text_key(value)) if isinstance(value, str) or value is None else bool(value) or value == 0
