"""What a dataset would be: its first rows go through the stages label, split and format themselves, in a temporary folder."""

import contextlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from jinja2 import Environment

from affinage.adding.entries import Plan
from affinage.adding.material import Material
from affinage.adding.reading import WHOLE, by_head
from stages import format as formatting
from stages import label, scrape, split
from stages.common.defaults import resolve
from stages.common.errors import StageError, shorten
from stages.common.files import json_line, read_json, read_rows, write_json
from stages.common.schema import DatasetEntry
from stages.common.schema_data import Split
from stages.sources import FETCHERS, SourceFile
from stages.sources.archive import opened
from stages.splits.membership import part_said

SMALL = 24 << 20  # bytes of sources whose every row is looked at
SAMPLE = 4_000  # rows of larger ones that are looked at, from the first on
CHARACTERS = 8 << 20  # of these rows, at most
SHOWN = 3  # rows that are printed


@dataclass
class Preview:
    """What the stages made of the rows.

    Args:
        whole: whether these are all rows.
        label, split, format: the metrics of the stages.
        labels: rows by label.
        examples: the first rows as a model sees them.
        bad_lines: lines of the files that could not be read.
        sheets: by file, the sheets that are not read.
        preset: rows looked at that say each part, where the split is given.
        by_preset: whether they are divided as they say.
    """

    whole: bool = True
    rows: int = 0
    label: dict = field(default_factory=dict)
    split: dict = field(default_factory=dict)
    format: dict = field(default_factory=dict)
    labels: Counter = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    bad_lines: list[str] = field(default_factory=list)
    sheets: dict[str, list[str]] = field(default_factory=dict)
    preset: Counter = field(default_factory=Counter)
    by_preset: bool = False


def preview(planned: Plan, material: Material, defaults: dict, full: bool) -> Preview:
    """Run the stages on the rows: on all of them, or of large sources without `full` on a sample, the first rows.

    Raises:
        StageError: where a stage would stop.
    """
    entry = DatasetEntry.model_validate(
        resolve({"defaults": defaults, "datasets": {planned.name: planned.entry}})[0]["datasets"][planned.name]
    )
    seen = Preview()
    with TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
        folder = Path(name)
        try:
            limited = not full and (material.bytes > SMALL or material.path is None)
            _scrape(planned, entry, folder, limited, seen)
            by, seen.preset = _divided(planned, entry.split, folder, seen.whole)
            seen.by_preset = bool(by.given)
            _stages(planned.name, entry, by, folder)
        except StageError as error:
            parts = (error.where, error.found, error.expected, error.fix)
            parts = (text.replace(str(folder), f"data/{planned.name}") for text in parts)
            where, problem, expected, fix = (text.replace("<name>", planned.name) for text in parts)
            raise StageError(where, problem, expected, fix) from None
        seen.label, seen.split, seen.format = (read_json(folder / f"{stage}.json") for stage in ("label", "split", "format"))
        for row in read_rows(folder / "labeled.jsonl"):
            if "label" in row:
                seen.labels[row["label"]] += 1
        contract = read_json(folder / "formatted" / "prompt.json")
        rows = islice(read_rows(folder / "formatted" / "train"), SHOWN)
        seen.examples = [as_seen(row, contract) for row in rows]
    return seen


def _scrape(planned: Plan, entry: DatasetEntry, folder: Path, limited: bool, preview: Preview) -> None:
    """What `scrape` would write, by its own function, up to the sample."""
    sources = {}
    (folder / "raw").mkdir()
    for key, section in sorted(entry.scrape.sources.items()):
        origin, sample, left_out = planned.origins[key], _Sample(limited and key == planned.rows), Counter()
        for fetched in FETCHERS[section.kind]()(planned.name, section, origin or Path(entry.source), left_out):
            for file in opened(fetched, section.members, section.max_bytes, left_out):
                huge = section.encoding == "auto" and file.path.stat().st_size > WHOLE
                file.encoding = by_head(file) if huge else section.encoding
                rows = sample.of(scrape.rows(file, f"{key}/{file.name}", section))
                count = _append(folder / "raw" / key / "rows.jsonl", rows)
                preview.rows += count * (key == planned.rows)
                preview.bad_lines += [f"{file.name}: {line}" for line in _bad(file)]
                if "other_sheets" in file.origin:
                    preview.sheets[file.name] = file.origin["other_sheets"]
            if sample.ended:
                break
        preview.whole = preview.whole and not sample.ended
        sources[key] = {"yields": "names" if set(section.columns) == {"name"} else "rows"}
    write_json(folder / "raw" / "sources.json", {"sources": sources})


def _divided(planned: Plan, params: Split, folder: Path, whole: bool) -> tuple[Split, Counter]:
    """How the rows looked at are divided (by hash where not every given part is among them), and how many say each part."""
    if not params.given:
        return params, Counter()
    rows = read_rows(folder / "raw" / planned.rows)
    parts = Counter(part_said(row, params) or "train" for row in rows)
    if whole or all(parts[part] for part in ("train", "test")):
        return params, parts
    return params.model_copy(update={"given": "", "train": 0.8, "validation": 0.1, "test": 0.1}), parts


