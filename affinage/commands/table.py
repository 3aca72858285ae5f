"""Experiments beside each other, in the width of a terminal: `affinage table`.

For each model: HEAD, the work tree if it differs, and every experiment that changed something behind the model's scores,
with what it changed, its headline figures and their difference to HEAD (with --baseline: to another commit), and the alarms
that its stages raised.
"""

import json
import shutil
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from affinage.history.alarms import behind, raised
from affinage.history.changes import changed, headlines, parameters, speed_files, timings
from affinage.history.judges import another
from affinage.history.revisions import contents, experiments, resolve
from stages.common.errors import StageError
from stages.common.params import FILE

NAME, CELL, GAP = 26, 21, 2  # the most columns of a name, and of a figure with its difference; columns between two


@dataclass(frozen=True)
class Run:
    """One line of the table: a revision's parameters; each model's headlines, the alarms that concern it, and its judges."""

    name: str
    values: dict[str, object]
    scores: dict[str, dict[str, float]]
    alarms: dict[str, list[str]] = field(default_factory=dict)
    judges: dict[str, dict[str, dict]] = field(default_factory=dict)

    def judge(self, model: str, name: str) -> dict:
        """What `details.json` says of a judge; empty for any other figure."""
        return self.judges.get(model, {}).get(name, {})


def models(values: dict[str, object]) -> list[str]:
    """The models of a `params.yaml`."""
    return list(dict.fromkeys(path.split(".")[1] for path in values if path.startswith("models.")))


def from_git(revisions: dict[str, str], speed: bool = False) -> list[Run]:
    """Runs by name, read from their commits; those without parameters are left out."""
    files = contents([(commit, str(FILE)) for commit in revisions.values()])
    known = {text: parameters(text) for text in set(files.values())}
    values = {name: known[files[commit, str(FILE)]] for name, commit in revisions.items() if (commit, str(FILE)) in files}
    paths = {name: [path for model in models(of) for path in _files(model, of)] for name, of in values.items()}
    by_path = contents(list(dict.fromkeys((revisions[name], path) for name in paths for path in paths[name])))

    def files_of(name: str) -> dict[str, bytes]:
        return {path: by_path[revisions[name], path] for path in paths[name] if (revisions[name], path) in by_path}

    return [_run(name, values[name], files_of(name), speed) for name in values]


def from_work_tree(speed: bool = False) -> Run:
    """What lies here now."""
    values = parameters(FILE.read_bytes())
    paths = {path for model in models(values) for path in _files(model, values)}
    return _run("work tree", values, {path: Path(path).read_bytes() for path in sorted(paths) if Path(path).exists()}, speed)


def _files(model: str, values: dict[str, object]) -> list[str]:
    """The metrics files that the table reads for a model."""
    return [*behind(model, values.get(f"models.{model}.dataset")), f"metrics/{model}/details.json", *speed_files(model)]


def _run(name: str, values: dict[str, object], files: dict[str, bytes], speed: bool) -> Run:
    scores, alarms, judges = {}, {}, {}
    for model in models(values):
        own = {path: files[path] for path in _files(model, values) if path in files}
        if speed and any(path in own for path in speed_files(model)):
            scores[model] = timings(*map(own.get, speed_files(model)))
        elif not speed and (path := f"metrics/{model}/scores.json") in own:
            scores[model] = headlines(own[path])
            judges[model] = json.loads(own.get(f"metrics/{model}/details.json", b"{}")).get("judges") or {}
        if own_alarms := raised(own):
            alarms[model] = [str(alarm) for alarm in own_alarms]
    return Run(name, values, scores, alarms, judges)


def differs(run: Run, head: Run, model: str) -> bool:
    """Whether a run has anything to say of a model."""
    same = run.scores.get(model) == head.scores.get(model) and run.alarms.get(model) == head.alarms.get(model)
    return not same or bool(changed(model, head.values, run.values))


def block(model: str, head: Run, runs: list[Run], width: int) -> list[str]:
    """The lines of one model: as many figures as fit beside the names, the other figures below."""
    runs = [run for run in runs if differs(run, head, model)]
    names = list(dict.fromkeys(name for run in (head, *runs) for name in run.scores.get(model, {})))
    cells = {name: [_short(name, CELL), *(_cell(run, head, model, name) for run in (head, *runs))] for name in names}
    widths = {name: max(map(len, texts)) + GAP for name, texts in cells.items()}
    labels = [_short(model, NAME), *(_short(f"  {run.name}", NAME) for run in (head, *runs))]
    label_width = max(map(len, labels))
    lines = []
    for number, chunk in enumerate(_chunks(widths, width - label_width)):
        for place, label in enumerate(labels):
            shown = "" if number and not place else label
            lines.append(f"{shown:{label_width}}" + "".join(f"{cells[name][place]:>{widths[name]}}" for name in chunk))
            run = (head, head, *runs)[place]
            if place > 1 and not number:
                changes = changed(model, head.values, run.values) or ["no parameter: code or data differ"]
                lines += _wrapped(", ".join(changes), width)
                lines += [line for note in _unlike(model, head, run) for line in _wrapped(note, width)]
            if place and not number:
                lines += [line for alarm in run.alarms.get(model, []) for line in _wrapped(f"ALARM: {alarm}", width)]
    return [line.rstrip() for line in lines]


