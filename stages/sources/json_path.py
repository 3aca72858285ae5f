"""Paths into JSON: `instances.0.output`, `data[*].qa`, `elements.*`.

Steps are parted by dots: a key, a number (an array's item, from 0), `*` (each item of an array, each value of an object).
`[*]` and `[0]` are written for `.*` and `.0`; a key that holds a dot stands in quotes: `["a.b"].c`.
"""

import re
from collections.abc import Iterator

_STEP = re.compile(r"\[\s*(?:\"(?P<quoted>[^\"]*)\"|(?P<index>\d+|\*))\s*\]|\.?(?P<key>[^.\[\]]+)")


def steps(path: str) -> list[str]:
    """The steps of a path; none for "".

    Raises:
        ValueError: for what is no path.
    """
    keys, place = [], 0
    while place < len(path):
        match = _STEP.match(path, place)
        if match is None:
            raise ValueError(f"no path at {path[place:]!r}")
        keys.append(next(group for group in match.groups() if group is not None))
        place = match.end()
    return keys


def value_at(value: object, path: list[str]) -> object:
    """The value at the end of a path without `*`.

    Raises:
        KeyError: the first step that leads nowhere.
    """
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise KeyError(step)
    return value


def rows_at(value: object, path: list[str], around: dict) -> Iterator[dict]:
    """The rows at the end of a path: an object, or each item of an array.

    A row also has the fields of the objects around it that are no lists or objects themselves, unless it has its own of that
    name. An item that is no object is the field `value`; what lies under `*` of an object has its key as the field `key`.

    Raises:
        KeyError: the first step that leads nowhere.
    """
    if not path:
        for item in value if isinstance(value, list) else [value]:
            yield around | (item if isinstance(item, dict) else {"value": item})
        return
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        around = around | {key: inner for key, inner in value.items() if not isinstance(inner, dict | list)}
    if step != "*":
        if isinstance(value, list) and not step.isdecimal():  # a key of each item
            for item in value:
                yield from rows_at(item, path, around)
            return
        yield from rows_at(value_at(value, [step]), rest, around)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from rows_at(inner, rest, around | {"key": key})
    elif isinstance(value, list):
        for item in value:
            yield from rows_at(item, rest, around)
    else:
        raise KeyError(step)
