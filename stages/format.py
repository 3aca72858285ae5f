"""Turn rows into conversations: messages to answer and the answer expected. Text only; tokens are the model's business."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_directory, read_rows, write_json, write_rows
from stages.common.progress import track
from stages.common.schema import AlpacaFormat
from stages.prompts import style
from stages.splits import PARTS

SHARDS = 1000


class Lengths:
    """Words and characters of many texts, kept as counts of each length."""

    def __init__(self):
        self.counts = {"words": Counter(), "characters": Counter()}

    def add(self, text: str) -> None:
        self.counts["words"][len(text.split())] += 1
        self.counts["characters"][len(text)] += 1

    def summary(self) -> dict[str, dict[str, float]]:
        """Mean, median, 95th percentile and maximum of each unit."""
        return {unit: _summary(counts) for unit, counts in self.counts.items() if counts}


def _summary(counts: Counter) -> dict[str, float]:
    total, ordered = counts.total(), sorted(counts)

    def quantile(share: float) -> int:
        seen = 0
        for value in ordered:
            seen += counts[value]
            if seen >= share * total:
                return value
        return ordered[-1]

    mean = sum(value * count for value, count in counts.items()) / total
    return {"mean": mean, "median": quantile(0.5), "p95": quantile(0.95), "max": ordered[-1]}


def conversations(rows: Iterator[dict], params: AlpacaFormat, prompts: Lengths, completions: Lengths) -> Iterator[dict]:
    """`id, task, messages, completion`, and a `paraphrase` where a row has one (another good answer, for the judge)."""
    for row in rows:
        messages = style(params.style).messages(row, params)
        prompts.add("\n".join(message["content"] for message in messages))
        completions.add(row["response"])
        extra = {"paraphrase": row["paraphrase"]} if row.get("paraphrase") else {}
        yield {"id": row["id"], "task": row["task"], "messages": messages, "completion": row["response"], **extra}


def write_shards(rows: Iterator[dict], folder: Path, shard_rows: int) -> int:
    """`000.jsonl`, `001.jsonl`, …: rows appended to a source reach only the last shard and new ones. Returns their number."""
    total = 0
    folder.mkdir()
    for shard in range(SHARDS + 1):
        first = next(rows, None)
        if first is None:
            return total
        if shard == SHARDS:
            raise StageError(
                folder,
                f"over {SHARDS * shard_rows} rows",
                f"at most {SHARDS} shards",
                "raise datasets.<name>.format.shard_rows",
            )
        total += write_rows(folder / f"{shard:03}.jsonl", chain([first], islice(rows, shard_rows - 1)))
    return total


def main(name: str, params: AlpacaFormat, splits: Path, formatted: Path, metrics: Path) -> None:
    """Build the messages, the expected answers and the prompt contract."""
    prompts, completions = Lengths(), Lengths()
    with atomic_directory(formatted) as folder:
        counts = {
            part: write_shards(
                conversations(
                    track(read_rows(splits / f"{part}.jsonl"), f"format {name} {part}"), params, prompts, completions
                ),
                folder / part,
                params.shard_rows,
            )
            for part in PARTS
        }
        write_json(folder / "prompt.json", style(params.style).contract(params))
    write_json(metrics, {"rows": counts, "prompt": prompts.summary(), "completion": completions.summary()})


if __name__ == "__main__":
    run_stage(
        main,
        "datasets",
        "format",
        {
            "splits": "directory of split rows",
            "formatted": "directory to write",
            "metrics": "length statistics to write",
        },
    )
