"""Entries as text: merged into params.yaml with its comments kept, and the files that they need copied."""

import filecmp
import io
import os
import re
import shutil
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from affinage.adding.entries import Plan
from affinage.commands import recipe
from stages.common.check_params import check
from stages.common.files import atomic_file
from stages.common.params import FILE, read


def merged(parts: list[dict], params: Path = FILE) -> tuple[str, str]:
    """The text of params.yaml before and after the entries of `parts` are merged into it, its comments kept.

    Raises:
        StageError: with all problems of the file as it would be.
    """
    yaml, before = recipe.editor(), params.read_text(encoding="utf-8")
    document = read(params, yaml)
    changed = [path for part in parts for path in recipe.merge(document, part)]
    if not changed:
        return before, before
    for kind, name in (path.split(".", 1) for path in changed if path.count(".") == 1):
        if kind in ("datasets", "models"):
            document[kind].yaml_set_comment_before_after_key(name, before="\n")  # an empty line
    text = io.StringIO()
    yaml.dump(document, text)
    after = text.getvalue()
    check(YAML(typ="safe", pure=True).load(after), params)
    return before, after


def dataset_yaml(name: str, entry: dict) -> CommentedMap:
    """The part of params.yaml for a dataset: a line for each of its keys, and where there are several for each source."""
    sources = entry["scrape"]["sources"]
    several = len(sources) > 1
    lines = _block(**{key: _flow(source) for key, source in sources.items()}) if several else _flow(sources)
    scrape = _block(sources=lines)
    rest = {stage: _flow(entry[stage]) for stage in ("label", "split", "format")}
    return _block(datasets=_block(**{name: _block(source=_flow(entry["source"]), scrape=scrape, **rest)}))


def model_yaml(name: str, entry: dict) -> CommentedMap:
    """The part of params.yaml for a model; on one line where its dataset takes many."""
    wires = {key: _flow(value) for key, value in entry.items()}
    return _block(models=_block(**{name: _flow(entry) if entry["judge"].get("measures") else _block(**wires)}))


def _block(**entry) -> CommentedMap:
    return CommentedMap(entry)


def _flow(value: object) -> object:
    """The same on one line."""
    if isinstance(value, str) and (value != value.strip() or not re.fullmatch(r"[\w./ -]+", value)):
        return DoubleQuotedScalarString(value)
    if not isinstance(value, dict | list):
        return value
    node = CommentedSeq(map(_flow, value)) if isinstance(value, list) else CommentedMap()
    if isinstance(value, dict):
        node.update({_flow(key): _flow(inner) for key, inner in value.items()})
    node.fa.set_flow_style()
    return node


def write(text: str, params: Path = FILE) -> None:
    """Write params.yaml, whole or not at all."""
    with atomic_file(params) as file:
        file.write(text)


def copy(planned: Plan) -> int:
    """Bring the files that are not there yet, or differ, below data/sources/; returns how many."""
    count = 0
    for origin, target in planned.copies:
        if target.exists() and (target.samefile(origin) or filecmp.cmp(origin, target, shallow=False)):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        shutil.copyfile(origin, partial)
        os.replace(partial, target)
        count += 1
    return count