def _append(path: Path, rows: Iterator[dict]) -> int:
    """Write rows to one file a source: thousands of files would take their time."""
    path.parent.mkdir(exist_ok=True)
    count = 0
    with open(path, "a", encoding="utf-8") as file:
        for row in rows:
            file.write(json_line(row))
            count += 1
    return count


def _bad(file: SourceFile) -> list[str]:
    more = file.bad_lines.count - len(file.bad_lines.first)
    return file.bad_lines.first + [f"and {more} more"] * (more > 0)


class _Sample:
    """The first rows of several files: SAMPLE rows or CHARACTERS characters, whichever comes first; or all rows."""

    def __init__(self, limited: bool):
        self.limited, self.rows, self.characters, self.ended = limited, 0, 0, False

    def of(self, rows: Iterator[dict]) -> Iterator[dict]:
        for row in rows:
            if self.limited and (self.rows >= SAMPLE or self.characters >= CHARACTERS):
                self.ended = True
                return
            yield row
            self.rows += 1
            self.characters += len(str(row)) if self.limited else 0


def _stages(name: str, entry: DatasetEntry, by: Split, folder: Path) -> None:
    at = folder.joinpath
    label.main(name, entry.label, label.Paths(at("raw"), at("labeled.jsonl"), at("dropped.jsonl"), at("label.json")))
    split.main(name, by, split.Paths(at("labeled.jsonl"), at("splits"), at("split.json")))
    formatting.main(name, entry.format, formatting.Paths(at("splits"), at("formatted"), at("format.json"), at("lengths.csv")))


def as_seen(row: dict, contract: dict) -> str:
    """A formatted row as a model sees it: prompt and answer by the style's template; turns where the base has its own."""
    if row["task"] == "label":
        return f"{row['text']}\n→ {row['label']}"
    if contract["chat_template"] is None:
        turns = [f"{turn['role']}: {turn['content']}" for turn in row["messages"]]
        return "\n".join([*turns, f"assistant: {row['completion']}"])
    template = Environment().from_string(contract["chat_template"])
    prompt = template.render(messages=row["messages"], add_generation_prompt=True, eos_token="")
    return prompt + row["completion"]


def lines(preview: Preview) -> list[str]:
    """The preview in words."""
    of = f"the first {preview.rows} rows (--full looks at all)" if not preview.whole else f"{preview.rows} rows"
    dropped = preview.label["dropped"]
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items(), key=lambda pair: -pair[1]))
    report = [
        f"rows     {of}: {preview.label['kept']} kept, {sum(dropped.values())} dropped" + (f" ({reasons})" if reasons else "")
    ]
    if preview.bad_lines:
        report.append(f"bad      {len(preview.bad_lines)} lines that cannot be read: {'; '.join(preview.bad_lines[:3])}")
    for name, sheets in islice(preview.sheets.items(), 3):
        report.append(f"sheets   of {name} that are not read: {', '.join(sheets)} (--rows SHEET reads one)")
    parts = ", ".join(f"{preview.split[part]} {part}" for part in ("train", "validation", "test"))
    apart = ", ".join(f"{count} {reason}" for reason, count in preview.split["dropped"].items())
    report.append(f"split    {parts}" + (f"; left out of a part: {apart}" if apart else "; no near-duplicates"))
    if preview.preset:
        parts = ", ".join(f"{count} {part}" for part, count in sorted(preview.preset.items()))
        by_hash = "" if preview.by_preset else "; their division here is by hash, for not every part is among them"
        report.append(f"given    of the rows looked at: {parts}{by_hash}")
        for part in ("validation", "test"):
            if preview.by_preset and (count := preview.preset[part] - preview.split[part]) > 0:
                report.append(f"left out {count} given {part} rows: they repeat rows of other files, or hold nothing to learn")
    if preview.split["leakage"]:
        report.append(f"leaks    {preview.split['leakage']} train rows repeat or nearly repeat a held-back row")
    if preview.format["refused"]:
        report.append(f"refused  {json.dumps(preview.format['refused'], ensure_ascii=False)}")
    if dropped.get("conflict", 0) * 2 > preview.rows:
        report.append("         most questions have several answers: label.conflicts: keep would keep them all")
    for measured, name in (("prompt", "prompts"), ("completion", "answers")):
        if words := preview.format.get(measured, {}).get("words"):
            report.append(f"{name:8} {words['median']} words (median), 95 % up to {words['p95']}, longest {words['max']}")
    if preview.labels:
        most = ", ".join(f"{shorten(name, 40)[1:-1]} {count}" for name, count in preview.labels.most_common(12))
        report.append(f"labels   {len(preview.labels)}: {most}{', …' * (len(preview.labels) > 12)}")
    for alike in preview.label.get("labels_alike", [])[:3]:
        report.append(f"         these look like one class: {', '.join(map(repr, alike))}")
    for number, example in enumerate(preview.examples, 1):
        cut = example if len(example) < 600 else f"{example[:400]} … {example[-150:]}"
        report += [f"row {number}", *(f"  | {line}" for line in cut.splitlines())]
    alarms = {
        name: text
        for metrics in (preview.label, preview.split, preview.format)
        for name, text in metrics.get("alarms", {}).items()
    }
    return report + [f"ALARM    {name}: {text}" for name, text in alarms.items()]
