"""The fields of a stage's `Paths`. They lie apart from the command line, whose code has no say in what is kept (kept.py)."""

from dataclasses import field
from typing import Any


def path(about: str) -> Any:
    """A field of `Paths`; `about` is the help of its option."""
    return field(metadata={"help": about})
