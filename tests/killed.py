"""Train in processes that are killed on the way: `python -m tests.killed FOLDER`, where FOLDER holds plan.json.

The plan lists, for each run, its parameters and where its processes are killed, one after another; the last one ends in
peace. This process only imports and forks: each fork is as good as a fresh process, without the seconds to start one.
Optional: `kind`, the maker of the parameters in tests/tiny.py; `processes`, how many train together, as torchrun would
have started them; `shard`, whether the parameters are shared out; `folder` of base and rows inside FOLDER; `logits`, how
many are in memory at once.
"""

import json
import os
import signal
import socket
import sys
from itertools import count
from pathlib import Path

import torch

import stages.train
from stages.common.schema_models import LocalTraining
from stages.models import directory
from stages.tasks import causal
from stages.training import loop, train_local
from stages.training.checkpoint import Checkpoints
from tests import tiny


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before_step(number: int) -> None:
    schedule = loop.schedule

    def dying(kind: str, step: int, *rest) -> float:
        if step == number:
            die()
        return schedule(kind, step, *rest)

    loop.schedule = dying


def in_save(number: int) -> None:
    """In the middle of the `number`-th checkpoint of this process."""
    whole, calls = Checkpoints.save, count(1)

    def dying(self, state: dict) -> None:
        if next(calls) == number:
            torch.save(state, self.partial)
            os.truncate(self.partial, self.partial.stat().st_size // 2)
            die()
        whole(self, state)

    Checkpoints.save = dying


def in_model(number: int) -> None:
    """When `number` shards of the model are written."""
    write, calls = directory.save_file, count(1)

    def dying(*args, **options) -> None:
        write(*args, **options)
        if next(calls) == number:
            die()

    directory.save_file = dying


def before_table(_: int) -> None:
    train_local.write_table = lambda *_: die()


LOGITS = causal.LOGITS
KILLS = {kill.__name__: kill for kill in (before_step, in_save, in_model, before_table)}


def refuse(*_) -> None:
    raise AssertionError("only process 0 writes")


def train(folder: Path, params: LocalTraining, inputs: Path) -> None:
    torch.set_num_threads(1)
    if os.environ.get("RANK", "0") != "0":
        train_local.atomic_directory = train_local.write_table = train_local.write_json = Checkpoints.save = (
            Checkpoints.clear
        ) = refuse
    loop.CHECKPOINT_SECONDS, loop.STEPS_BETWEEN_ASKING = -1, 1  # a checkpoint after every step
    os.environ["AFFINAGE_SCRATCH"] = str(folder / "scratch")
    step = loop.Run.step

    def noted(*args):
        row = step(*args)
        with open(folder / "steps.txt", "a") as file:
            file.write(f"{row.place['step']}\n")
        return row

    loop.Run.step = noted
    stages.train.main(
        "model",
        params,
        stages.train.Paths(
            rows=inputs / "formatted" / "train",
            formatted=inputs / "formatted",
            base=inputs / "base",
            out=folder / "model",
            table=folder / "results.csv",
            metrics=folder / "train.json",
            speed=folder / "speed.json",
        ),
    )


def together(folder: Path, params: LocalTraining, inputs: Path, kill: list | None, processes: int, shard: bool) -> list[int]:
    """How each process ended: 0, or minus the signal."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(processes):
        children.append(os.fork())
        if not children[-1]:
            if processes > 1:
                where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": rank, "WORLD_SIZE": processes}
                os.environ |= {name: str(value) for name, value in (where | {"AFFINAGE_SHARD": int(shard)}).items()}
            if kill:
                KILLS[kill[0]](kill[1])
            train(folder, params, inputs)
            sys.stdout.flush()
            os._exit(0)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


if __name__ == "__main__":
    work = Path(sys.argv[1])
    for name, plan in json.loads((work / "plan.json").read_text()).items():
        (work / name).mkdir()
        causal.LOGITS = plan.get("logits", LOGITS)
        params = getattr(tiny, plan.get("kind", "training"))(**plan["params"])
        how = plan.get("processes", 1), plan.get("shard", False)
        inputs = work / plan.get("folder", "")
        ends = [together(work / name, params, inputs, kill, *how) for kill in [*plan["kills"], None]]
        (work / name / "ends.json").write_text(json.dumps(ends if how[0] > 1 else [end for (end,) in ends]))
