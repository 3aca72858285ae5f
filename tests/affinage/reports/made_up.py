"""A repository with the answers, verdicts and figures of one model, made up: what a report and a comparison read."""

import json
import random
from pathlib import Path

from affinage.reports.marking import write_sheet
from affinage.reports.outputs import Revision
from affinage.reports.results import Results
from stages.common.files import write_json, write_rows

WORDS = [
    "the",
    "heart",
    "pumps",
    "blood",
    "through",
    "arteries",
    "while",
    "lungs",
    "bring",
    "oxygen",
    "and",
    "twice",
    "a",
    "day",
]
PARAMS = """
datasets:
  data: {source: data/sources/data, split: {train: 0.8}}
bases:
  base: {base: {kind: hub}}
models:
  model:
    dataset: data
    base: base
    root: base
    judge_base: encoder
    train: {learning_rate: 2e-4}
    generate: {temperature: 0}
    judge:
      judges:
        embedded: {kind: embedded, controls: 8}
      bootstrap: 200
      confidence: 0.95
      seed: 1
"""
NASTY = [
    "<script>document.title = 'broken in'</script>",
    "</script></style></textarea><img src=x onerror=\"document.title='broken in'\">",
    '"><a href="javascript:document.title=1">javascript:alert(1)</a>',
    "{{ 7 * 7 }} {% raw %} ${7*7} &lt;b&gt; &amp;",
    "\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\U0001f469\u200d\u2695\ufe0f\U0001f1eb\U0001f1f7 e\u0301 \u0928\u092e\u0938\u094d\u0924\u0947",
    "\x00\x1b[31m\x07\ufffe\u2028 end",
    '=HYPERLINK("http://127.0.0.1/")\n\n\n   spaces   kept',
]


def sentence(dice: random.Random, words: int = 12) -> str:
    return " ".join(dice.choice(WORDS) for _ in range(words)).capitalize() + "."


def row(number: int, dice: random.Random, text: str | None = None) -> tuple[dict, dict]:
    """An answered row and its verdict; `text` stands for the tuned model's answer, and for the question in part."""
    question = f"Question {number}: {text or sentence(dice, 6)}"
    expected = sentence(dice)
    said = {"tuned": text if text is not None else sentence(dice), "base": sentence(dice, 40), "base_chat": text or "No."}
    answers = {
        contestant: {
            "prompt": f"### {question}\n",
            "text": answer,
            "tokens": len(answer.split()),
            "prompt_tokens": 9,
            "finish": "stop",
        }
        for contestant, answer in said.items()
    }
    answers["base"]["finish"] = "length"
    answered = {"id": f"file.jsonl#{number}", "task": "text", "messages": [{"role": "user", "content": question}]}
    scores = {
        "tuned": dice.uniform(30, 90),
        "base": dice.uniform(0, 50),
        "base_chat": dice.uniform(0, 50),
        "control good": 90.0,
    }
    likelihood = {"tuned": [dice.uniform(20, 30), 12, 6], "base": [dice.uniform(35, 50), 12, 4], "base_chat": [45.0, 12, 3]}
    return (
        answered | {"expected": expected, "answers": answers},
        {"id": answered["id"], "scores": {"embedded": scores}, "likelihood": likelihood},
    )


def area(value: float) -> dict:
    return {"value": value, "low": value - 0.05, "high": min(1.0, value + 0.05)}


def figures() -> tuple[dict, dict]:
    """scores.json and details.json."""
    named = {"perplexity": (8.0, 31.0), "chrf": (30.0, 31.0), "embedded": (60.0, 25.0), "exact_match": (0.0, 0.0)}
    details = {"rows": 8}
    for place, contestant in enumerate(("tuned", "base")):
        details[contestant] = {
            name: {"value": v[place], "low": v[place] - 1, "high": v[place] + 1} for name, v in named.items()
        }
    details["gain"] = {
        "perplexity": {"over": "base", "value": -23.0, "low": -25.0, "high": -21.0},
        "chrf": {"over": "base", "value": -1.0, "low": -3.0, "high": 1.0},
        "embedded": {"over": "base", "value": 35.0, "low": 30.0, "high": 40.0},
    }
    details["judges"] = {
        "overlap": {"auc": {"other": area(0.9), "half": area(0.1)}},
        "embedded": {
            "failed": 0,
            "auc": {"other": area(0.99), "half": area(0.7)},
            "fooled": area(0.05),
            "control_means": {"good": 90.0, "other": 2.0, "half": 60.0},
            "weights": {"meaning": 1.5, "bias": -2.0},
        },
    }
    gains = details["gain"].items()
    scores = {
        name: {"tuned": named[name][0], "gain": figure["value"], "low": figure["low"], "high": figure["high"]}
        for name, figure in gains
    }
    return scores, details


def write(root: Path, count: int = 8, texts: list[str] | None = None, seed: int = 0, change=None) -> Path:
    """Lay down a repository's files; `change(answered, verdict)` may edit each row. Returns `root`."""
    dice = random.Random(seed)
    texts_given = [*(texts or []), *[None] * (count - len(texts or []))]
    pairs = [row(number, dice, text) for number, text in enumerate(texts_given, 1)]
    for pair in pairs:
        if change:
            change(*pair)
    (root / "data" / "answers").mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(PARAMS, encoding="utf-8")
    write_rows(root / "data" / "answers" / "model.jsonl", (answered for answered, _ in pairs))
    write_rows(root / "data" / "verdicts" / "model.jsonl", (verdict for _, verdict in pairs))
    scores, details = figures()
    write_json(root / "metrics" / "model" / "scores.json", scores)
    write_json(root / "metrics" / "model" / "details.json", details)
    write_json(root / "metrics" / "model" / "train.json", {"steps": 3, "validation_loss": 2.5})
    write_json(root / "metrics" / "speed" / "model" / "generate.json", {"tuned": {"tokens_per_second": 40.0}, "device": "cpu"})
    lines = ["step,elapsed_tokens,training_loss,validation_loss", "1,100,3.5,", "2,200,3.1,2.9", "3,300,nan,2.5"]
    (root / "metrics" / "model" / "results.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def keep(root: Path, rows: dict[int, dict]) -> None:
    """Write the rows of the test split, by the number of the row: what the dataset keeps of each."""
    write_rows(
        root / "data/data/splits/test.jsonl", ({"id": f"file.jsonl#{n}", "task": "text", **kept} for n, kept in rows.items())
    )


def edit_json(path: Path, change) -> None:
    """Change a JSON file in place."""
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def results(root: Path, **options) -> Results:
    """What a report reads of such a repository."""
    return Results("model", Revision("workspace", write(root, **options)))


def fill(path: Path, lines: list[dict], change) -> Path:
    """Write the lines to mark, each changed by `change(number, line)`."""
    for number, line in enumerate(lines):
        change(number, line)
    write_sheet(path, lines)
    return path
