"""Judge the answers to the test rows by what their task asks for."""

from stages.common.cli import run_stage
from stages.common.schema_models import Judge, LabelJudge
from stages.common.tables import entry
from stages.judging.paths import Paths

TASKS = {
    "text": "stages.judging.text_verdicts:judge_text",
    "label": "stages.judging.label_verdicts:judge_labels",
}


def main(name: str, params: Judge | LabelJudge, paths: Paths) -> None:
    """Score the answers: tuned against base, with intervals, and the judge itself."""
    entry(TASKS, params.task)(name, params, paths)


if __name__ == "__main__":
    run_stage(main, "models", "judge", Paths)
