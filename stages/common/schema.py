"""Every parameter with its type, its unit and its legal values. The schema refuses; it never fills in.

Because nothing here can change what a stage writes (there are no defaults), neither this file nor schema_sources.py,
schema_data.py, schema_models.py and sections.py, which belong to it, are dependencies of any stage.
"""

import difflib
import re
from pathlib import Path
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from stages.common.errors import StageError, shorten
from stages.common.schema_data import Format, Label, Split, sources_fit
from stages.common.schema_models import Answering, Base, Judging, Train
from stages.common.schema_sources import Scrape
from stages.common.sections import Section

NAME = re.compile(r"[a-z][a-z0-9_]*")
RESERVED = {"answers", "verdicts", "sources", "speed"}  # folders of their own in data/ and metrics/

# the whole file ------------------------------------------------------------------------------------------------------


class BaseEntry(Section):
    base: Base


class DatasetEntry(Section):
    source: str  # the directory that `scrape` reads
    scrape: Scrape
    label: Label
    split: Split
    format: Format


class ModelEntry(Section):
    dataset: str
    shards: str  # below formatted/: `train`, or one file of it such as train/000.jsonl; other rows do not concern the model
    base: str  # what training starts from: a base or an earlier round
    root: str  # the base at the start of the chain of rounds, which answers are compared with
    judge_base: str  # the encoder of the embedded judge
    train: Train
    generate: Answering
    judge: Judging


class Params(Section):
    bases: dict[str, BaseEntry]
    datasets: dict[str, DatasetEntry]
    models: dict[str, ModelEntry]


_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "missing": "a value (every parameter is written out)",
    "dict_type": "a mapping",
    "list_type": "a list",
    "model_type": "a mapping",
}


def check(params: dict, path: Path) -> Params:
    """The typed file.

    Raises:
        StageError: with all problems of shape, type, range and wiring in one message.
    """
    problems, checked = [], None
    try:
        checked = Params.model_validate(params)
    except ValidationError as errors:
        problems = [_describe(error) for error in errors.errors(include_url=False)]
    problems += list(_wiring(params)) if isinstance(params, dict) else []
    if problems:
        listing = "".join(f"\n    - {problem}" for problem in problems)
        raise StageError(
            path,
            f"{len(problems)} problem{'s' * (len(problems) > 1)}{listing}",
            "the parameters described in stages/common/schema.py",
            f"edit {path}",
        )
    return checked


def _describe(error: dict) -> str:
    kind, keys = error["type"], _walk(error["loc"])[0]
    where, found = ".".join(keys) or "the whole file", shorten(error["input"])
    if kind == "extra_forbidden":
        legal = sorted({name for model in _models_below(_walk(error["loc"][:-1])[1]) for name in model.model_fields})
        near = difflib.get_close_matches(keys[-1], legal, n=1)
        return f"{where}: unknown key{f'; did you mean {near[0]!r}?' if near else ''} (legal: {', '.join(legal)})"
    if kind == "missing":
        return f"{where}: missing; expected {_EXPECTED[kind]}"
    expected = _EXPECTED.get(kind) or error["msg"].removeprefix("Value error, ").replace("Input should be", "").strip()
    return f"{where}: found {found}, expected {expected}"


def _walk(location: tuple) -> tuple[list[str], object]:
    """The keys of the file on the way to a problem, and the type expected there.

    pydantic also names the chosen members of unions (`base.wheel.sha256`), which are no keys of the file.
    """
    keys, here = [], Params
    for part in location:
        while get_origin(here) is Annotated:
            here = get_args(here)[0]
        if get_origin(here) in (Union, UnionType):
            here = next((member for member in get_args(here) if part in _tags(member)), None)
        elif part != "[key]":
            keys.append(str(part))
            if isinstance(here, type) and issubclass(here, BaseModel):
                here = here.model_fields[part].annotation if part in here.model_fields else None
            else:
                here = get_args(here)[-1] if get_origin(here) in (dict, list) else None
    return keys, here


def _tags(member) -> list[str]:
    """What pydantic calls a member of a union: its tag, or the value of the field that tells its models from the others."""
    given = [extra.tag for extra in get_args(member)[1:] if isinstance(extra, Tag)]
    return given or [tag for model in _models_below(member) for tag in _told_by(model)]


def _told_by(model: type[BaseModel]) -> tuple:
    field = next((model.model_fields[name] for name in ("kind", "method", "style", "task") if name in model.model_fields), None)
    return get_args(field.annotation) if field else ()


def _models_below(annotation) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_below(part)]


