"""What the tests of hosted training share: parameters, rows, a base, and training with them."""

import json
from pathlib import Path

from stages.common.files import write_json, write_rows
from stages.common.schema_data import CompletionFormat
from stages.common.schema_models import HostedTraining
from stages.prompts import completion
from stages.training.hosted.training import train_hosted
from stages.training.paths import Paths
from tests.training.hosted.service import MODEL

CHAT = {"style": "chat", "chat_template": None, "stop": []}
MARKS = completion.contract(
    CompletionFormat(style="completion", prompt_ending=" ->", completion_start=" ", completion_ending=" END", shard_rows=1000)
)


def params(**changes) -> HostedTraining:
    """Parameters of a small job."""
    return HostedTraining.model_validate(
        {
            "method": "hosted",
            "rows": "all",
            "checkpoint": "",
            "n_epochs": 2,
            "batch_size": "auto",
            "learning_rate_multiplier": "auto",
            "seed": 7,
            "suffix": "elle",
            "attempt": 1,
            "prices": [{"model": "gpt-4o-mini", "dollars_per_million_tokens": 3.0}],
            "limit_dollars": 1.0,
            **changes,
        }
    )


def row(number: int, place: int | None = None) -> dict:
    asked = [{"role": "system", "content": "Be short."}, {"role": "user", "content": f"What is {number} plus {number}?"}]
    place = number if place is None else place
    return {"id": f"row#{number}", "task": "text", "place": place, "messages": asked, "completion": f"It is {2 * number}."}


def formatted(folder: Path, train: int = 12, validation: int = 3, contract: dict = CHAT) -> Path:
    """What the format stage leaves."""
    (folder / "validation").mkdir(parents=True)
    write_rows(folder / "train" / "000.jsonl", map(row, range(train)))
    if validation:
        write_rows(folder / "validation" / "000.jsonl", (row(1000 + i, i) for i in range(validation)))
    write_json(folder / "prompt.json", contract)
    return folder


def base(folder: Path, address: str, model: str = MODEL) -> Path:
    """A hosted base's directory."""
    write_json(folder / "hosted.json", {"provider": "openai", "base_url": address, "model": model})
    return folder


def train(work: Path, out: str = "model", of: str = "base", rows_from: Path | None = None, **changes) -> dict:
    """Train; returns hosted.json."""
    train_hosted(
        out,
        params(**changes),
        Paths(
            rows=rows_from or work / "formatted" / "train",
            formatted=work / "formatted",
            base=work / of,
            out=work / out,
            table=work / f"{out}.csv",
            metrics=work / f"{out}.json",
            speed=work / f"{out}.speed.json",
        ),
    )
    return json.loads((work / out / "hosted.json").read_text(encoding="utf-8"))
