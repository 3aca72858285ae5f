"""Our columns out of a source's: by name, by a path into nested values, or by a template of several."""

import re
import string
from collections.abc import Callable

from stages.common.errors import StageError
from stages.sources.json_path import steps, value_at

FIX = "edit datasets.<name>.scrape.sources.<source>.columns"
Column = Callable[[dict], object]  # the value out of a row; raises KeyError with the name of a column that the row lacks


def column(template: str, ours: str) -> Column:
    """What `columns` says of one of ours.

    `Question`: the source's column of that name. `instances.0.output`: a path into a nested value, where no column has that
    name. `{supplier} | {wording}`: a text with the values of columns in it; it is empty where one of them is, but for
    `{input?}`, which may be. `{number:.1}` is the first character of a value. For `messages` a template puts one value after
    the other, texts or turns: `{prompt}{chosen}`.

    Raises:
        StageError: for a template that is none.
    """
    if "{" not in template:
        return lambda row: _value(row, template)
    try:
        parts = [(text, name, _most(cut)) for text, name, cut, _ in string.Formatter().parse(template)]
    except ValueError as error:
        raise StageError(
            f"columns.{ours}: {template!r}", str(error), "a template such as {question} in {language}", FIX
        ) from None
    if ours == "messages":
        return lambda row: _turns([_value(row, name.rstrip("?")) for _, name, _ in parts if name])
    return lambda row: _filled(row, parts)


def _most(cut: str | None) -> int | None:
    """How many characters `.3` leaves of a value; None for all.

    Raises:
        ValueError: for any other format.
    """
    if cut and not re.fullmatch(r"\.\d+", cut):
        raise ValueError(f"no format {cut!r}: {{number:.3}} is the first three characters")
    return int(cut[1:]) if cut else None


def _value(row: dict, name: str) -> object:
    if name in row:
        return row[name]
    try:
        return value_at(row, steps(name))
    except (KeyError, ValueError):
        raise KeyError(name) from None


def _filled(row: dict, parts: list[tuple[str, str | None, int | None]]) -> str:
    pieces = []
    for text, name, most in parts:
        pieces.append(text)
        if name is None:
            continue
        value = as_text(_value(row, name.rstrip("?")))
        if not value.strip() and not name.endswith("?"):
            return ""
        pieces.append(value[:most])
    return "".join(pieces)


def as_text(value: object) -> str:
    """A value in a template: text as it stands, nothing as nothing, a truth value as true or false, several with commas."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(as_text, value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _turns(values: list[object]) -> list:
    """A conversation out of texts, the last of which is the assistant's, and lists of turns.

    A list that begins with the turns before it stands for them: `chosen` often holds the prompt too.
    """
    turns: list = []
    for place, value in enumerate(values):
        if isinstance(value, str):
            role = "assistant" if place == len(values) - 1 else "user"
            turns.append({"role": role, "content": value})
        elif isinstance(value, list):
            turns = value if value[: len(turns)] == turns else turns + value
    return turns
