"""Answer every test row and every probe with the tuned model and with what it is compared with."""

from stages.common.cli import run_stage
from stages.common.schema_models import Classify, Generate
from stages.common.tables import entry
from stages.decoding.paths import Paths

TASKS = {
    "text": "stages.decoding.text_answers:generate_text",
    "label": "stages.decoding.classifier.label_answers:generate_labels",
}


def main(name: str, params: Generate | Classify, paths: Paths) -> None:
    """Answer side by side, each contestant with its own prompt."""
    entry(TASKS, params.task)(name, params, paths)


if __name__ == "__main__":
    run_stage(main, "models", "generate", Paths)
