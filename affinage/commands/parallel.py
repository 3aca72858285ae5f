"""Run independent models at once: `affinage parallel -j 2`.

`dvc repro` runs one stage after the other. Two of them may run side by side as long as neither looks at a stage whose
outputs the other one uses: even a stage with nothing to do is locked while it is checked. So what models share (bases,
data) runs first, in one `dvc repro`; then each chain of rounds gets a `dvc repro --single-item` over its own stages, at
most N chains at a time. Results are the same bytes as those of a plain `dvc repro`; nothing runs twice; after a kill, run
the same command again.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from stages.common.errors import StageError
from stages.common.params import FILE, read

STAGES = ("train", "generate", "judge")  # of a model, in their order
# a thread that waits for another one sleeps: two spinning processes slow each other down threefold
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1"}


def chains(bases: dict[str, str]) -> list[list[str]]:
    """Models that hang together through rounds, each group in the order that they are trained in.

    Args:
        bases: for each model what it was tuned from: a base or another model.
    """
    first = {}
    for name in bases:
        start, seen = name, set()
        while bases[start] in bases and start not in seen:
            seen.add(start)
            start = bases[start]
        first.setdefault(start, []).append(name)
    depth = {name: _depth(name, bases) for name in bases}
    return [sorted(group, key=lambda name: (depth[name], name)) for group in first.values()]


def _with_parents(names: list[str], bases: dict[str, str]) -> list[str]:
    """The named models and every round before them."""
    chain = []
    for name in names:
        while name in bases and name not in chain:
            chain.append(name)
            name = bases[name]
    return chain


def _depth(name: str, bases: dict[str, str]) -> int:
    steps = 0
    while name in bases and steps <= len(bases):
        name, steps = bases[name], steps + 1
    return steps


def repro(label: str, arguments: list[str]) -> int:
    """One `dvc repro`, its lines marked with `label`; returns its exit status."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *arguments]
    environment = {**ENVIRONMENT, **os.environ}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as running:
        for line in running.stdout:
            if line.strip():
                print(f"{label}: {line.rstrip()}", flush=True)
    return running.returncode


def run(names: list[str], jobs: int) -> None:
    """Everything the named models need, then the models, `jobs` chains at a time.

    Raises:
        StageError: naming the chains that failed, after the others have ended.
    """
    params = read()
    models = params["models"]
    if unknown := [name for name in names if name not in models]:
        raise StageError(f"{FILE}: models", f"no {unknown[0]!r}", f"one of: {', '.join(models)}", "name one of these")
    wanted = _with_parents(names or list(models), {name: model["base"] for name, model in models.items()})
    groups = chains({name: models[name]["base"] for name in wanted})
    members = [models[name] for name in wanted]
    shared = [f"format@{name}" for name in dict.fromkeys(model["dataset"] for model in members)]
    used = [*(model[wire] for model in members for wire in ("base", "root")), params["judge_base"]]
    shared += [f"base@{name}" for name in dict.fromkeys(used) if name not in models]
    if repro("shared", shared):
        raise StageError("dvc repro", f"failed on one of {', '.join(shared)}", "success", "the cause stands above")
    with ThreadPoolExecutor(jobs) as pool:
        chosen = [[f"{stage}@{name}" for name in group for stage in STAGES] for group in groups]
        ends = list(pool.map(repro, [" ".join(group) for group in groups], [["--single-item", *targets] for targets in chosen]))
    if failed := [" ".join(group) for group, end in zip(groups, ends, strict=True) if end]:
        raise StageError("dvc repro", f"failed for {', '.join(failed)}", "success", "the cause stands above; the others ended")


def command(
    models: Annotated[list[str] | None, typer.Argument(help="Keys of `models` in params.yaml. [default: all]")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Chains at a time.")] = 2,
) -> None:
    """Run independent models side by side, with the results of a plain `dvc repro`.

    Example: affinage parallel medical invoices -j 2
    """
    run(models or [], jobs)
