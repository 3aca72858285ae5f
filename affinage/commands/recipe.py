"""Merge a recipe into `params.yaml`, keeping its comments: `affinage recipe medical_gpt2`.

A recipe is a part of `params.yaml` under `recipes/`: its entries are added, and what it names is replaced. Recipes that it
`needs` are merged before it. The result is checked as a whole before anything is written. `git diff params.yaml` shows the
change, `git checkout params.yaml` undoes it.
"""

import io
import itertools
import re
import shutil
import textwrap
from pathlib import Path
from typing import Annotated

import typer
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from stages.common.check_params import check
from stages.common.errors import StageError
from stages.common.files import atomic_file
from stages.common.params import FILE, read

FOLDER = Path("recipes")


def editor() -> YAML:
    """A YAML reader and writer that keeps comments, quotes and the layout of `params.yaml`."""
    yaml = YAML(pure=True)
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def merge(into: CommentedMap, recipe: CommentedMap, path: str = "") -> list[str]:
    """Merge `recipe` into `into` in place; returns the keys added or changed. A mapping of another `kind` is replaced whole."""
    changed = []
    for key, value in recipe.items():
        where, before = f"{path}{key}", into.get(key)
        both = isinstance(value, dict) and isinstance(before, dict)
        if both and value.get("kind", before.get("kind")) == before.get("kind"):
            changed += merge(into[key], value, f"{where}.")
        elif into.get(key) != value:
            into[key] = value
            changed.append(where)
    return changed


def apply(name: str, folder: Path = FOLDER, params: Path = FILE) -> list[str]:
    """Merge one recipe into the parameters; returns what changed, nothing if it was merged before."""
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in names:
        raise StageError(folder, f"no recipe {name!r}", f"one of {', '.join(names)}", "affinage recipe --list")
    yaml = editor()
    document, recipe = read(params, yaml), read(folder / f"{name}.yaml", yaml)
    needed = [read(folder / f"{other}.yaml", yaml) for other in recipe.pop("needs", [])]
    changed = [path for part in (*needed, recipe) for path in merge(document, part)]
    text = io.StringIO()
    yaml.dump(document, text)
    check(YAML(typ="safe", pure=True).load(text.getvalue()), params)
    if changed:
        with atomic_file(params) as file:
            file.write(text.getvalue())
    return changed


def listing(folder: Path, width: int) -> str:
    """Every recipe with the first sentence of the comment that it begins with, in lines of at most `width` columns."""
    says = {path.stem: first_sentence(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml"))}
    column = max(map(len, says), default=0) + 2
    wrapped = {name: textwrap.wrap(sentence, max(30, width - column)) or [""] for name, sentence in says.items()}
    return "\n".join(
        f"{name if place == 0 else '':{column}}{line}" for name, lines in wrapped.items() for place, line in enumerate(lines)
    )


def first_sentence(text: str) -> str:
    """The first sentence of the comment that a file begins with."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return re.split(r"(?<=[.!?]) (?=[A-Z`])", " ".join(line.lstrip("# ") for line in lines))[0]


def command(
    name: Annotated[str, typer.Argument(help="A file of recipes/, without .yaml.", show_default=False)] = "",
    listed: Annotated[bool, typer.Option("--list", help="List the recipes, and what each is for.")] = False,
) -> None:
    """Merge a recipe into params.yaml, keeping its comments. Without a name: list the recipes.

    Example: affinage recipe medical_gpt2
    """
    if listed or not name:
        print(listing(FOLDER, shutil.get_terminal_size((100, 0)).columns))
    else:
        print("\n".join(f"set {key}" for key in apply(name)) or f"{name}: already merged")
