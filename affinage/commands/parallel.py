"""Run stages that do not need each other side by side: `affinage parallel -j 2`.

`dvc repro` runs one stage after the other, and much of a stage keeps one core busy: imports, hashing, tokens. Here the stages
are taken from DVC's own graph. Each gets a `dvc repro --single-item` as soon as all that it needs is done, at most N at a time,
the longest way to the end first. With `--first limericks` that model is judged before all others. Their processes are nicer:
they take what it leaves idle. Results are the same bytes as those of a plain `dvc repro`; nothing runs twice; after a kill, run
the same command again.

Two plain `dvc repro` side by side would not do: each locks even stages with nothing to do while it checks them.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Set
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Annotated

import typer

from affinage.commands import run
from stages.common.errors import StageError
from stages.common.params import FILE, read

# a thread that waits for another one sleeps: two spinning processes slow each other down threefold
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1"}
# what every `dvc repro` says, and here there are many
LEFT_OUT = (
    "Updating lock",
    "Generating lock",
    "To track the changes",
    "\tgit add",
    "To enable auto",
    "\tdvc config",
    "> python",
)
ANSWERING = ("generate", "judge")
MEMORY = 8 * 2**30  # bytes that two stages may need at once: training by default takes some 3 GiB


def at_once() -> int:
    """How many stages fit side by side: two where there is memory for them, one where they would share a GPU."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    has_gpu = any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd"))
    return 1 if has_gpu or memory < MEMORY or os.cpu_count() == 1 else 2


def to_do(needs: dict[str, set[str]], changed: set[str]) -> dict[str, set[str]]:
    """The stages that changed and those that need one of them, each with those that it waits for.

    Args:
        needs: for each stage the stages whose outputs it reads.
        changed: stages whose inputs or outputs are not those of dvc.lock.
    """
    chosen = changed & needs.keys()
    while more := {name for name, needed in needs.items() if name not in chosen and needed & chosen}:
        chosen |= more
    return {name: needed & chosen for name, needed in needs.items() if name in chosen}


def in_turn(names: list[str], models: dict[str, dict]) -> dict[str, str]:
    """Stages that one other stage goes before although they do not need it: what that one makes of the base is kept for them.

    Args:
        names: stages, such as generate@medical.
        models: the entries of params.yaml.

    Returns:
        for a stage the one that goes before: the same stage of the model before with the same dataset and root.
    """
    before, last = {}, {}
    for name in models:
        for stage in ANSWERING:
            if f"{stage}@{name}" in names:
                kind = stage, models[name]["dataset"], models[name]["root"]
                if kind in last:
                    before[f"{stage}@{name}"] = last[kind]
                last[kind] = f"{stage}@{name}"
    return before


def ways(needs: dict[str, set[str]], seconds: dict[str, float]) -> dict[str, float]:
    """Seconds from the start of each stage to the end of the longest way of stages that wait for it."""
    usual = sum(seconds.values()) / len(seconds) if seconds else 1.0
    own = {name: seconds.get(name, usual if "train@" in name else 1.0) for name in needs}
    way = {}

    def longest(name: str) -> float:
        if name not in way:
            way[name] = own[name] + max((longest(other) for other, needed in needs.items() if name in needed), default=0.0)
        return way[name]

    return {name: longest(name) for name in needs}


class Plan:
    """Which stage comes next.

    Args:
        needs: for each stage the stages whose outputs it reads.
        before: for a stage one that goes before it where it runs at all.
        seconds: what stages took the last time, as far as known.
        first: stages that go before all others.
    """

    def __init__(
        self, needs: dict[str, set[str]], before: dict[str, str], seconds: dict[str, float], first: Set[str] = frozenset()
    ):
        self.needs, self.before, self.first = needs, before, first
        all_before = {name: needed | {before[name]} if name in before else needed for name, needed in needs.items()}
        way = ways(all_before, seconds) | ways({name: all_before[name] & first for name in first}, seconds)
        self.waiting = sorted(needs, key=lambda name: (name not in first, -way[name]))
        self.running: set[str] = set()
        self.failed: list[str] = []

    @property
    def pending(self) -> set[str]:
        """The stages that have not ended."""
        return self.running.union(self.waiting)

    def aside(self, name: str) -> bool:
        """Whether a stage is to leave the machine to those that go first."""
        return name not in self.first and bool(self.first & self.pending)

    def next(self) -> str | None:
        """A stage that can run now; None if all that wait have to wait on."""
        pending = self.pending
        for name in self.waiting:
            if not self.needs[name] & pending and self.before.get(name) not in pending:
                self.waiting.remove(name)
                self.running.add(name)
                return name
        return None

    def end(self, name: str, status: int) -> None:
        """A stage ended. If it failed, those that need it do not run."""
        self.running.remove(name)
        if status:
            self.failed.append(name)
            lost = {name}
            while more := {other for other in self.waiting if other not in lost and self.needs[other] & lost}:
                lost |= more
            self.waiting = [other for other in self.waiting if other not in lost]


