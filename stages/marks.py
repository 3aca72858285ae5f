"""Answers to be marked by people, blind, and how far each judge agrees with their marks.

`python -m stages.marks export MODEL` writes marks/<model>.csv to fill in; `python -m stages.marks agreement MODEL FILE`
reads it back. docs/marking.md says how to mark.
"""

import argparse
from pathlib import Path

from stages.common.errors import StageError, report
from stages.reports import figures, marking
from stages.reports.outputs import WORKSPACE, Revision
from stages.reports.results import TUNED, Results


def opened(model: str, rev: str, against: str | None) -> tuple[Results, str]:
    """The results and the rival.

    Raises:
        StageError: if the model classifies, or there is no such rival.
    """
    results = Results(model, Revision(rev))
    if results.task == "label":
        raise StageError(f"models.{model}", "labels", "answers in text", "labels need no marks: details.json has accuracy")
    others = [who for who in results.who if who != TUNED]
    rival = against or results.rival
    if rival not in others:
        raise StageError(f"models.{model}", f"no answers of {rival!r}", f"one of: {', '.join(others) or 'none'}", "--against")
    return results, rival


def export(model: str, rev: str, against: str | None, rows: int, seed: int, out: Path | None) -> str:
    """Write the file to fill in, unless it is there.

    Raises:
        StageError: if the file is there: marks may have been filled in.
    """
    results, rival = opened(model, rev, against)
    out = out or Path("marks") / f"{model}.csv"
    if out.exists():
        raise StageError(
            out, "the file is there", "a new file: marks may have been filled in", "move it, or name another with --out"
        )
    lines = marking.sheet(results, rival, rows, seed)
    marking.write_sheet(out, lines)
    return (
        f"{out}: {len(lines)} rows. For each, mark_a and mark_b from 1 (useless) to {marking.LEVELS} (as good as the expected "
        f"answer), and preferred: a, b or tie. Then:\n  python -m stages.marks agreement {model} {out}"
        + (f" --rev {rev}" if rev != WORKSPACE else "")
        + (f" --against {against}" if against else "")
    )


def _shown(found: dict | None, decimals: int = 2, factor: float = 1) -> str:
    if found is None:
        return "none"
    scaled = {side: factor * value for side, value in found.items()}
    return f"{figures.show(scaled['value'], decimals)} {figures.interval(scaled, decimals)}"


def agreement(model: str, file: Path, rev: str, against: str | None) -> str:
    """What the marks say, and how far each judge agrees with them."""
    results, rival = opened(model, rev, against)
    marked = marking.read_sheet(file, results, rival)
    people = marking.opinion(marked, results, rival)
    lines = [
        f"{file}: {len(marked)} rows marked",
        f"  mean mark of tuned                 {_shown(people[TUNED])}",
        f"  mean mark of {figures.contestant(rival):<21} {_shown(people[rival])}",
        f"  tuned over it, mark by mark        {_shown(people['difference'])}",
        f"  share that prefers tuned, %        {_shown(people['preferred'], 0, 100)}",
    ]
    for judge in results.judges:
        found = marking.agreement(marked, results, rival, judge)
        lines += [
            f"judge {judge}: {found.answers} answers marked and scored, {found.rows} rows with a preference",
            f"  marks: kappa, quadratic weights    {_shown(found.kappa)}",
            f"  marks: Spearman's correlation      {_shown(found.spearman)}",
            f"  preferences: kappa                 {_shown(found.preference)}",
        ]
    percent = 100 * results.params["judge"]["confidence"]
    return "\n".join([*lines, f"In brackets: {percent:g} % intervals, rows resampled. 0 is chance, 1 is perfect agreement."])


def main(arguments: list[str] | None = None) -> str:
    """What the command line asks for, as text."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.marks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    for name, text in (("export", "write a file to fill in"), ("agreement", "compare the judges with a filled-in file")):
        action = actions.add_parser(name, help=text)
        action.add_argument("model", help="a key of `models`")
        if name == "agreement":
            action.add_argument("file", type=Path, help="the filled-in CSV")
        else:
            action.add_argument("--rows", type=int, default=50, help="how many rows to mark (default: 50)")
            action.add_argument("--seed", type=int, default=1, help="of the draw and the order (default: 1)")
            action.add_argument("--out", type=Path, help="file to write (default: marks/<model>.csv)")
        action.add_argument("--rev", default=WORKSPACE, help="whose answers (default: the work tree's)")
        action.add_argument("--against", help="the other contestant (default: the better base)")
    options = vars(parser.parse_args(arguments))
    return {"export": export, "agreement": agreement}[options.pop("action")](**options)


if __name__ == "__main__":
    report(lambda: print(main()))
