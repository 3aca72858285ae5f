"""Answer every test row and every probe with the tuned model and with what it is compared with."""

from pathlib import Path

from stages.common.cli import run_stage
from stages.common.files import read_rows
from stages.common.schema_models import Classify, Generate


def main(name: str, params: Generate | Classify, formatted: Path, **paths: Path) -> None:
    """Answer side by side, each contestant with its own prompt."""
    if params.task == "label":
        from stages.decoding.classifier.labels import generate_labels

        return generate_labels(name, params, formatted, **paths)
    from stages.decoding.contestants import choose_shots
    from stages.decoding.text import generate_text

    shots = choose_shots(list(read_rows(formatted / "train")), params.shots, params.seed) if params.shots else []
    return generate_text(name, params, list(read_rows(formatted / "test")), shots, **paths)


if __name__ == "__main__":
    run_stage(
        main,
        "models",
        "generate",
        {
            "formatted": "directory of formatted rows",
            "model": "model directory that answers",
            "base": "model it was tuned from",
            "root": "base at the start of its chain of rounds",
            "out": "answers to write",
            "speed": "timings and environment to write",
        },
    )
