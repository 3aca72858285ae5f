"""Compare two revisions of a model row by row, or measure the noise of the seed over several.

`python -m stages.compare REV_A REV_B [--model M]`; a revision is a commit, branch, tag, experiment, or `workspace`.
`python -m stages.compare --seeds REV REV REV … [--model M]`
"""

import argparse
import shutil
import sys
import textwrap

from stages.common.errors import StageError, report
from stages.reports import figures
from stages.reports.comparison import Comparison, Difference
from stages.reports.outputs import Revision
from stages.reports.results import TUNED, Results, printable
from stages.reports.seeds import seed_noise


def plain(text: str, width: int) -> str:
    """One line of at most `width` printable characters."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= width else text[: width - 1] + "…"


def table(rows: list[list[str]], right: set[int]) -> list[str]:
    """Lines with columns as wide as they need to be; those in `right` are set flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    aligned = [
        [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))] for row in rows
    ]
    return ["  " + "  ".join(row).rstrip() for row in aligned]


def _line(found: Difference) -> list[str]:
    shown = [figures.show(value, found.decimals) for value in (found.first, found.second)]
    change = ""
    if found.low is not None:
        span = figures.interval({"low": found.low, "high": found.high}, found.decimals, True)
        change = f"{figures.show(found.value, found.decimals, True)} {span}"
    return [found.title, *shown, change, found.reading or "no interval", found.note]


def describe(found: Comparison, rows: int, width: int) -> str:
    """A comparison as text."""
    first, second = str(found.first.revision), str(found.second.revision)
    total = [len(one.judged) for one in (found.first, found.second)]
    of = (
        f"all {total[0]}"
        if total == [len(found.pairs)] * 2
        else f"{len(found.pairs)} rows in common of {total[0]} and {total[1]};"
    )
    lines = [f"{found.second.name}, {found.who}: {first} → {second}"]
    lines.append(
        f"  {of} rows; {len(found.changed)} answers differ"
        if of.startswith("all")
        else f"  {of} {len(found.changed)} answers differ"
    )
    lines += [f"  {name}: {before} → {after}" for name, before, after in found.params]
    lines += [
        f"  note: the answers of {one.revision} changed after they were judged"
        for one in (found.first, found.second)
        if one.stale
    ]
    head = ["figure", plain(first, 14), plain(second, 14), f"difference [{_percent(found)} % interval]", "reading", ""]
    lines += ["", *table([head, *map(_line, found.differences)], {1, 2, 3})]
    changed = found.most_changed(rows)
    if changed:
        by = {"chrf": "chrF", "label": "right or wrong"}.get(found.measure, f"judge {found.measure}")
        lines += ["", f"  rows that changed most, by {by}"]
    for change, (before, after) in changed:
        lines += ["", f"  {figures.show(change, 1, True):<10}  " + plain(f"{after.id}: {after.turns[-1][1]}", width - 14)]
        said = (("expected", after.expected), (first, before.said(found.who)), (second, after.said(found.who)))
        for name, text in said:
            wrapped = textwrap.wrap(plain(text, 600), max(30, width - 14), initial_indent="") or ["(empty)"]
            lines += [f"  {plain(name, 10) if i == 0 else '':<10}  {part}" for i, part in enumerate(wrapped)]
    return "\n".join(lines)


def _percent(found: Comparison) -> str:
    return f"{100 * found.second.params['judge']['confidence']:g}"


def compare(revisions: list[Revision], model: str | None, who: str, rows: int, width: int) -> str:
    """Both revisions' models compared, or only `model`; one that cannot be is named with the reason.

    Raises:
        StageError: if `model` cannot be compared, or no model can.
    """
    models = [list(revision.params.get("models") or {}) for revision in revisions]
    both = [name for name in models[1] if name in models[0]]
    texts, failed = [], []
    for name in [model] if model else both:
        try:
            texts.append(describe(Comparison(*(Results(name, one) for one in revisions), who=who), rows, width))
        except StageError as error:
            failed.append(error)
            texts.append(f"{name}: not compared\n{textwrap.indent(str(error), '  ')}")
    if failed and len(failed) == len(texts):
        raise failed[0]
    if not texts:
        raise StageError(" and ".join(map(str, revisions)), "no model in common", "a model that both have", "--model names one")
    alone = [f"{name}: only at {revision}" for i, revision in enumerate(revisions) for name in models[i] if name not in both]
    return "\n\n".join([*texts, *(alone if not model else [])])


def seeds(revisions: list[Revision], model: str, who: str) -> str:
    """The noise of the seed as a table.

    Raises:
        StageError: where the revisions differ in more than seeds.
    """
    runs = [Results(model, revision) for revision in revisions]
    rows = [["figure", "mean", "standard deviation", "lowest", "highest", "two runs differ by up to"]]
    for found in seed_noise(runs, who):
        kind = figures.kind(found.name, runs[0].judges)
        values = [found.mean, found.deviation, min(found.values), max(found.values), found.floor]
        rows.append([kind.title, *(figures.show(value, max(2, kind.decimals)) for value in values)])
    head = f"{model}, {who}: {len(runs)} runs that differ in their seed alone"
    return "\n".join([head, "", *table(rows, {1, 2, 3, 4, 5})])


def main(arguments: list[str] | None = None) -> str:
    """What the command line asks for, as text."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revisions", nargs="*", metavar="REV", help="two revisions: before, after")
    parser.add_argument("--seeds", nargs="+", metavar="REV", help="revisions that differ in their seed alone")
    parser.add_argument("--model", help="a key of `models` (default: every model that both have)")
    parser.add_argument("--who", default=TUNED, help="whose answers: tuned (default), base, base_chat, …")
    parser.add_argument("--rows", type=int, default=5, help="how many of the rows that changed most to show (default: 5)")
    options = parser.parse_args(arguments)
    if options.seeds and not options.revisions:
        if not options.model:
            parser.error("--seeds needs --model")
        return seeds([Revision(name) for name in options.seeds], options.model, options.who)
    if options.seeds or len(options.revisions) != 2:
        parser.error("expected two revisions, or --seeds with several")
    width = min(120, shutil.get_terminal_size((100, 24)).columns)
    return compare([Revision(name) for name in options.revisions], options.model, options.who, options.rows, width)


if __name__ == "__main__":
    report(lambda: print(main(), file=sys.stdout))