def repro(stage: str, aside: bool, count: run.Count, turn: threading.Lock) -> int:
    """Run one stage by DVC; returns its exit status.

    Args:
        aside: whether it leaves the machine to the others.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
    command = ["nice", "-n", "10", *command] if aside else command
    environment = {**ENVIRONMENT, **os.environ}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as running:
        for text in running.stdout:
            if text.strip() and not text.startswith(LEFT_OUT):
                with turn:
                    if (line := count.line(text.rstrip())) is not None:
                        print(line, flush=True)
    return running.returncode


def run_all(plan: Plan, count: run.Count, jobs: int, judged: Callable[[], None]) -> None:
    """Run every stage of a plan, `jobs` at a time.

    Args:
        judged: is called as soon as the stages that go first have ended.

    Raises:
        StageError: naming the stages that failed, after the others have ended.
    """
    turn, ends = threading.Lock(), {}
    with ThreadPoolExecutor(jobs) as pool:
        while plan.pending:
            while len(ends) < jobs and (stage := plan.next()):
                ends[pool.submit(repro, stage, plan.aside(stage), count, turn)] = stage
            for end in wait(ends, return_when=FIRST_COMPLETED).done:
                plan.end(ends.pop(end), end.result())
            if plan.first and not plan.first & plan.pending:
                plan.first = frozenset()
                with turn:
                    judged()
    if plan.failed:
        problem = f"failed for {', '.join(plan.failed)}"
        raise StageError("dvc repro", problem, "success", "the cause stands above; what does not need it has run")


def show(name: str) -> None:
    """Print what came out for a model."""
    from affinage.commands.summary import block
    from affinage.reports.overview import overviews

    for model in overviews():
        if model.name == name:
            print("", *block(model, shutil.get_terminal_size((100, 0)).columns), "", sep="\n", flush=True)


def command(
    models: Annotated[list[str] | None, typer.Argument(help="Keys of `models` in params.yaml. [default: all stages]")] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Stages at a time. [default: what fits]")] = None,
    first: Annotated[str | None, typer.Option(help="The model to judge, and to show, before all others.")] = None,
) -> None:
    """Run stages that do not need each other side by side, with the results of a plain `dvc repro`.

    Example: affinage parallel medical invoices -j 2
    """
    entries = read().get("models") or {}
    if unknown := [name for name in [*(models or []), *([first] if first else [])] if name not in entries]:
        raise StageError(f"{FILE}: models", f"no {unknown[0]!r}", f"one of: {', '.join(entries)}", "name one of these")
    leading = [f"judge@{first}"] if first else []
    targets = [*leading, *(f"judge@{name}" for name in models)] if models else []
    if (jobs or at_once()) == 1:
        if leading:
            run.command(leading)
            show(first)
        run.command(targets)
        return
    with run.pipeline() as repo:
        needs = run.needs(repo, targets)
        left = to_do(needs, {*repo.status(targets=targets, with_deps=True)})
        ahead = run.needs(repo, leading).keys() & left.keys() if leading else set()
    seconds = run.last_seconds()
    count = run.Count(list(needs), seconds)
    count.left = dict.fromkeys(left)
    entries = dict(sorted(entries.items(), key=lambda entry: entry[0] != first))
    plan = Plan(left, in_turn(list(left), entries), seconds, ahead)
    run_all(plan, count, jobs or at_once(), lambda: show(first))
    print(count.end())
