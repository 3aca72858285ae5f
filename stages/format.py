"""Turn rows into what models learn: conversations with the answer expected, or texts with their label. No tokens yet."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, islice
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_directory, atomic_file, json_files, json_line, write_json, write_rows
from stages.common.paths import path
from stages.common.rows import FormattedRow, LabelledRow
from stages.common.sanity import mostly_dropped, raised
from stages.common.schema_data import Format
from stages.common.spread import mapped
from stages.common.track import track
from stages.prompts import Refused, style
from stages.prompts.lengths import Lengths, histogram
from stages.splits import PARTS

SHARDS = 1000


@dataclass(frozen=True)
class Paths:
    """What `format` reads and writes."""

    splits: Path = path("directory of split rows")
    formatted: Path = path("directory to write")
    metrics: Path = path("length statistics to write")
    lengths: Path = path("histogram of lengths to write")


def styled(row: LabelledRow, params: Format) -> tuple[LabelledRow, list[FormattedRow], str | None]:
    """The work on one row: the row, what its style makes of it, and why it is refused, if it is."""
    try:
        return row, style(params.style).rows(row, params), None
    except Refused as reason:
        return row, [], str(reason)


class Formatter:
    """Formats the rows of all parts, train first; knows their lengths, their labels and which were refused."""

    def __init__(self, params: Format, refused):
        self.params, self.refused, self.reasons = params, refused, Counter()
        self.prompts, self.completions, self.labels = Lengths(), Lengths(), {}

    def rows(self, found: Iterable[tuple[LabelledRow, list[FormattedRow], str | None]], part: str) -> Iterator[FormattedRow]:
        """Formatted rows of a part, each with its `place` there, from 0, by which a round of training names what it takes;
        what the style refuses is written to `refused` with its reason. `found` is what `styled` gives.

        Raises:
            StageError: naming a label that is in validation or test and never in train.
        """
        places = count()
        for row, made, reason in found:
            if reason is not None:
                self.reasons[reason] += 1
                self.refused.write(json_line({"reason": reason, "part": part, **row}))
            for one in made:
                if one["task"] == "label":
                    self._know(one["label"], row, part)
                    self.prompts.add(one["text"])
                else:
                    self.prompts.add("\n".join(message["content"] for message in one["messages"]))
                    self.completions.add(one["completion"])
                yield {"id": one["id"], "task": one["task"], "place": next(places), **one}

    def _know(self, label: str, row: LabelledRow, part: str) -> None:
        if part == "train":
            self.labels.setdefault(label, row.get("label_name") or label)
        elif label not in self.labels:
            raise StageError(
                f"{part} row {row['id']}",
                f"label {label!r}, which no row in train has",
                f"one of {', '.join(sorted(self.labels))}",
                "set datasets.<name>.split.stratify to label, or add rows with this label",
            )


def write_shards(rows: Iterator[FormattedRow], folder: Path, shard_rows: int) -> int:
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


def main(name: str, params: Format, paths: Paths) -> None:
    """Build the rows, the prompt contract and the list of labels (empty where the task is text)."""
    with atomic_directory(paths.formatted) as folder:
        with open(folder / "refused.jsonl", "w", encoding="utf-8") as refused:
            found, counts = Formatter(params, refused), {}
            for part in PARTS:
                files = json_files(paths.splits / f"{part}.jsonl")
                source = track(mapped(partial(styled, params=params), files), f"format {name} {part}")
                counts[part] = write_shards(found.rows(source, part), folder / part, params.shard_rows)
        if found.reasons and not counts["train"]:
            refusals = f"no usable row in train: {dict(found.reasons)}"
            raise StageError(paths.splits, refusals, "at least one", "edit datasets.<name>.format")
        write_json(folder / "prompt.json", style(params.style).contract(params))
        labels = sorted(found.labels)
        write_json(folder / "labels.json", {"labels": labels, "names": [found.labels[label] for label in labels]})
    with atomic_file(paths.lengths) as file:
        table = csv.DictWriter(file, ("words", "prompts", "completions"), lineterminator="\n")
        table.writeheader()
        table.writerows(histogram(found.prompts, found.completions))
    summary = {"prompt": found.prompts.summary(), "completion": found.completions.summary()}
    extra = {"labels": len(found.labels)} if found.labels else {}
    alarms = mostly_dropped(sum(counts.values()) + found.reasons.total(), found.reasons)
    refused = dict(sorted(found.reasons.items()))
    write_json(paths.metrics, {"rows": counts, "refused": refused, **extra, **summary, **raised("format", name, alarms)})


if __name__ == "__main__":
    run_stage(main, "datasets", "format", Paths)
