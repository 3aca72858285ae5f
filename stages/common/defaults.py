"""Fills in what an entry of `params.yaml` leaves out, from `defaults:` in the same file.

    defaults:
      train:
        all: {epochs: 2, seed: 1}          # of every method that has the parameter
        causal: {packing: true}            # of this method; it wins over `all`
    models:
      a:
        train: {method: causal, epochs: 5} # is trained with {method: causal, epochs: 5, seed: 1, packing: true}

`all` and one mapping a choice stand wherever a section chooses by `method`, `style` or `kind`. `generate` and `judge` go by the
model's method of training, which also tells their task. `sources` and `judges` hold entries under names of their own: their
defaults go by the `kind` of each.
"""

import copy
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel

from stages.common.schema import Params

ALL = "all"
CHOICES = ("kind", "method", "style", "task")  # fields by which a section says which of several it is
TASKS = {"causal": "text", "hosted": "text", "classifier": "label"}  # what each method of training trains for
MISSING = object()
Layer = tuple[str, object]  # the dotted path of a default, and what stands there; the nearest comes first in a list
Place = tuple[str, ...]  # the keys on the way to a value


def models_below(annotation: object) -> list[type[BaseModel]]:
    """The sections that an annotation is made of: none for plain values and lists, which are written whole."""
    if get_origin(annotation) is list:
        return []
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_below(part)]


def choice_field(annotation: object) -> str:
    """The field by which the sections of a union are told apart; "" where there is no choice."""
    return next((name for name in CHOICES if any(name in model.model_fields for model in models_below(annotation))), "")


def _sections(entry: type[BaseModel]) -> dict[str, object]:
    return {name: field.annotation for name, field in entry.model_fields.items() if models_below(field.annotation)}


# by kind of entry: its sections, with the type of each
ENTRIES = {
    kind: _sections(get_args(field.annotation)[1])
    for kind, field in Params.model_fields.items()
    if models_below(field.annotation)
}


def resolve(params: dict) -> tuple[dict, dict[Place, str]]:
    """The file without `defaults`, every entry filled in; and of each value that a default gave, the path of that default.

    What has the wrong shape stays as it is: the check that follows names it.
    """
    defaults = params.get("defaults") if isinstance(params.get("defaults"), dict) else {}
    filled, origins = {key: value for key, value in params.items() if key != "defaults"}, {}
    for kind, sections in ENTRIES.items():
        if isinstance(params.get(kind), dict):
            filled[kind] = {
                key: _entry(entry, sections, defaults, (kind, str(key)), origins) if isinstance(entry, dict) else entry
                for key, entry in params[kind].items()
            }
    return filled, origins


def as_read(params: dict) -> dict:
    """The file as reports and comparisons read it, of this revision or of an older one: every entry filled in, and
    `judge_base` among the wires of each model, where it stood before."""
    filled = resolve(params)[0]
    encoder = {"judge_base": filled["judge_base"]} if "judge_base" in filled else {}
    models = filled.get("models")
    if isinstance(models, dict):
        filled["models"] = {name: encoder | model if isinstance(model, dict) else model for name, model in models.items()}
    return filled


def _entry(entry: dict, sections: dict, defaults: dict, place: Place, origins: dict[Place, str]) -> dict:
    filled = dict(entry)
    method = entry["train"].get("method") if isinstance(entry.get("train"), dict) else None
    method = method if isinstance(method, str) else None
    for stage, annotation in sections.items():
        written = entry.get(stage, MISSING)
        if not isinstance(written, dict):
            continue
        layers = [(f"defaults.{stage}", defaults[stage])] if stage in defaults else []
        if stage in ("generate", "judge"):
            written = ({"task": TASKS[method]} if method in TASKS else {}) | written
            member, layers = _member(annotation, written.get("task")), _narrowed(layers, method)
            filled[stage] = _section(member, written, layers, (*place, stage), origins) if member else written
        else:
            filled[stage] = _filled(annotation, written, layers, (*place, stage), origins)
    return filled


def _filled(annotation: object, written: object, layers: list[Layer], place: Place, origins: dict[Place, str]) -> object:
    """What is written, filled in; MISSING where neither the entry nor a default has it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is dict:
        if not isinstance(written, dict):
            return written
        return {
            key: _filled(get_args(annotation)[1], value, layers, (*place, str(key)), origins) for key, value in written.items()
        }
    if written is not MISSING and not isinstance(written, dict) or written is MISSING and not layers:
        return written
    named = {} if written is MISSING else written
    member = annotation
    if get_origin(annotation) in (Union, UnionType):
        field = choice_field(annotation)
        choice = named.get(field, next((tree[field] for _, tree in _narrowed(layers, None) if field in tree), None))
        member, layers = _member(annotation, choice), _narrowed(layers, choice)
        if member is None:
            return written
    return _section(member, named, layers, place, origins)


def _section(member: type[BaseModel], written: dict, layers: list[Layer], place: Place, origins: dict[Place, str]) -> dict:
    filled = {}
    for name, field in member.model_fields.items():
        below = [(f"{path}.{name}", tree[name]) for path, tree in layers if isinstance(tree, dict) and name in tree]
        value = written.get(name, MISSING)
        if models_below(field.annotation):
            value = _filled(field.annotation, value, below, (*place, name), origins)
        elif value is MISSING and below:
            origins[(*place, name)], value = below[0][0], copy.deepcopy(below[0][1])
        if value is not MISSING:
            filled[name] = value
    return filled | {name: value for name, value in written.items() if name not in filled}


def _narrowed(layers: list[Layer], choice: object) -> list[Layer]:
    """Of each layer the part of one choice, then the part for all."""
    return [
        (f"{path}.{key}", tree[key])
        for path, tree in layers
        for key in (choice, ALL)
        if isinstance(tree, dict) and isinstance(key, str) and isinstance(tree.get(key), dict)
    ]


def _member(annotation: object, choice: object) -> type[BaseModel] | None:
    """The section of a union that is told by this choice."""
    for model in models_below(annotation):
        if choice in get_args(model.model_fields[choice_field(annotation)].annotation):
            return model
    return None
