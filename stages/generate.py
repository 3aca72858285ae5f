"""Answer every test row and every probe with the tuned model and with what it is compared with."""

from stages.common.cli import run_stage
from stages.common.schema_models import Classify, Generate
from stages.decoding.paths import Paths


def main(name: str, params: Generate | Classify, paths: Paths) -> None:
    """Answer side by side, each contestant with its own prompt."""
    if params.task == "label":
        from stages.decoding.classifier.labels import generate_labels

        return generate_labels(name, params, paths)
    from stages.decoding.text import generate_text

    return generate_text(name, params, paths)


if __name__ == "__main__":
    run_stage(main, "models", "generate", Paths)
