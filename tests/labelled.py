"""Texts with labels, as the format stage leaves them, and a tiny classifier of them."""

from pathlib import Path

from stages import generate, judge, train
from stages.common.files import read_rows, write_json, write_rows
from stages.common.schema_models import ClassifierTraining, Classify, LabelJudge
from stages.prompts import style
from tests import tiny
from tests.data_helpers import classification_params

LABELS = ["animal", "colour", "tool"]
WORDS = {
    "animal": ["cat", "dog", "owl", "fox"],
    "colour": ["red", "blue", "green", "grey"],
    "tool": ["saw", "axe", "rake", "file"],
}


def rows(count: int, first: int = 0, labels: list[str] = LABELS) -> list[dict]:
    """Texts whose words tell their label."""
    texts = []
    for i in range(first, first + count):
        label = labels[i % len(labels)]
        words = WORDS[label]
        text = f"{words[i % 4]} {words[(i // 4) % 4]} number {i}"
        texts.append({"id": f"row#{i}", "task": "label", "place": i, "text": text, "label": label})
    return texts


def formatted(folder: Path) -> Path:
    """24 rows to train on, 6 to validate and 9 to test."""
    for part, count, first in (("train", 24, 0), ("validation", 6, 24), ("test", 9, 30)):
        write_rows(folder / part / "000.jsonl", rows(count, first))
    write_json(folder / "prompt.json", style("classification").contract(classification_params()))
    write_json(folder / "labels.json", {"labels": LABELS, "names": LABELS})
    return folder


def tuned(formatted: Path, base: Path, out: Path, **changes) -> Path:
    """A classifier trained from `base`."""
    params = tiny.training().model_dump(exclude={"shuffle_pairs", "packing"})
    params |= {"method": "classifier", "class_weights": "none", "epochs": 8, **changes}
    files = {name: out.parent / f"{out.name}.{name}" for name in ("table", "metrics", "speed")}
    places = {"rows": formatted / "train", "formatted": formatted, "base": base, "out": out}
    train.main(out.name, ClassifierTraining(**params), train.Paths(**places, **files))
    return out


def labelling(**changes) -> Classify:
    """Parameters of `generate`."""
    return Classify(**{"task": "label", "batch_rows": 4, "precision": "fp32", "seed": 1, **changes})


def judging(**changes) -> LabelJudge:
    """Parameters of `judge`."""
    return LabelJudge(**{"task": "label", "bootstrap": 200, "confidence": 0.95, "seed": 1, **changes})


def answer(work: Path, formatted: Path, model: Path, base: Path, root: Path, **changes) -> list[dict]:
    """The answers that `generate` writes to `work/answers.jsonl`."""
    places = {"formatted": formatted, "model": model, "base": base, "root": root}
    generate.main(
        "kinds", labelling(**changes), generate.Paths(**places, out=work / "answers.jsonl", speed=work / "generate.json")
    )
    return list(read_rows(work / "answers.jsonl"))


def judged(work: Path, answers: Path, **changes) -> tuple[Path, ...]:
    """The verdicts, metrics, details and table that `judge` writes."""
    outs = {name: work / f"judged.{name}" for name in ("verdicts", "metrics", "details", "table")}
    unread = dict.fromkeys(("formatted", "model", "base", "root", "encoder", "marks"), work / "nothing")
    judge.main("kinds", judging(**changes), judge.Paths(answers=answers, **unread, **outs, speed=work / "judge.json"))
    return tuple(outs.values())
