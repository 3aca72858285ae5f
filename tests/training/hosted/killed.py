"""Hosted training in processes that are killed on the way: `python -m tests.training.hosted.killed FOLDER`.

The folder holds plan.json.

The plan lists, for each run, where its first process is killed: `request` (by the service, which knows where), or `save` and
`output` (here). The second one ends in peace. Each fork is as good as a fresh process, without the time to start one.
"""

import json
import os
import signal
import sys
from itertools import count
from pathlib import Path

import openai  # noqa: F401 (before the forks)

from stages.common import files, http
from stages.training.hosted import following, state
from tests.training.hosted import helpers


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_save(number: int, after: bool) -> None:
    """At the `number`-th time that state is saved, before or after it is on disk."""
    write, calls = state.write_json, count(1)

    def dying(path: Path, data: dict) -> None:
        last = next(calls) == number
        if last and not after:
            die()
        write(path, data)
        if last:
            die()

    state.write_json = dying


def in_output(number: int, _: bool) -> None:
    """At the `number`-th output that is put in its place."""
    replace, calls = files._replace, count(1)

    def dying(partial: Path, path: Path) -> None:
        if "scratch" not in path.parts and next(calls) == number:
            die()
        replace(partial, path)

    files._replace = dying


def run(folder: Path, kill: list | None) -> None:
    (folder / "pid").write_text(str(os.getpid()))
    os.environ["AFFINAGE_SCRATCH"] = str(folder / "scratch")
    for module in (http, state, following):
        module.sleep = lambda _: None
    if kill and kill[0] != "request":
        {"save": in_save, "output": in_output}[kill[0]](kill[1], kill[2])
    helpers.train(folder)


def fork(folder: Path, kill: list | None) -> int:
    """How the process ended: 0, or minus the signal."""
    child = os.fork()
    if not child:
        run(folder, kill)
        sys.stderr.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    work = Path(sys.argv[1])
    for name, kill in json.loads((work / "plan.json").read_text()).items():
        ends = [fork(work / name, kill), fork(work / name, None)]
        (work / name / "ends.json").write_text(json.dumps(ends))
