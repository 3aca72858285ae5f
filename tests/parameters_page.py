"""Writes the tables of docs/parameters.md from the schema, its comments and the defaults: `python -m tests.parameters_page`."""

import ast
import inspect
import io
import json
import tokenize
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from affinage.commands.recipe import merge
from stages.common import schema, schema_bases, schema_data, schema_models, schema_sources, sections
from stages.common.check_params import SECTIONS
from stages.common.defaults import ALL, choice_field, models_below
from stages.common.params import read
from stages.common.sections import Section
from tests.imports import ROOT

PAGE = ROOT / "docs" / "parameters.md"
MARK = "<!-- The rest is written by `python -m tests.parameters_page`. -->\n"
PLAIN = {str: "text", bool: "`true` or `false`", int: "whole number", float: "number"}
WORDS = {  # of what the schema checks by functions of its own
    "n_epochs": "`auto` or a whole number from 1 to 50",
    "batch_size": "`auto` or a whole number from 1 to 256",
    "learning_rate_multiplier": "`auto` or a number above 0",
    "columns": "mapping of our names to the file's, or a list of names that are the same",
    "source": 'directory; no `"`, `$`, `` ` `` or `\\` in its name',
    "shards": "`train`, or a file of it: `train/000.jsonl`",
}


def comments(module) -> dict[tuple[str, str], str]:
    """The comment behind each field of a module's classes, with the lines that go on with it; by class and field."""
    source = inspect.getsource(module)
    notes = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return {
        (node.name, item.target.id): notes.get(item.end_lineno, "")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.AnnAssign)
    }


COMMENTS = {
    key: text
    for module in (schema, schema_bases, schema_data, schema_models, schema_sources, sections)
    for key, text in comments(module).items()
}


def about(model: type[BaseModel], name: str) -> str:
    """What the schema says of a field, in the class that has it."""
    return next((COMMENTS[base.__name__, name] for base in model.__mro__ if (base.__name__, name) in COMMENTS), "")


def bounds(metadata: list) -> str:
    """The range that a number or a list must keep to."""
    flat = [inner for item in metadata for inner in (item.metadata if isinstance(item, FieldInfo) else [item])]
    said = []
    for item in flat:
        for kind, word in ((annotated_types.Ge, "≥ {ge}"), (annotated_types.Gt, "> {gt}")):
            said += [word.format(**vars_of(item))] if isinstance(item, kind) else []
        for kind, word in ((annotated_types.Le, "≤ {le}"), (annotated_types.Lt, "< {lt}")):
            said += [word.format(**vars_of(item))] if isinstance(item, kind) else []
        if pattern := getattr(item, "pattern", None):
            said.append("40 hexadecimal digits" if "{40}" in pattern else "64 hexadecimal digits" if "{64}" in pattern else "")
    return " ".join(word for word in said if word)


def vars_of(item: object) -> dict[str, object]:
    return {name: getattr(item, name) for name in ("ge", "gt", "le", "lt") if hasattr(item, name)}


