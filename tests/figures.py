"""Fills the figures of README.md and docs/ from `metrics/`: `python -m tests.figures`.

A figure stands between two comments of HTML, which no reader of the page sees:

    <!-- gain medical content -->41.2 → 58.3 (+17.1 [+12.0, +22.2])<!-- end -->

The first comment names the shape (one of `SHAPES`) and what it is made of.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

from affinage.commands.summary import block
from affinage.reports import figures, overview
from affinage.reports.outputs import WORKSPACE, Gone, Revision
from tests.imports import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COLUMNS = 100  # of a screen that is shown
FIGURE = re.compile(r"(<!-- (\w+) ((?:(?!-->).)+) -->)((?:(?!<!--).)*)(<!-- end -->)", re.DOTALL)


def _inside(tree: dict, path: str, file: str) -> object:
    """What lies at a path of keys, joined by points.

    Raises:
        ValueError: naming the keys that there are.
    """
    for key in path.split("."):
        if not isinstance(tree, dict) or key not in tree:
            there = ", ".join(tree) if isinstance(tree, dict) else "a figure alone"
            raise ValueError(f"{file}: no {key!r} of {path!r}; there is: {there}")
        tree = tree[key]
    return tree


def _details(revision: Revision, model: str) -> tuple[dict, str]:
    file = f"metrics/{model}/details.json"
    return revision.json(file), file


def _kind(details: dict, name: str) -> figures.Kind:
    return figures.kind(name, list(details.get("judges", {})))


def gain(revision: Revision, model: str, name: str) -> str:
    """`41.2 → 58.3 (+17.1 [+12.0, +22.2])`: the best of the others, the tuned model, and the difference with its interval."""
    details, file = _details(revision, model)
    change, decimals = _inside(details, f"gain.{name}", file), _kind(details, name).decimals
    before, after = (_inside(details, f"{contestant}.{name}.value", file) for contestant in (change["over"], "tuned"))
    difference = f"{figures.show(change['value'], decimals, True)} {figures.interval(change, decimals, True)}"
    return f"{figures.show(before, decimals)} → {figures.show(after, decimals)} ({difference})"


def headline(revision: Revision, model: str) -> str:
    """The most telling figure of a model, with its name: the first of `affinage summary`."""
    first = overview.Overview(model, revision).headlines[0]
    before, after = (figures.show(number, first.kind.decimals) for number in (first.base, first.tuned))
    return f"{first.kind.inside} {before} → {after} ({first.difference})"


def percent(revision: Revision, model: str, name: str) -> str:
    """The same of a share: `72 % → 77 % (+6 [−1, +12] points)`."""
    details, file = _details(revision, model)
    change = _inside(details, f"gain.{name}", file)
    before, after = (_inside(details, f"{contestant}.{name}.value", file) for contestant in (change["over"], "tuned"))
    points = {side: 100 * change[side] for side in ("value", "low", "high")}
    difference = f"{figures.show(points['value'], 0, True)} {figures.interval(points, 0, True)} points"
    return f"{figures.show(100 * before, 0)} % → {figures.show(100 * after, 0)} % ({difference})"


def value(revision: Revision, model: str, path: str) -> str:
    """A figure of details.json with its interval, or a number alone."""
    details, file = _details(revision, model)
    number, decimals = _inside(details, path, file), _kind(details, path.split(".")[-1]).decimals
    if isinstance(number, dict):
        return f"{figures.show(number['value'], decimals)} {figures.interval(number, decimals)}"
    return figures.show(number, decimals)


def count(revision: Revision, file: str, path: str) -> str:
    """A number of `metrics/<file>.json`; two decimals of one that is not whole."""
    number = _inside(revision.json(f"metrics/{file}.json"), path, file)
    return f"{number:,}" if isinstance(number, int) else f"{number:.2f}"


def controls(revision: Revision, *models: str) -> str:
    """A table: by kind of control and model, how often a judge puts a good answer above a bad one."""
    tables = {}
    for model in models:
        details, file = _details(revision, model)
        tables[model] = {judge: health["auc"] for judge, health in _inside(details, "judges", file).items()}
    columns = [(model, judge) for model in models for judge in sorted(tables[model], key="overlap".__eq__)]
    kinds = dict.fromkeys(kind for model, judge in columns for kind in tables[model][judge])
    lines = ["| good answers against … |" + "".join(f" `{model}` {judge} |" for model, judge in columns)]
    lines.append("|---" * (len(columns) + 1) + "|")
    for kind in kinds:
        cells = [tables[model][judge].get(kind) for model, judge in columns]
        shown = ["–" if cell is None else f"{cell['value']:.2f} [{cell['low']:.2f}, {cell['high']:.2f}]" for cell in cells]
        lines.append(f"| {figures.control(kind)} | " + " | ".join(shown) + " |")
    return "\n\n" + "\n".join(lines) + "\n\n"


def answer(revision: Revision, model: str, row: str, contestant: str, most: str = "1000") -> str | None:
    """What a contestant said to a test row, on one line, and `most` words of it.

    None where the answers are not at hand, for git does not keep them.
    """
    try:
        content = revision.read(f"data/answers/{model}.jsonl")
    except Gone:
        content = None
    if content is None:
        return None
    said = {entry["id"]: entry for entry in map(json.loads, content.splitlines())}
    if row not in said:
        raise ValueError(f"data/answers/{model}.jsonl: no row {row!r}; there is: {', '.join(said)}")
    words = said[row]["answers"][contestant]["text"].replace("|", "\\|").split()
    return " ".join(words[: int(most)]) + (" …" if len(words) > int(most) else "")


def screen(revision: Revision, *models: str) -> str | None:
    """What `affinage summary` says of some models, as a block of code; None where the answers, of which it quotes, are away."""
    shown = [overview.Overview(model, revision) for model in models]
    if not all(model.question for model in shown):
        return None
    return "\n".join(["", "```", *(line for model in shown for line in block(model, COLUMNS)), "```", ""])


SHAPES: dict[str, Callable[..., str | None]] = {
    "gain": gain,
    "headline": headline,
    "percent": percent,
    "value": value,
    "count": count,
    "controls": controls,
    "answer": answer,
    "screen": screen,
}


def filled(text: str, revision: Revision) -> str:
    """A page with its figures as a revision has them.

    Raises:
        ValueError: where a comment names no shape, or a figure that the metrics do not hold.
    """

    def replaced(match: re.Match) -> str:
        head, shape, arguments, old, end = match.groups()
        if shape not in SHAPES:
            raise ValueError(f"{head}: no shape {shape!r}; there are: {', '.join(SHAPES)}")
        new = SHAPES[shape](revision, *arguments.split())
        return head + (old if new is None else new) + end

    return FIGURE.sub(replaced, text)


def fill(pages: list[Path], revision: Revision) -> list[str]:
    """Writes the figures into the pages; returns the names of those that changed."""
    changed = []
    for page in pages:
        before = page.read_text(encoding="utf-8")
        if (after := filled(before, revision)) != before:
            page.write_text(after, encoding="utf-8")
            changed.append(page.name)
    return changed


if __name__ == "__main__":
    print("\n".join(fill(PAGES, Revision(WORKSPACE, ROOT))) or "all figures are those of metrics/")
