"""Fine-tune a model on the training rows of its dataset, from a base or from an earlier round."""

import sys
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import report
from stages.common.schema_models import LocalTraining
from stages.training.launch import launch


def main(name: str, params: LocalTraining, **paths: Path) -> None:
    """Train on the rows, choose the best state on formatted/validation."""
    from stages.training.local import train_local

    train_local(name, params, **paths)


if __name__ == "__main__":
    report(lambda: launch("stages.train", sys.argv[1:]))
    run_stage(
        main,
        "models",
        "train",
        {
            "rows": "formatted rows to train on: a file or a directory",
            "formatted": "directory of formatted rows",
            "base": "model directory to start from",
            "out": "model directory to write",
            "table": "results.csv to write",
            "metrics": "metrics to write",
            "speed": "timings and environment to write",
        },
    )
