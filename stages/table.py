"""Experiments beside each other, in the width of a terminal: `python -m stages.table`.

For each model: HEAD, the work tree if it differs, and every experiment that changed something behind the model's scores,
with what it changed, its headline figures and their difference to HEAD (with --baseline: to another commit).
"""

import argparse
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import StageError, report
from stages.common.params import FILE
from stages.history.changes import changed, headlines, parameters
from stages.history.revisions import contents, experiments, resolve

NAME, CELL = 24, 22  # columns of a name, and of a figure with its difference


@dataclass(frozen=True)
class Run:
    """One line of the table: a revision's parameters, and each model's headlines."""

    name: str
    values: dict[str, object]
    scores: dict[str, dict[str, float]]


def models(values: dict[str, object]) -> list[str]:
    """The models of a `params.yaml`."""
    return list(dict.fromkeys(path.split(".")[1] for path in values if path.startswith("models.")))


def from_git(revisions: dict[str, str]) -> list[Run]:
    """Runs by name, read from their commits; those without parameters are left out."""
    files = contents([(commit, str(FILE)) for commit in revisions.values()])
    known = {text: parameters(text) for text in set(files.values())}
    values = {name: known[files[commit, str(FILE)]] for name, commit in revisions.items() if (commit, str(FILE)) in files}
    places = {
        (name, model): (revisions[name], f"metrics/{model}/scores.json") for name in values for model in models(values[name])
    }
    found = contents(list(dict.fromkeys(places.values())))
    scores = {place: headlines(found[key]) for place, key in places.items() if key in found}
    return [
        Run(name, values[name], {model: scores[name, model] for model in models(values[name]) if (name, model) in scores})
        for name in values
    ]


def from_work_tree() -> Run:
    """What lies here now."""
    values = parameters(FILE.read_bytes())
    files = {model: Path("metrics") / model / "scores.json" for model in models(values)}
    scores = {model: headlines(file.read_bytes()) for model, file in files.items() if file.exists()}
    return Run("work tree", values, scores)


def differs(run: Run, head: Run, model: str) -> bool:
    """Whether a run has anything to say of a model."""
    return run.scores.get(model) != head.scores.get(model) or bool(changed(model, head.values, run.values))


def block(model: str, head: Run, runs: list[Run], width: int) -> list[str]:
    """The lines of one model: what fits beside the names, the other figures below."""
    runs = [run for run in runs if differs(run, head, model)]
    names = list(dict.fromkeys(name for run in (head, *runs) for name in run.scores.get(model, {})))
    fitting = max(1, (width - NAME) // CELL)
    chunks = [names[start : start + fitting] for start in range(0, len(names), fitting)] or [[]]
    lines = []
    for number, chunk in enumerate(chunks):
        lines.append(f"{'' if number else model:{NAME}}" + "".join(f"{name[: CELL - 1]:>{CELL}}" for name in chunk))
        for run in (head, *runs):
            lines.append(f"{_short(run.name, NAME - 3):>{NAME}}" + "".join(_cell(run, head, model, name) for name in chunk))
            if run is not head and not number:
                said = changed(model, head.values, run.values) or ["no parameter: code or data differ"]
                lines += textwrap.wrap(", ".join(said), width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return [line.rstrip() for line in lines]


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _cell(run: Run, head: Run, model: str, name: str) -> str:
    value, before = run.scores.get(model, {}).get(name), head.scores.get(model, {}).get(name)
    if value is None:
        return f"{'–':>{CELL}}"
    text = f"{value:.4g}"
    return f"{text if run is head or before is None else f'{text} ({value - before:+.2g})':>{CELL}}"


def table(head: Run, runs: list[Run], only: list[str], width: int) -> str:
    """The whole text; at its end, runs that differ from HEAD in nothing."""
    shown = list(dict.fromkeys(name for run in (head, *runs) for name in models(run.values)))
    blocks = ["\n".join(block(model, head, runs, width)) for model in shown if not only or model in only]
    same = [run.name for run in runs if not any(differs(run, head, model) for model in shown)]
    if same:
        blocks.append("\n".join(textwrap.wrap(f"No difference: {', '.join(same)}", width)))
    return "\n\n".join(blocks)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.table", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("revisions", nargs="*", help="commits or experiments; without any: the experiments of the baseline")
    parser.add_argument("--model", action="append", default=[], help="only this model; may be given several times")
    parser.add_argument("--baseline", default="HEAD", help="the commit that the others are compared with")
    parser.add_argument("--all", action="store_true", help="experiments of every commit")
    parser.add_argument("--width", type=int, default=0, help="columns; without it: the terminal's, or 100")
    options = parser.parse_args()

    def run() -> None:
        baseline = resolve(options.baseline)
        named = {name: resolve(name) for name in options.revisions} or {
            experiment.name: experiment.commit for experiment in experiments() if options.all or experiment.baseline == baseline
        }
        head, *others = from_git({options.baseline: baseline}) + from_git(named)
        known = models(head.values)
        if unknown := set(options.model) - {name for run in (head, *others) for name in models(run.values)}:
            raise StageError("--model", f"no {unknown.pop()!r}", f"one of: {', '.join(known)}", "name one of these")
        runs = ([] if options.revisions else [from_work_tree()]) + others
        runs = [run for run in runs if run.name != "work tree" or any(differs(run, head, model) for model in known)]
        print(table(head, runs, options.model, options.width or shutil.get_terminal_size((100, 0)).columns))

    report(run)


if __name__ == "__main__":
    main()
