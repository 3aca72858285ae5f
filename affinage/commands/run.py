"""Run the pipeline as `dvc repro` does, and say how far it is: `affinage run`, or `affinage run judge@medical`.

DVC names each stage as it comes to it. Here it is also said which of how many that is, how many are left, and about how long
they take: by the timings of the last run, at the speed of this one.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stages.common.errors import StageError

if TYPE_CHECKING:
    from dvc.repo import Repo

SPEED = Path("metrics") / "speed"
CAME_TO = re.compile(r"(Running stage|Stage) '(.+?)'")  # DVC's words, at the beginning of a line
LEFT_OUT = ("Use `dvc push`",)  # what DVC says at the end of every run; docs/experiments.md says when to push
ENOUGH = 20.0  # seconds of the last run that must have been done again before its timings tell how fast this one is


@contextmanager
def pipeline() -> Iterator["Repo"]:
    """The pipeline as DVC sees it.

    Raises:
        StageError: for a target that there is not, or a pipeline that DVC cannot read.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            yield repo
    except DvcException as error:
        raise StageError("dvc.yaml", str(error), "stages such as judge@medical", "dvc stage list names them") from None


def needs(repo: "Repo", targets: list[str]) -> dict[str, set[str]]:
    """The targets and all that they need (without targets: every stage), each with the stages whose outputs it reads."""
    chosen = [stage for target in targets for stage in repo.stage.collect(target, with_deps=True)]
    graph = repo.index.graph
    stages = dict.fromkeys(chosen if targets else repo.index.stages)
    return {stage.addressing: {other.addressing for other in graph.successors(stage)} for stage in stages}


def last_seconds(folder: Path = SPEED) -> dict[str, float]:
    """The seconds that each stage of a model took when it last ran here or on the machine of the commit, by its name."""
    seconds = {}
    for path in sorted(folder.glob("*/*.json")):
        timings = json.loads(path.read_text(encoding="utf-8"))
        parts = [timings, *timings.values()]
        sums = [part["seconds"] for part in parts if isinstance(part, dict) and isinstance(part.get("seconds"), int | float)]
        seconds[f"{path.stem}@{path.parent.name}"] = float(sum(sums))
    return seconds


class Count:
    """Which of how many stages DVC has come to.

    Args:
        names: every stage that it will come to.
        seconds: what stages took the last time, as far as known.
    """

    def __init__(self, names: list[str], seconds: dict[str, float]):
        self.left, self.total, self.seconds = dict.fromkeys(names), len(names), seconds
        self.ran: list[str] = []
        self.start = time.monotonic()

    def line(self, text: str) -> str | None:
        """What to show for a line that DVC printed; None for nothing."""
        match = CAME_TO.match(text)
        if not match:
            return None if text.startswith(LEFT_OUT) else text
        words, name = match.groups()
        self.left.pop(name, None)
        if words == "Stage":  # unchanged
            return None
        self.ran.append(name)
        left = f"{len(self.left)} to look at after it{self._minutes()}" if self.left else "the last one"
        return f"[{self.total - len(self.left)}/{self.total}] {name}; {left}"

    def _minutes(self) -> str:
        """About how long the stages take that are left, this one among them; empty where nothing tells."""
        spent = sum(self.seconds.get(name, 0) for name in self.ran[:-1])
        if spent < ENOUGH:
            return ""
        ahead = sum(self.seconds.get(name, 0) for name in [*self.left, self.ran[-1]])
        return f", about {max(1, round(ahead / spent * (time.monotonic() - self.start) / 60))} min"

    def end(self) -> str:
        minutes, seconds = divmod(round(time.monotonic() - self.start), 60)
        same = self.total - len(self.ran)
        return f"{len(self.ran)} of {self.total} stages ran, {same} had nothing to do; {minutes} min {seconds} s"


def repro(targets: list[str]) -> int:
    """Run `dvc repro` on the targets; returns its exit status."""
    with pipeline() as opened:
        count = Count(list(needs(opened, targets)), last_seconds())
    command = [sys.executable, "-m", "dvc", "repro", *targets]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, errors="replace") as running:
        for text in running.stdout:
            if (line := count.line(text.rstrip("\n"))) is not None:
                print(line, flush=True)
    if not running.returncode:
        print(count.end())
    return running.returncode


def command(
    targets: Annotated[list[str] | None, typer.Argument(help="Stages, such as judge@medical. [default: all]")] = None,
) -> None:
    """Run the pipeline as `dvc repro` does, and say which of how many stages it is at and about how long the rest takes.

    Example: affinage run judge@medical
    """
    if status := repro(targets or []):
        raise typer.Exit(status)
