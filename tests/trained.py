"""Running `stages.train` on a folder that holds a base and formatted rows, and looking at what it leaves."""

import csv
import json
from pathlib import Path

from stages import train
from stages.common.schema_models import LocalTraining
from stages.training import loop


def run(work: Path, params: LocalTraining, base: str = "base", out: str = "model", rows: str = "train") -> dict:
    """Train; returns the metrics."""
    train.main(
        out,
        params,
        train.Paths(
            rows=work / "formatted" / rows,
            formatted=work / "formatted",
            base=work / base,
            out=work / out,
            table=work / f"{out}.csv",
            metrics=work / f"{out}.json",
            speed=work / f"{out}.speed.json",
        ),
    )
    return json.loads((work / f"{out}.json").read_text())


def table(work: Path, out: str = "model") -> list[dict]:
    """The table of steps."""
    with open(work / f"{out}.csv", newline="") as file:
        return list(csv.DictReader(file))


def outputs(work: Path, out: str = "model") -> list[Path]:
    """What has to be the same after every run."""
    return [work / out, work / f"{out}.csv", work / f"{out}.json"]


def interrupt_the_fourth_step(monkeypatch) -> list[int]:
    """The steps that were begun, as they are; after each one a checkpoint. The fourth is interrupted, once."""
    whole, begun = loop.Run.step, []

    def step(self, *batch):
        begun.append(self.state.step)
        if len(begun) == 4:
            raise KeyboardInterrupt
        return whole(self, *batch)

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)
    monkeypatch.setattr(loop.Run, "step", step)
    return begun
