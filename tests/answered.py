"""Running `stages.generate` on a folder of models and formatted rows."""

from pathlib import Path

from stages import generate
from stages.common.files import read_rows
from stages.common.schema_models import Classify, Generate


def run(
    work: Path, params: Generate | Classify, model: Path, base: Path, root: Path | None = None, out: str = "answers.jsonl"
) -> list[dict]:
    """Answer the test rows of `formatted` in a folder; returns the rows that are written there. The root is the base, unless
    another is named."""
    places = {"formatted": work / "formatted", "model": model, "base": base, "root": root or base}
    generate.main("model", params, generate.Paths(**places, out=work / out, speed=work / "speed.json"))
    return list(read_rows(work / out))
