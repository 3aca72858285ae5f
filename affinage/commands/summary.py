"""What came out, on one screen: `affinage summary`."""

import shutil
from typing import Annotated

import typer

from affinage.reports import figures
from affinage.reports.outputs import WORKSPACE, Revision
from affinage.reports.overview import Overview, overviews
from affinage.reports.results import one_line

NARROWEST = 60  # columns


def block(model: Overview, width: int) -> list[str]:
    """The lines of one model: what it is asked, its headline, what to beware of."""
    lines = [one_line(f"{model.name}: {model.question or model.dataset}", width)]
    if not model.headlines:
        return [*lines, f"  no scores yet: dvc repro judge@{model.name}"]
    first = model.headlines[0]
    decimals = first.kind.decimals
    change = f"{figures.show(first.base, decimals)} → {figures.show(first.tuned, decimals)}"
    lines_of_figures = [f"{first.kind.title}: {change}, {first.difference}, {first.reading}"]
    lines_of_figures += [f"beware: {warning}" for warning in model.warnings]
    return lines + [f"  {one_line(line, width - 2)}" for line in lines_of_figures]


def next_commands(models: list[Overview]) -> list[str]:
    """Three commands to go on with."""
    judged = [model for model in models if model.headlines]
    if not judged:
        return ["dvc repro", "dvc status", "affinage recipe --list"]
    name = judged[0].name
    return [
        "affinage report    # every answer beside the base's: reports/index.html",
        f'affinage ask {name} "…"    # your own question to {name} and to its base',
        f"dvc exp run -S ++models.{name}.train.learning_rate=1e-4    # a change; then affinage table",
    ]


def summary(models: list[Overview], width: int) -> str:
    """The whole screen.

    Args:
        models: in the order to show them in.
        width: of the terminal, in columns.
    """
    width = max(NARROWEST, width)
    shown = [line for model in models for line in block(model, width)]
    head = "base → tuned, and the difference with its interval; within noise: the interval holds zero"
    return "\n".join([one_line(head, width), "", *shown, "", "go on with", *(f"  {line}" for line in next_commands(models))])


def command(
    rev: Annotated[str, typer.Option(help="A commit, branch, tag or experiment.")] = WORKSPACE,
    width: Annotated[int, typer.Option(help="Columns. [default: the terminal's, or 100]", show_default=False)] = 0,
) -> None:
    """Show what came out on one screen: each model's headline beside its base's, and what to do next.

    Example: affinage summary --rev my-experiment
    """
    print(summary(overviews(Revision(rev)), width or shutil.get_terminal_size((100, 0)).columns))
