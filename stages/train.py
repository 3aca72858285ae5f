"""Fine-tune a model on the training rows of its dataset, from a base or from an earlier round."""

import os
import sys

from stages.common.cli import run_stage
from stages.common.errors import report
from stages.common.schema_models import Train
from stages.training.launch import launch
from stages.training.paths import Paths


def main(name: str, params: Train, paths: Paths) -> None:
    """Train on the rows, here (the best state on formatted/validation is kept) or by a hosted service."""
    if params.method == "hosted":  # needs no torch
        from stages.hosted.training import train_hosted

        if os.environ.get("RANK", "0") == "0":  # a launcher's other processes would each pay for a job
            train_hosted(name, params, paths)
        return
    from stages.training.local import train_local

    train_local(name, params, paths)


if __name__ == "__main__":
    report(lambda: launch("stages.train", sys.argv[1:]))
    run_stage(main, "models", "train", Paths)
