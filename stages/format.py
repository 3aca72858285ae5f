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
from stages.common.path_fields import path
from stages.common.rows import FormattedRow, LabelledRow
from stages.common.sanity import mostly_dropped, raised, too_few_rows
from stages.common.schema_data import Format
from stages.common.spread import mapped
from stages.common.track import track
from stages.prompts import Refused, style
from stages.prompts.lengths import Lengths, histogram
from stages.splits import PARTS

SHARDS = 1000

Styled = tuple[LabelledRow, list[FormattedRow], str | None]  # a row, what its style makes of it, and why it is refused


@dataclass(frozen=True)
class Paths:
    """What `format` reads and writes."""

    splits: Path = path("directory of split rows")
    formatted: Path = path("directory to write")
    metrics: Path = path("length statistics to write")
    lengths: Path = path("histogram of lengths to write")


def styled(row: LabelledRow, params: Format) -> Styled:
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

    def rows(self, styled_rows: Iterable[Styled], part: str) -> Iterator[FormattedRow]:
        """Formatted rows of a part, each with its `place` there, from 0, by which a round of training names what it takes;
        what the style refuses is written to `refused` with its reason. `styled_rows` is what `styled` gives.

        Raises:
            StageError: naming a label that is in validation or test and never in train.
        """
        places = count()
        for row, formatted, reason in styled_rows:
            if reason is not None:
                self.reasons[reason] += 1
                self.refused.write(json_line({"reason": reason, "part": part, **row}))
            for new in formatted:
                if new["task"] == "label":
                    self._know(new["label"], row, part)
                    self.prompts.add(new["text"])
                else:
                    self.prompts.add("\n".join(message["content"] for message in new["messages"]))
                    self.completions.add(new["completion"])
                yield {"id": new["id"], "task": new["task"], "place": next(places), **new}

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
            formatter, counts = Formatter(params, refused), {}
            for part in PARTS:
                files = json_files(paths.splits / f"{part}.jsonl")
                source = track(mapped(partial(styled, params=params), files), f"format {name} {part}")
                counts[part] = write_shards(formatter.rows(source, part), folder / part, params.shard_rows)
        if formatter.reasons and not counts["train"]:
            refusals = f"no usable row in train: {dict(formatter.reasons)}"
            raise StageError(paths.splits, refusals, "at least one", "edit datasets.<name>.format")
        write_json(folder / "prompt.json", style(params.style).contract(params))
        labels = sorted(formatter.labels)
        write_json(folder / "labels.json", {"labels": labels, "names": [formatter.labels[label] for label in labels]})
    with atomic_file(paths.lengths) as file:
        table = csv.DictWriter(file, ("words", "prompts", "completions"), lineterminator="\n")
        table.writeheader()
        table.writerows(histogram(formatter.prompts, formatter.completions))
    summary = {"prompt": formatter.prompts.summary(), "completion": formatter.completions.summary()}
    extra = {"labels": len(formatter.labels)} if formatter.labels else {}
    alarms = mostly_dropped(sum(counts.values()) + formatter.reasons.total(), formatter.reasons)
    alarms |= too_few_rows(counts, least=1 if formatter.labels else 2)
    refused = dict(sorted(formatter.reasons.items()))
    write_json(paths.metrics, {"rows": counts, "refused": refused, **extra, **summary, **raised("format", name, alarms)})


if __name__ == "__main__":
    run_stage(main, "datasets", "format", Paths)
