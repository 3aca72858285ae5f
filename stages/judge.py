"""Judge the answers to the test rows by what their task asks for."""

from pathlib import Path

from stages.common.cli import run_stage
from stages.common.files import read_rows
from stages.common.schema_models import Judge
from stages.judging.text import judge_text


def main(name: str, params: Judge, answers: Path, **paths: Path) -> None:
    """Score the answers: tuned against base, with intervals, and the judge itself."""
    judge_text(name, params, list(read_rows(answers)), answers, **paths)


if __name__ == "__main__":
    run_stage(
        main,
        "models",
        "judge",
        {
            "answers": "answers to judge",
            "formatted": "directory of formatted rows",
            "model": "tuned model directory",
            "base": "model it was tuned from",
            "root": "base at the start of its chain of rounds",
            "encoder": "the judge's encoder",
            "verdicts": "scores of each row to write",
            "metrics": "headline metrics to write",
            "details": "every figure with its interval, to write",
            "table": "long table of scores to write",
            "speed": "timings and environment to write",
        },
    )