def _mapping(params: dict, kind: str) -> dict[str, dict]:
    entries = params.get(kind)
    return {str(name): entry for name, entry in entries.items() if isinstance(entry, dict)} if isinstance(entries, dict) else {}


def _wiring(params: dict):
    """Problems between entries: names, and what refers to what. Works on the raw file so that it can always run."""
    bases, datasets, models = (_mapping(params, kind) for kind in ("bases", "datasets", "models"))
    for kind, entries in (("bases", bases), ("datasets", datasets), ("models", models)):
        for name in entries:
            if not NAME.fullmatch(name) or name in RESERVED:
                yield (
                    f"{kind}.{name}: not a usable name; expected lower-case letters, digits and _, "
                    f"and none of {', '.join(sorted(RESERVED))}"
                )
    for name in sorted(set(bases) & set(models)):
        yield f"{name}: names two things that would share models/{name}; rename one"
    for name, dataset in datasets.items():
        yield from sources_fit(f"datasets.{name}", dataset)
    made = {name: _mapping(bases, name).get("base", {}) for name in bases}
    causal, encoders = ([name for name in bases if made[name].get("architecture") == kind] for kind in ("causal", "encoder"))
    tunable = {
        "causal": causal,
        "classifier": [name for name in bases if name in causal + encoders],
        "hosted": [name for name in bases if made[name].get("provider") == "openai"],
    }
    methods = {name: _mapping(models, name).get("train", {}).get("method") for name in models}
    styles = {name: _mapping(datasets, name).get("format", {}).get("style") for name in datasets}
    for name, method in methods.items():
        yield from _task(name, _mapping(models, name), method)
        yield from _style(name, models[name].get("dataset"), method, styles)
    wires = ("dataset", "base", "root", "judge_base")  # what is no text there has been reported already
    models = {
        name: {wire: m.get(wire) if isinstance(m.get(wire), str) else None for wire in wires} for name, m in models.items()
    }
    for name, model in models.items():
        if model.get("dataset") not in datasets:
            yield f"models.{name}.dataset: no dataset {model.get('dataset')!r}; expected one of {', '.join(datasets) or 'none'}"
        if model.get("base") not in bases | models:
            yield f"models.{name}.base: no base or model {model.get('base')!r}; expected one of {', '.join(bases | models)}"
        if model.get("judge_base") not in encoders:
            yield (
                f"models.{name}.judge_base: no encoder {model.get('judge_base')!r}; "
                f"expected one of {', '.join(encoders) or 'none'}"
            )
        chain, current = [name], model.get("base")
        while current in models and current not in chain:
            chain.append(current)
            current = models[current].get("base")
        if current in chain:
            yield f"models.{name}.base: rounds in a circle: {' -> '.join([*chain, current])}"
        elif made.get(current):  # else the base itself has been reported
            yield from _tuned(name, model, current, methods[name], tunable)


def _task(name: str, model: dict, method: object):
    """Problems of stages whose task is not that of the training."""
    task = "label" if method == "classifier" else "text"
    for stage in ("generate", "judge"):
        found = model.get(stage, {}).get("task")
        if method in ("causal", "classifier", "hosted") and found in ("text", "label") and found != task:
            yield f"models.{name}.{stage}.task: found {found!r}, expected {task!r}, what method {method} trains for"


def _style(name: str, dataset: object, method: object, styles: dict[str, object]):
    """Problems of a method on a dataset that holds other rows: texts with a label, or conversations."""
    style = styles.get(dataset) if isinstance(dataset, str) else None
    if isinstance(style, str) and method in ("causal", "classifier", "hosted"):
        labelled = method == "classifier"
        if labelled != (style == "classification"):
            fitting = [other for other, its in styles.items() if isinstance(its, str) and labelled == (its == "classification")]
            yield (
                f"models.{name}.dataset: {dataset!r} is formatted in style {style}, expected a dataset in "
                f"{'style classification' if labelled else 'another style than classification'}, which method {method} "
                f"trains on: {', '.join(fitting) or 'none'}"
            )


def _tuned(name: str, model: dict, start: str, method: object, tunable: dict[str, list[str]]):
    """Problems of a model whose chain of rounds starts at the base `start`."""
    if isinstance(method, str) and start not in tunable.get(method, [start]):
        yield (
            f"models.{name}.base: {start!r} cannot be tuned by method {method}; "
            f"expected one of {', '.join(tunable[method]) or 'none'}"
        )
    if model.get("root") != start:
        yield f"models.{name}.root: found {model.get('root')!r}, expected {start!r}, where its chain of rounds starts"
