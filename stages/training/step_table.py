"""The table of steps, in one shape for local and hosted training."""

import csv
from pathlib import Path

from stages.common.files import atomic_file

COLUMNS = (
    "step",
    "elapsed_tokens",
    "elapsed_examples",
    "training_loss",
    "training_sequence_accuracy",
    "training_token_accuracy",
    "validation_loss",
    "validation_token_accuracy",
)


def write_table(path: Path, rows: list[dict]) -> None:
    """One row an optimizer step, in the columns that OpenAI's result files had for completion models.

    A figure that was not measured is blank.
    """
    with atomic_file(path) as file:
        table = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})


def mean_of_last(rows: list[dict], steps: int) -> float:
    """The training loss, averaged over the last `steps` steps: one epoch."""
    losses = [row["training_loss"] for row in rows[-steps:]]
    return sum(losses) / len(losses)
