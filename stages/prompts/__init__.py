"""Prompt styles: each module has `rows(row, params)`, the formatted rows of a split row, and `contract(params)`."""

from types import ModuleType

from stages.common.rows import FormattedText, LabelledRow, Message
from stages.common.tables import entry

STYLES = {
    "alpaca": "stages.prompts.alpaca",
    "completion": "stages.prompts.completion",
    "chat": "stages.prompts.chat",
    "classification": "stages.prompts.classification",
}


class Refused(ValueError):
    """A row that a style cannot hold. Its text is the reason, which is counted."""


def style(name: str) -> ModuleType:
    """The module of a style."""
    return entry(STYLES, name)


def formatted(row: LabelledRow, messages: list[Message], completion: str) -> FormattedText:
    """A formatted row: `id, task, messages, completion`, and `paraphrase` and `weak` where the row has them.

    `paraphrase` is another good answer, for the judge. `weak` is what the labelling program says where the answer is a
    person's.
    """
    extra = {key: row[key] for key in ("paraphrase", "weak") if row.get(key)}
    return {"id": row["id"], "task": "text", "messages": messages, "completion": completion, **extra}
