"""Fine-tune a model on the training rows of its dataset, from a base or from an earlier round."""

import os
import sys

from stages.common.cli import run_stage
from stages.common.errors import report
from stages.common.schema_models import Train
from stages.common.tables import entry
from stages.training.launch import launch
from stages.training.paths import Paths

METHODS = {
    "causal": "stages.training.train_local:train_local",
    "classifier": "stages.training.train_local:train_local",
    "hosted": "stages.training.hosted.training:train_hosted",  # needs no torch
}


def main(name: str, params: Train, paths: Paths) -> None:
    """Train on the rows, here (the best state on formatted/validation is kept) or by a hosted service."""
    if params.method == "hosted" and os.environ.get("RANK", "0") != "0":
        return  # a launcher's other processes would each pay for a job
    entry(METHODS, params.method)(name, params, paths)


if __name__ == "__main__":
    report(lambda: launch("stages.train", sys.argv[1:]))
    run_stage(main, "models", "train", Paths)
