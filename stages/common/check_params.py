"""Refuses a `params.yaml` with all its problems in one message: keys, types, ranges, defaults and what refers to what.

Like the schema, this file holds no value that could change an output, and is no dependency of any stage.
"""

import difflib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Tag, TypeAdapter, ValidationError

from stages.common.defaults import ALL, ENTRIES, TASKS, Place, choice_field, models_below, resolve
from stages.common.errors import StageError, shorten
from stages.common.schema import Params
from stages.common.wiring import wiring

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "a mapping",
    "list_type": "a list",
    "model_type": "a mapping",
}
NONE = "; expected a mapping, {} where nothing is left to it"
CHOOSES = {"label": ("label", "method"), "format": ("format", "style")} | dict.fromkeys(
    ("train", "generate", "judge"), ("train", "method")
)  # by stage: the section and its field by which dvc.yaml finds the defaults of an entry
SECTIONS = {stage: annotation for kind in ("datasets", "models") for stage, annotation in ENTRIES[kind].items()}


def check(params: dict, path: Path) -> Params:
    """The typed file, every entry filled in.

    Raises:
        StageError: with all problems of shape, type, range and wiring in one message.
    """
    if not isinstance(params, dict):
        params = {"the whole file": params}
    checked, filled, origins = None, *resolve(params)
    illegal = dict(_defaults(params.get("defaults", {}))) | dict(_unlisted(filled, params.get("defaults")))
    problems = list(illegal.values())
    try:
        checked = Params.model_validate(filled)
    except ValidationError as errors:
        problems += _described(errors.errors(include_url=False), origins, illegal)
    problems += wiring(filled)
    if problems:
        listing = "".join(f"\n    - {problem}" for problem in problems)
        raise StageError(
            path,
            f"{len(problems)} problem{'s' * (len(problems) > 1)}{listing}",
            "the parameters described in docs/parameters.md",
            f"edit {path}",
        )
    return checked


# entries -------------------------------------------------------------------------------------------------------------


def _described(errors: list[dict], origins: dict[Place, str], illegal: dict[str, str]) -> list[str]:
    """The problems of entries in words; where the same default brings the same problem to several entries, all in one line."""
    places: dict[str, list[str]] = {}
    for error in errors:
        keys = _walk(error["loc"])[0]
        where = ".".join(keys) or "the whole file"
        if problem := _describe(error, keys, where, origins, illegal):
            places.setdefault(problem, []).append(where)
    problems = []
    for problem, wheres in places.items():
        together = "; left to defaults." in problem
        problems += [f"{where}: {problem}" for where in ([", ".join(wheres)] if together else wheres)]
    return problems


def _describe(error: dict, keys: list[str], where: str, origins: dict[Place, str], illegal: dict[str, str]) -> str:
    """One problem in words, without its place; "" where its cause is a problem of the defaults, which is named already."""
    kind, stage = error["type"], keys[2] if len(keys) > 2 and keys[2] in SECTIONS else ""
    if kind == "extra_forbidden":
        models = models_below(_walk(error["loc"][:-1])[1])
        return _unknown(keys[-1], {name for model in models for name in model.model_fields})
    if kind in ("missing", "union_tag_not_found"):
        absent = any(illegal[path].endswith(NONE) for path in illegal if stage and path.startswith(f"defaults.{stage}"))
        inside = stage and len(keys) > 3
        if absent and (inside or kind == "union_tag_not_found") or "'task'" in error["msg"]:
            return ""
        named = f"no {error['ctx']['discriminator'].strip(chr(39))}" if kind == "union_tag_not_found" else "missing"
        return f"{named}; expected a value" + (f", here or in defaults.{stage}" if inside else "")
    origin = next((origins[tuple(keys[:depth])] for depth in range(len(keys), 0, -1) if tuple(keys[:depth]) in origins), "")
    if any(path == origin or path.startswith(f"{origin}.") for path in illegal if origin):
        return ""
    if kind == "value_error" and not origin:  # several values of a section that do not fit together
        inner = {place[-1]: path for place, path in origins.items() if place[:-1] == tuple(keys)}
        origin = ", ".join(path for name, path in inner.items() if re.search(rf"\b{name}\b", error["msg"]))
        if origin:
            return f"{_in_words(error)}; left to {origin}"
    return _message(error) + (f"; left to {origin}" if origin else "")


def _message(error: dict) -> str:
    return f"found {shorten(error['input'])}, expected {_EXPECTED.get(error['type']) or _in_words(error)}"


def _in_words(error: dict) -> str:
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "").strip()


def _unknown(key: str, legal: set[str]) -> str:
    near = difflib.get_close_matches(key, legal, n=1)
    return f"unknown key{f'; did you mean {near[0]!r}?' if near else ''} (legal: {', '.join(sorted(legal))})"


def _walk(location: tuple) -> tuple[list[str], object]:
    """The keys of the file on the way to a problem, and the type expected there.

    pydantic also names the chosen members of unions (`base.wheel.sha256`), which are no keys of the file.
    """
    keys, expected = [], Params
    for part in location:
        while get_origin(expected) is Annotated:
            expected = get_args(expected)[0]
        if get_origin(expected) in (Union, UnionType):
            expected = next((member for member in get_args(expected) if part in _tags(member)), None)
        elif part != "[key]":
            keys.append(str(part))
            if isinstance(expected, type) and issubclass(expected, BaseModel):
                expected = expected.model_fields[part].annotation if part in expected.model_fields else None
            else:
                expected = get_args(expected)[-1] if get_origin(expected) in (dict, list) else None
    return keys, expected


