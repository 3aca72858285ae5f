"""The prompt contract that lies with every model, whether a provider serves it or it is here. Needs no torch."""

import json
from pathlib import Path

from stages.common.rows import Message


def write_config(path: Path, data: dict) -> None:
    """JSON with sorted keys, numbers as they are."""
    path.write_text(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_prompt(folder: Path) -> dict:
    """The prompt contract saved by `train`: `style` and `stop` strings. A base has no contract and stops at its end token."""
    path = folder / "prompt.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"style": "chat", "stop": []}


def write_prompt(folder: Path, contract: dict) -> None:
    """Write the prompt contract without its chat template, which lies with the tokenizer."""
    write_config(folder / "prompt.json", {key: value for key, value in contract.items() if key != "chat_template"})


def with_ending(messages: list[Message], ending: str) -> list[Message]:
    """The turns with the prompt's mark written out after every question, for services that render no template."""
    return [turn | {"content": turn["content"] + ending} if turn["role"] == "user" else dict(turn) for turn in messages]
