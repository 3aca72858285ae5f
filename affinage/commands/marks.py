"""Answers to be marked by people, blind, and how far each judge agrees with their marks.

`affinage marks export MODEL` writes a page and a table to fill in, below exports/marks/. What was filled in goes to marks/,
which `judge` reads. `affinage marks agreement MODEL FILE` reads a table back. docs/marking.md says how to mark.
"""

from pathlib import Path
from typing import Annotated

import typer

from affinage.reports import figures, marking, marking_page, marks_agreement
from affinage.reports.outputs import WORKSPACE, Revision
from affinage.reports.results import TUNED, Results
from stages.common.errors import StageError
from stages.judging.marked import LEVELS

EXPORTS, MARKS = Path("exports", "marks"), Path("marks")


def opened(model: str, rev: str, against: str | None) -> tuple[Results, str]:
    """The results and the rival.

    Raises:
        StageError: if the model classifies, or there is no such rival.
    """
    results = Results(model, Revision(rev))
    if results.task == "label":
        raise StageError(f"models.{model}", "labels", "answers in text", "labels need no marks: details.json has accuracy")
    others = [contestant for contestant in results.contestants if contestant != TUNED]
    rival = against or results.rival
    if rival not in others:
        raise StageError(f"models.{model}", f"no answers of {rival!r}", f"one of: {', '.join(others) or 'none'}", "--against")
    return results, rival


def write_sheet(model: str, rev: str, against: str | None, rows: int, seed: int, out: Path | None) -> str:
    """Write the file to fill in, unless it is there.

    Raises:
        StageError: if the file is there: marks may have been filled in.
    """
    results, rival = opened(model, rev, against)
    out = out or EXPORTS / f"{model}.csv"
    page = out.with_suffix(".html")
    if out.exists():
        raise StageError(
            out, "the file is there", "a new file: marks may have been filled in", "move it, or name another with --out"
        )
    lines = marking.sheet(results, rival, rows, seed)
    marking.write_sheet(out, lines)
    shown = marking_page.answers(results, rival, rows, seed)
    marking_page.write_page(page, model, shown)
    return (
        f"{page}: {len(shown)} answers, marked with the keys 1 to {LEVELS} in any browser; put what it saves into "
        f"{MARKS}/, then: dvc repro judge@{model}\n"
        f"{out}: the same as a table of {len(lines)} rows. For each, mark_a and mark_b from 1 (useless) to {LEVELS} "
        f"(as good as the expected answer), and preferred: a, b or tie. Then:\n  affinage marks agreement {model} {out}"
        + (f" --rev {rev}" if rev != WORKSPACE else "")
        + (f" --against {against}" if against else "")
    )


def _shown(figure: dict | None, decimals: int = 2, factor: float = 1) -> str:
    if figure is None:
        return "none"
    scaled = {side: factor * value for side, value in figure.items()}
    return f"{figures.show(scaled['value'], decimals)} {figures.interval(scaled, decimals)}"


def agreement_text(model: str, file: Path, rev: str, against: str | None) -> str:
    """What the marks say, and how far each judge agrees with them."""
    results, rival = opened(model, rev, against)
    marked = marking.read_sheet(file, results, rival)
    people = marks_agreement.opinion(marked, results, rival)
    lines = [
        f"{file}: {len(marked)} rows marked",
        f"  mean mark of tuned                 {_shown(people[TUNED])}",
        f"  mean mark of {figures.contestant(rival):<21} {_shown(people[rival])}",
        f"  tuned over it, mark by mark        {_shown(people['difference'])}",
        f"  share that prefers tuned, %        {_shown(people['preferred'], 0, 100)}",
    ]
    for judge in results.judges:
        measured = marks_agreement.agreement(marked, results, rival, judge)
        lines += [
            f"judge {judge}: {measured.answers} answers marked and scored, {measured.rows} rows with a preference",
            f"  marks: kappa, quadratic weights    {_shown(measured.kappa)}",
            f"  marks: Spearman's correlation      {_shown(measured.spearman)}",
            f"  preferences: kappa                 {_shown(measured.preference)}",
        ]
    percent = 100 * results.params["judge"]["confidence"]
    return "\n".join([*lines, f"In brackets: {percent:g} % intervals, rows resampled. 0 is chance, 1 is perfect agreement."])


command = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True, help=__doc__)
Model = Annotated[str, typer.Argument(help="A key of `models` in params.yaml.")]
Rev = Annotated[str, typer.Option(help="Whose answers: a commit, branch, tag or experiment.")]
Against = Annotated[str, typer.Option(help="The other contestant. [default: the better base]")]


@command.command()
def export(
    model: Model,
    rows: Annotated[int, typer.Option(help="How many rows to mark.")] = 50,
    seed: Annotated[int, typer.Option(help="Of the draw and the order.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="The file to write. [default: exports/marks/MODEL.csv, and .html beside it]")
    ] = None,
    rev: Rev = WORKSPACE,
    against: Against = "",
) -> None:
    """Write a page and a table to fill in.

    Example: affinage marks export medical --rows 50
    """
    print(write_sheet(model, rev, against or None, rows, seed, out))


@command.command()
def agreement(
    model: Model,
    file: Annotated[Path, typer.Argument(help="The filled-in CSV.")],
    rev: Rev = WORKSPACE,
    against: Against = "",
) -> None:
    """Compare the judges with a filled-in file.

    Example: affinage marks agreement medical marks/medical.csv
    """
    print(agreement_text(model, file, rev, against or None))
