"""Fine-tune a model on the training rows of its dataset, from a base or from an earlier round."""

from pathlib import Path

from stages.common.cli import run_stage
from stages.common.schema_models import Train


def main(name: str, params: Train, formatted: Path, base: Path, out: Path, table: Path, metrics: Path, speed: Path) -> None:
    """Train on formatted/train, here (the best state on formatted/validation is kept) or by a hosted service."""
    if params.method == "hosted":  # needs no torch
        from stages.hosted.training import train_hosted

        return train_hosted(name, params, formatted, formatted / "train", base, out, table, metrics, speed)
    from stages.training.local import train_local

    return train_local(name, params, formatted, base, out, table, metrics, speed)


if __name__ == "__main__":
    run_stage(
        main,
        "models",
        "train",
        {
            "formatted": "directory of formatted rows",
            "base": "model directory to start from",
            "out": "model directory to write",
            "table": "results.csv to write",
            "metrics": "metrics to write",
            "speed": "timings and environment to write",
        },
    )