def legal(annotation: object, metadata: list) -> str:
    """Type and legal values in words."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return legal(inner, [*more, *metadata])
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        named = "a mapping with `kind`, below" if models_below(annotation) else ""
        plain = [legal(part, metadata) for part in get_args(annotation) if not models_below(part)]
        return " or ".join(filter(None, [*plain, named]))
    if get_origin(annotation) is list:
        return f"list of {legal(get_args(annotation)[0], [])}".replace("list of text", "list of texts")
    if get_origin(annotation) is dict:
        return "mapping of names to " + ("mappings, below" if models_below(annotation) else "texts")
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping: " + ", ".join(f"`{name}`" for name in annotation.model_fields)
    return f"{PLAIN.get(annotation, str(annotation))} {bounds(metadata)}".strip()


def default(trees: list[dict], name: str) -> str:
    """What a default says, as YAML has it."""
    for tree in trees:
        if isinstance(tree.get(name), dict) and "kind" in tree[name].get(ALL, {}):
            return f"kind `{tree[name][ALL]['kind']}`"
        if name in tree and not isinstance(tree[name], dict):
            return f"`{json.dumps(tree[name], ensure_ascii=False)}`".replace('`"', "`").replace('"`', "`").replace("``", '`""`')
    return ""


def rows(model: type[BaseModel], trees: list[dict], without: tuple[str, ...] = ()) -> list[str]:
    lines = []
    for name, field in model.model_fields.items():
        if name not in without:
            words = WORDS.get(name) or legal(field.annotation, field.metadata)
            off = "" if field.is_required() else f"`{json.dumps(field.default)}`".replace('"', "")
            cells = [f"`{name}`", words, default(trees, name) or off, about(model, name)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


HEAD = ["| parameter | type and legal values | default | |", "|---|---|---|---|"]


def choices(model: type[BaseModel], field: str) -> list[str]:
    return list(get_args(model.model_fields[field].annotation))


def part(
    title: str, annotation: object, layers: list[dict], depth: int, by_task: dict[str, list[dict]] | None = None
) -> list[str]:
    """The tables of a section, and of the sections inside it."""
    field, lines, shown, inside = choice_field(annotation), [], {}, set()
    for model in models_below(annotation):
        chosen = choices(model, field) if field else []
        trees = (
            [layer[key] for layer in layers for key in (*chosen, ALL) if isinstance(layer.get(key), dict)] if field else layers
        )
        trees = (by_task or {}).get(chosen[0] if chosen else "", trees)
        lines += ["", f"{'#' * depth} {title}" + (f", {field} `{chosen[0]}`" if field else ""), ""]
        if model.__doc__ and model.__doc__ != BaseModel.__doc__ and "__doc__" in vars(model):
            lines += [" ".join(inspect.getdoc(model).split()), ""]
        own, shared = rows(model, trees, (field,)), model.__mro__[1]
        if shared in shown:
            lines += [
                f"The parameters that it shares with `{shown[shared][0]}` have the same defaults but for these; and its own:",
                "",
            ]
            own = [row for row in own if row not in shown[shared][1]]
        elif shared is not Section:
            shown[shared] = (chosen[0], own)
        lines += [*HEAD, *own] if own else []
        for name, inner in model.model_fields.items():
            if models_below(inner.annotation) and name not in inside:
                inside.add(name)
                below = [tree[name] for tree in trees if isinstance(tree.get(name), dict)]
                lines += part(f"{title} › `{name}`", inner.annotation, below, depth + 1)
    return lines


def page() -> str:
    """The tables, one section of `params.yaml` after the other. Defaults of recipes count where `params.yaml` has none."""
    defaults = {}
    for file in (ROOT / "params.yaml", ROOT / "recipes/web.yaml", ROOT / "recipes/hosted.yaml"):
        merge(defaults, read(file)["defaults"])
    lines = part("`base`", schema.BaseEntry.model_fields["base"].annotation, [], 2)
    for kind, model in (("datasets", schema.DatasetEntry), ("models", schema.ModelEntry)):
        lines += ["", f"## Wires of `{kind}`", "", *HEAD, *rows(model, [], tuple(SECTIONS))]
        for stage in (name for name in model.model_fields if name in SECTIONS):
            tree, by_task = defaults[stage], None
            if stage in ("generate", "judge"):  # whose defaults go by the method of training
                by_task = {task: [tree[method], tree[ALL]] for task, method in (("text", "causal"), ("label", "classifier"))}
            lines += part(f"`{stage}`", SECTIONS[stage], [tree], 2, by_task)
    return "\n".join(lines).strip() + "\n"


if __name__ == "__main__":
    head = PAGE.read_text(encoding="utf-8").split(MARK)[0]
    PAGE.write_text(head + MARK + "\n" + page(), encoding="utf-8")
