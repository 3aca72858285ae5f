"""Prompt styles: each module has `messages(row, params)` and `contract(params)`."""

from types import ModuleType


def style(name: str) -> ModuleType:
    """The module of a style."""
    from stages.prompts import alpaca

    return {"alpaca": alpaca}[name]