def _unlike(model: str, head: Run, run: Run) -> list[str]:
    """The figures of a run that do not compare with those of `head`, with the reason."""
    both = [name for name in run.scores.get(model, {}) if name in head.scores.get(model, {})]
    reasons = {name: another(head.judge(model, name), run.judge(model, name)) for name in both}
    return [f"{name} does not compare: {reason}" for name, reason in reasons.items() if reason]


def _chunks(widths: dict[str, int], room: int) -> list[list[str]]:
    """Names in lines of at most `room` columns, one at least in each; a single empty line of none."""
    chunks: list[list[str]] = [[]]
    for name, width in widths.items():
        if chunks[-1] and sum(widths[other] for other in chunks[-1]) + width > room:
            chunks.append([])
        chunks[-1].append(name)
    return chunks


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _cell(run: Run, head: Run, model: str, name: str) -> str:
    value, before = run.scores.get(model, {}).get(name), head.scores.get(model, {}).get(name)
    if value is None:
        return "–"
    text = f"{value:.4g}"
    unlike = another(head.judge(model, name), run.judge(model, name))
    return text if run is head or before is None or unlike else f"{text} ({value - before:+.2g})"


def table(head: Run, runs: list[Run], only: list[str], width: int) -> str:
    """The whole text; at its end, runs that differ from HEAD in nothing."""
    shown = list(dict.fromkeys(name for run in (head, *runs) for name in models(run.values)))
    blocks = ["\n".join(block(model, head, runs, width)) for model in shown if not only or model in only]
    same = [run.name for run in runs if not any(differs(run, head, model) for model in shown)]
    if same:
        blocks.append("\n".join(textwrap.wrap(f"No difference: {', '.join(same)}", width)))
    if not runs and shown:
        first = next(model for model in shown if not only or model in only)
        blocks.append(f"Nothing to compare with {head.name} yet. A change: dvc exp run -S ++models.{first}.train.seed=2")
    return "\n\n".join(blocks)


def _without_models(words: list[str]) -> tuple[list[str], list[str]]:
    """The revisions among some words, and the models: what git and DVC do not know and params.yaml has as a model.

    Raises:
        StageError: for a word that is neither.
    """
    revisions, only = [], []
    known = models(parameters(FILE.read_bytes())) if words else []
    for word in words:
        try:
            resolve(word)
            revisions.append(word)
            if word in known:
                print(f"{word}: taken for the revision; --model {word} shows the model alone", file=sys.stderr)
        except StageError as unknown:
            if word not in known:
                either = f"{unknown.expected}, or a model ({', '.join(known)})"
                raise StageError(word, "no such revision or model", either, unknown.fix) from None
            only.append(word)
    return revisions, only


@dataclass(frozen=True)
class Choice:
    """What a table is asked for: revisions (none: the experiments of the baseline, or of `every` commit), models, figures."""

    revisions: list[str]
    models: list[str]
    baseline: str = "HEAD"
    every: bool = False
    speed: bool = False


def experiments_table(choice: Choice, width: int) -> str:
    """The table that is asked for, in lines of at most `width` characters.

    Raises:
        StageError: for a revision or a model that there is not.
    """
    commit = resolve(choice.baseline)
    revisions, also = _without_models(choice.revisions)
    only = [*choice.models, *also]
    named = {name: resolve(name) for name in revisions} or {
        experiment.name: experiment.commit for experiment in experiments() if choice.every or experiment.baseline == commit
    }
    head, *others = from_git({choice.baseline: commit}, choice.speed) + from_git(named, choice.speed)
    known = models(head.values)
    if unknown := set(only) - {name for run in (head, *others) for name in models(run.values)}:
        raise StageError("--model", f"no {unknown.pop()!r}", f"one of: {', '.join(known)}", "name one of these")
    runs = ([] if revisions else [from_work_tree(choice.speed)]) + others
    runs = [run for run in runs if run.name != "work tree" or any(differs(run, head, model) for model in known)]
    return table(head, runs, only, width)


def command(
    revisions: Annotated[
        list[str] | None, typer.Argument(help="Commits or experiments, or models to show alone. [default: the baseline's]")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this model; may be repeated.")] = None,
    baseline: Annotated[str, typer.Option(help="The commit that the others are compared with.")] = "HEAD",
    every: Annotated[bool, typer.Option("--all", help="Experiments of every commit.")] = False,
    speed: Annotated[bool, typer.Option("--speed", help="Seconds and tokens a second instead of scores.")] = False,
    width: Annotated[int, typer.Option(help="Columns. [default: the terminal's, or 100]", show_default=False)] = 0,
) -> None:
    """Show experiments beside each other: what each changed, and its headlines against HEAD.

    Example: affinage table --model medical --all
    """
    columns = width or shutil.get_terminal_size((100, 0)).columns
    choice = Choice(revisions or [], model or [], baseline, every, speed)
    print(experiments_table(choice, columns))
