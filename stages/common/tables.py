"""Families of variants: one table each, from a name to the function that it stands for.

The function is given as text, so that a variant is imported when it is asked for, and no sooner.
"""

from collections.abc import Mapping
from importlib import import_module


def entry(table: Mapping[str, str], name: str):
    """What `name` stands for. "stages.labels.clean:label_clean" is a function, "stages.prompts.chat" a module."""
    module, _, attribute = table[name].partition(":")
    imported = import_module(module)
    return getattr(imported, attribute) if attribute else imported
