"""How the entries of `params.yaml` refer to each other: names, wires, and what a method needs of its dataset and base."""

import re
from collections.abc import Iterator

from stages.common.defaults import TASKS
from stages.common.schema_data import sources_fit

NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")  # longer ones are no names of files with all that is put before and after them
RESERVED = {"answers", "verdicts", "sources", "speed"}  # folders of their own in data/ and metrics/
WIRES = ("dataset", "base", "root")  # of a model


def _mapping(params: dict, kind: str) -> dict[str, dict]:
    entries = params.get(kind)
    return {str(name): entry for name, entry in entries.items() if isinstance(entry, dict)} if isinstance(entries, dict) else {}


def wiring(params: dict) -> Iterator[str]:
    """Problems between entries that are filled in. Takes unchecked mappings, so that it can always run."""
    bases, datasets, models = (_mapping(params, kind) for kind in ("bases", "datasets", "models"))
    for kind, entries in (("bases", bases), ("datasets", datasets), ("models", models)):
        for name in entries:
            if not NAME.fullmatch(name) or name in RESERVED:
                yield (
                    f"{kind}.{name}: not a usable name; expected lower-case letters, digits and _, "
                    f"and none of {', '.join(sorted(RESERVED))}; at most 100 in all"
                )
    for name in sorted(set(bases) & set(models)):
        yield f"{name}: names two things that would share models/{name}; rename one"
    for name, dataset in datasets.items():
        yield from sources_fit(f"datasets.{name}", dataset)
    weights = {name: _mapping(bases, name).get("base", {}) for name in bases}
    causal, encoders = ([name for name in bases if weights[name].get("architecture") == kind] for kind in ("causal", "encoder"))
    tunable = {
        "causal": causal,
        "classifier": [name for name in bases if name in causal + encoders],
        "hosted": [name for name in bases if weights[name].get("provider") == "openai"],
    }
    methods = {name: _mapping(models, name).get("train", {}).get("method") for name in models}
    styles = {name: _mapping(datasets, name).get("format", {}).get("style") for name in datasets}
    for name, method in methods.items():
        yield from _task(name, _mapping(models, name), method)
        yield from _style(name, models[name].get("dataset"), method, styles)
        yield from _chosen(name, _mapping(models, name))
        yield from _forms(name, _mapping(models, name), method)
    if models and params.get("judge_base") not in encoders:
        yield f"judge_base: no encoder {params.get('judge_base')!r}; expected one of {', '.join(encoders) or 'none'}"
    models = {  # what is no text there has been reported already
        name: {wire: model.get(wire) if isinstance(model.get(wire), str) else None for wire in WIRES}
        for name, model in models.items()
    }
    for name, model in models.items():
        if model.get("dataset") not in datasets:
            yield f"models.{name}.dataset: no dataset {model.get('dataset')!r}; expected one of {', '.join(datasets) or 'none'}"
        if model.get("base") not in bases | models:
            yield f"models.{name}.base: no base or model {model.get('base')!r}; expected one of {', '.join(bases | models)}"
        chain, current = [name], model.get("base")
        while current in models and current not in chain:
            chain.append(current)
            current = models[current].get("base")
        if current in chain:
            yield f"models.{name}.base: rounds in a circle: {' -> '.join([*chain, current])}"
        elif weights.get(current):  # else the base itself has been reported
            yield from _tuned(name, model, current, methods[name], tunable)


def _task(name: str, model: dict, method: object):
    """Problems of stages whose task is not that of the training."""
    for stage in ("generate", "judge"):
        task = model.get(stage, {}).get("task")
        if isinstance(method, str) and task in TASKS.values() and task != TASKS.get(method, task):
            yield f"models.{name}.{stage}.task: found {task!r}, expected {TASKS[method]!r}, what method {method} trains for"


def _chosen(name: str, model: dict):
    """Problems of the figure by which the best state of training is chosen."""
    chosen, measures = (model.get(stage, {}).get(key) for stage, key in (("train", "choose_by"), ("judge", "measures")))
    if chosen == "parts_f1" and isinstance(measures, list) and "parts" not in measures:
        yield (
            f"models.{name}.train.choose_by: parts_f1 reads answers as lists of names, and judge.measures has no parts; "
            f"expected loss, or parts in models.{name}.judge.measures"
        )


def _forms(name: str, model: dict, method: object):
    """Problems of the forms in which the tuned model answers, too."""
    named = [key for key in ("exports", "servers") if model.get("generate", {}).get(key)]
    if method == "hosted" and named:
        yield (
            f"models.{name}.generate.{named[0]}: a hosted model has no weights here to export or to serve; "
            f"expected none, or another method than hosted"
        )


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
