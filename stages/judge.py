"""Judge the answers to the test rows by what their task asks for."""

from stages.common.cli import run_stage
from stages.common.schema_models import Judge, LabelJudge
from stages.judging.paths import Paths


def main(name: str, params: Judge | LabelJudge, paths: Paths) -> None:
    """Score the answers: tuned against base, with intervals, and the judge itself."""
    if params.task == "label":
        from stages.judging.labels import judge_labels

        return judge_labels(name, params, paths)
    from stages.judging.text import judge_text

    return judge_text(name, params, paths)


if __name__ == "__main__":
    run_stage(main, "models", "judge", Paths)
