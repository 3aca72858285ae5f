"""Compare two revisions of a model row by row, or measure the noise of the seed over several.

`affinage compare REV_A REV_B [--model M]`; a revision is a commit, branch, tag, experiment, or `workspace`.
`affinage compare --seeds REV REV REV … --model M`
"""

import shutil
import textwrap
from typing import Annotated

import typer

from affinage.history.judges import another
from affinage.reports import figures
from affinage.reports.comparison import Comparison, Difference
from affinage.reports.outputs import Gone, Revision
from affinage.reports.results import TUNED, Results, one_line
from affinage.reports.seeds import seed_noise
from stages.common.errors import StageError


def table(rows: list[list[str]], right: set[int]) -> list[str]:
    """Lines with columns as wide as they need to be; those in `right` are set flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    aligned = [
        [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))] for row in rows
    ]
    return ["  " + "  ".join(row).rstrip() for row in aligned]


def _line(difference: Difference) -> list[str]:
    shown = [figures.show(value, difference.decimals) for value in (difference.first, difference.second)]
    change = ""
    if difference.low is not None:
        span = figures.interval({"low": difference.low, "high": difference.high}, difference.decimals, True)
        change = f"{figures.show(difference.value, difference.decimals, True)} {span}"
    note = [f"some {difference.rows_to_show:,} rows would show it"] if difference.rows_to_show else []
    return [
        difference.title,
        *shown,
        change,
        difference.reading or "no interval",
        "; ".join([*note, *filter(None, [difference.note])]),
    ]


def describe(comparison: Comparison, rows: int, width: int) -> str:
    """A comparison as text."""
    first, second = str(comparison.first.revision), str(comparison.second.revision)
    total = [len(results.judged) for results in (comparison.first, comparison.second)]
    of = (
        f"all {total[0]}"
        if total == [len(comparison.pairs)] * 2
        else f"{len(comparison.pairs)} rows in common of {total[0]} and {total[1]};"
    )
    was = "" if comparison.first.name == comparison.second.name else f" (was {comparison.first.name})"
    lines = [f"{comparison.second.name}{was}, {comparison.contestant}: {first} → {second}"]
    lines.append(
        f"  {of} rows; {len(comparison.changed)} answers differ"
        if of.startswith("all")
        else f"  {of} {len(comparison.changed)} answers differ"
    )
    lines += [f"  {name}: {before} → {after}" for name, before, after in comparison.params]
    lines += [
        f"  note: the answers of {results.revision} changed after they were judged"
        for results in (comparison.first, comparison.second)
        if results.stale
    ]
    head = [
        "figure",
        one_line(first, 14),
        one_line(second, 14),
        f"difference [{_percent(comparison)} % interval]",
        "reading",
        "",
    ]
    lines += ["", *table([head, *map(_line, comparison.differences)], {1, 2, 3})]
    changed = comparison.most_changed(rows)
    if changed:
        by = {"chrf": "chrF", "label": "right or wrong"}.get(comparison.measure, f"judge {comparison.measure}")
        lines += ["", f"  rows that changed most, by {by}"]
    for change, (before, after) in changed:
        lines += ["", f"  {figures.show(change, 1, True):<10}  " + one_line(f"{after.id}: {after.turns[-1][1]}", width - 14)]
        texts = (
            ("expected", after.expected),
            (first, before.text_of(comparison.contestant)),
            (second, after.text_of(comparison.contestant)),
        )
        for name, text in texts:
            wrapped = textwrap.wrap(one_line(text, 600), max(30, width - 14), initial_indent="") or ["(empty)"]
            lines += [f"  {one_line(name, 10) if i == 0 else '':<10}  {part}" for i, part in enumerate(wrapped)]
    return "\n".join(lines)


def _percent(comparison: Comparison) -> str:
    return f"{100 * comparison.second.params['judge']['confidence']:g}"


def kept_scores(first: Results, second: Results) -> str:
    """What git keeps of both: the headlines, each with its own interval, where the answers behind them are gone; and what
    brings these back."""
    rows, notes = [["figure", str(first.revision), "its gain", str(second.revision), "its gain"]], []
    for name in dict.fromkeys([*first.scores, *second.scores]):
        kind = figures.kind(name, second.judges_in_params)
        if reason := another(first.said_of(name), second.said_of(name)):
            notes.append(f"  {kind.title} of the two does not compare: {reason}")
        cells = [_kept(results.scores.get(name), kind.decimals) for results in (first, second)]
        rows.append([kind.title, *cells[0], *cells[1]])
    lines = [f"{second.name}: {first.revision} → {second.revision}, by the scores in git alone", *table(rows, {1, 2, 3, 4})]
    lines += notes
    lines.append("  Rows cannot be compared, so no difference has an interval. In neither cache nor remote:")
    for results in (first, second):
        if lost := results.gone:
            lines += [f"    {' and '.join(lost)} at {results.revision}", f"    fix: {results.revision.fetch(lost)}"]
    return "\n".join(lines)


def _kept(entry: object, decimals: int) -> list[str]:
    """A headline's value, and its gain over the base with its interval."""
    if not isinstance(entry, dict):
        return [figures.show(entry if isinstance(entry, int | float) else None, decimals), ""]
    if not {"gain", "low", "high"} <= entry.keys():
        return [figures.show(entry.get("tuned"), decimals), ""]
    gain = f"{figures.show(entry['gain'], decimals, True)} {figures.interval(entry, decimals, True)}"
    return [figures.show(entry.get("tuned"), decimals), gain]