def _tags(member: object) -> list[str]:
    """What pydantic calls a member of a union: its tag, or the value of the field that tells its models from the others."""
    named = [extra.tag for extra in get_args(member)[1:] if isinstance(extra, Tag)]
    return named or [tag for model in models_below(member) for tag in _choices(model)]


def _choices(model: type[BaseModel]) -> tuple:
    """The values that the field by which a section is chosen may have."""
    name = choice_field(model)
    return get_args(model.model_fields[name].annotation) if name else ()


# defaults ------------------------------------------------------------------------------------------------------------


def _defaults(defaults: object) -> Iterator[tuple[str, str]]:
    """Of every illegal default its path, and the problem in words."""
    if not isinstance(defaults, dict):
        yield "defaults", f"defaults: found {shorten(defaults)}, expected a mapping"
        return
    for stage, tree in defaults.items():
        place = f"defaults.{stage}"
        if stage not in SECTIONS:
            yield place, f"{place}: {_unknown(str(stage), set(SECTIONS))}"
        elif stage in ("generate", "judge"):  # by the method of training, which tells the task
            by_task = {_choices(model)[0]: model for model in models_below(SECTIONS[stage])}
            yield from _by_choice({method: [by_task[task]] for method, task in TASKS.items()}, tree, place)
        else:
            yield from _tree(SECTIONS[stage], tree, place)


def _unlisted(filled: dict, defaults: object) -> Iterator[tuple[str, str]]:
    """Sections of defaults that dvc.yaml hands to the stages of an entry and that are not there, without which DVC does not
    run: path and problem."""
    for kind in ("datasets", "models"):
        entries = filled[kind] if isinstance(filled.get(kind), dict) else {}
        for key, entry in entries.items():
            for stage in ENTRIES[kind] if isinstance(entry, dict) else ():
                for place in _listed(stage, entry):
                    tree = defaults
                    for name in place:
                        tree = tree.get(name) if isinstance(tree, dict) else None
                    if tree is None:
                        path = f"defaults.{'.'.join(place)}"
                        yield path, f"{path}: missing, and {kind}.{key} is filled in from it{NONE}"


def _listed(stage: str, entry: dict) -> list[Place]:
    """The sections of defaults that a stage of an entry depends on, as dvc.yaml lists them."""
    if stage not in CHOOSES:
        return [(stage,)]
    section, field = CHOOSES[stage]
    choice = entry[section].get(field) if isinstance(entry.get(section), dict) else None
    known = {choice for model in models_below(SECTIONS[section]) for choice in _choices(model)}
    return [(stage, ALL), (stage, choice)] if isinstance(choice, str) and choice in known else []


def _tree(annotation: object, tree: object, place: str) -> Iterator[tuple[str, str]]:
    models = models_below(annotation)
    if len(models) == 1 and not choice_field(annotation):
        yield from _leaves(models, tree, place)
    else:
        by_choice = {}
        for model in models:
            for choice in _choices(model):
                by_choice.setdefault(choice, []).append(model)
        yield from _by_choice(by_choice, tree, place)


def _by_choice(models: dict[str, list[type[BaseModel]]], tree: object, place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(tree, dict):
        yield place, f"{place}: found {shorten(tree)}, expected a mapping"
        return
    for key, part in tree.items():
        if key == ALL:
            yield from _leaves([model for some in models.values() for model in some], part, f"{place}.{key}")
        elif key in models:
            yield from _leaves(models[key], part, f"{place}.{key}")
        else:
            yield f"{place}.{key}", f"{place}.{key}: {_unknown(str(key), {ALL, *models})}"


def _leaves(models: list[type[BaseModel]], tree: object, place: str) -> Iterator[tuple[str, str]]:
    """Problems of values for one of several sections: each must be legal in at least one that has a field of its name."""
    if not isinstance(tree, dict):
        yield place, f"{place}: found {shorten(tree)}, expected a mapping"
        return
    legal = {name for model in models for name in model.model_fields}
    for name, value in tree.items():
        where = f"{place}.{name}"
        having = [model for model in models if name in model.model_fields]
        if not having:
            yield where, f"{where}: {_unknown(str(name), legal)}"
        elif models_below(annotation := having[0].model_fields[name].annotation) and not isinstance(value, str):
            yield from _tree(annotation, value, where)
        else:
            errors = [_illegal(model, name, value) for model in having]
            if all(errors):
                inner = "".join(f".{part}" for part in errors[0]["loc"] if not isinstance(part, str) or isinstance(value, dict))
                yield where, f"{where}{inner}: {_message(errors[0])}"


def _illegal(model: type[BaseModel], name: str, value: object) -> dict | None:
    try:
        _adapter(model, name).validate_python(value)
    except ValidationError as errors:
        return errors.errors(include_url=False)[0]


@cache
def _adapter(model: type[BaseModel], name: str) -> TypeAdapter:
    field = model.model_fields[name]
    annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
