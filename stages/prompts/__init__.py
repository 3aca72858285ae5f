"""Prompt styles: each module has `rows(row, params)`, the formatted rows of a split row, and `contract(params)`."""

from types import ModuleType


class Refused(ValueError):
    """A row that a style cannot hold; its text is the reason, which is counted."""


def style(name: str) -> ModuleType:
    """The module of a style."""
    from stages.prompts import alpaca, chat, classification, completion

    return {"alpaca": alpaca, "completion": completion, "chat": chat, "classification": classification}[name]


def formatted(row: dict, messages: list[dict], completion: str) -> dict:
    """`id, task, messages, completion`, and a `paraphrase` where a row has one (another good answer, for the judge)."""
    extra = {"paraphrase": row["paraphrase"]} if row.get("paraphrase") else {}
    return {"id": row["id"], "task": "text", "messages": messages, "completion": completion, **extra}