def compare(revisions: list[Revision], model: str | None, contestant: str, rows: int, width: int) -> str:
    """Both revisions' models compared, or only `model`; one that cannot be is named with the reason.

    Raises:
        StageError: if `model` cannot be compared, or no model can.
    """
    models = [list(revision.params.get("models") or {}) for revision in revisions]
    both = [name for name in models[1] if name in models[0]]
    if model and sum(model in names for names in models) == 1:
        only = revisions[0] if model in models[0] else revisions[1]
        fix = "--model BEFORE=AFTER, where it was renamed"
        raise StageError(f"--model {model}", f"a model at {only} alone", "a model of both", fix)
    texts, failed = [], []
    for name in [model] if model else both:
        before, _, after = name.partition("=")  # a model that was renamed
        sides = zip((before, after or before), revisions, strict=True)
        results = [Results(side, revision) for side, revision in sides]
        try:
            texts.append(describe(Comparison(*results, contestant=contestant), rows, width))
        except Gone:
            texts.append(kept_scores(*results))
        except StageError as error:
            failed.append(error)
            texts.append(f"{name}: not compared\n{textwrap.indent(str(error), '  ')}")
    if failed and len(failed) == len(texts):
        raise failed[0]
    if not texts:
        fix = "--model BEFORE=AFTER, where one was renamed"
        raise StageError(" and ".join(map(str, revisions)), "no model in common", "a model that both have", fix)
    alone = [f"{name}: only at {revision}" for i, revision in enumerate(revisions) for name in models[i] if name not in both]
    if all(set(names) - set(both) for names in models):
        alone.append("--model BEFORE=AFTER compares a model that was renamed")
    return "\n\n".join([*texts, *(alone if not model else [])])


def seed_table(revisions: list[Revision], model: str, contestant: str) -> str:
    """The noise of the seed as a table.

    Raises:
        StageError: where the revisions differ in more than seeds.
    """
    runs = [Results(model, revision) for revision in revisions]
    rows = [["figure", "mean", "standard deviation", "lowest", "highest", "two runs differ by up to"]]
    for floor in seed_noise(runs, contestant):
        kind = figures.kind(floor.name, runs[0].judges)
        values = [floor.mean, floor.deviation, min(floor.values), max(floor.values), floor.floor]
        rows.append([kind.title, *(figures.show(value, max(2, kind.decimals)) for value in values)])
    head = f"{model}, {contestant}: {len(runs)} runs that differ in their seed alone"
    return "\n".join([head, "", *table(rows, {1, 2, 3, 4, 5})])


def command(
    revisions: Annotated[list[str], typer.Argument(metavar="REV…", help="Two revisions: before, after.")],
    seeds: Annotated[bool, typer.Option("--seeds", help="They differ in their seed alone: measure its noise.")] = False,
    model: Annotated[str, typer.Option(help="A key of `models`, or BEFORE=AFTER. [default: all that both have]")] = "",
    contestant: Annotated[str, typer.Option("--who", help="Whose answers: tuned, base, base_chat, …")] = TUNED,
    rows: Annotated[int, typer.Option(help="How many of the rows that changed most to show.")] = 5,
) -> None:
    """Compare two revisions of a model row by row: better, worse or within noise.

    A revision is a commit, branch, tag, experiment, or `workspace`.

    Example: affinage compare main my-experiment --model medical
    """
    if seeds and not model:
        raise typer.BadParameter("--seeds needs --model")
    if not seeds and len(revisions) != 2:
        raise typer.BadParameter("expected two revisions, or --seeds with several")
    named = [Revision(name) for name in revisions]
    width = min(120, shutil.get_terminal_size((100, 24)).columns)
    print(seed_table(named, model, contestant) if seeds else compare(named, model or None, contestant, rows, width))
