"""Split the labelled rows into train, validation and test, with nothing on both sides."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stages.common.cli import path, run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_directory, json_files, json_line, write_json
from stages.common.sanity import mostly_dropped, raised
from stages.common.schema_data import Split
from stages.common.spread import batched, mapped
from stages.common.track import track
from stages.splits import PARTS
from stages.splits.held_back import Facts, HeldBack, facts
from stages.splits.membership import Cuts, class_cuts, class_of, part_of, said, sampled

BATCH = 256  # rows looked up together


@dataclass(frozen=True)
class Paths:
    """What `split` reads and writes."""

    labeled: Path = path("labelled rows")
    splits: Path = path("directory to write")
    metrics: Path = path("counts and leakage to write")


def whole(params: Split) -> bool:
    """Whether every row is trained on, what is held back elsewhere included."""
    return params.train == 1 and not params.given


def examined(row: dict, params: Split, part: str, cuts: Cuts) -> tuple[dict, str | None, Facts | None] | None:
    """The work on one row, when the rows of one part are looked for: None if it is not among them, else the row, why it is
    dropped whatever the others are, and what tells whether it repeats another one (None: that does not matter)."""
    if not sampled(row, params):
        return (row, "not sampled", None) if part == "train" else None
    if part == "train" and whole(params):
        return row, None, None
    if part_of(row, params, cuts) != part:
        return None
    return row, None, facts(row, params)


def divide(rows: Iterable, params: Split, each: Callable = map) -> Iterator[tuple[str, dict]]:
    """Pairs of a part and a row; the part `dropped` holds the rows left out, each with its `reason`.

    Test rows come first, then validation, then train, each in the order of the source. A row that repeats or nearly
    repeats one held back before is dropped, except where the row says itself where it belongs: that is taken as it is.
    At a train share of 1 every row is in train, and those of validation and test are there besides. `rows` (files where
    `each` is `mapped`) are gone through once for each part, and once more for the cuts of classes.
    """
    held, cuts = HeldBack(params), class_cuts(rows, params, each)
    for part in reversed(PARTS):
        work = partial(examined, params=params, part=part, cuts=cuts)
        for batch in batched(filter(None, each(work, rows)), BATCH):
            reasons = iter(held.reasons([known for _, _, known in batch if known], part))
            for row, dropped, known in batch:
                reason = next(reasons) if known else dropped
                reason = None if said(row, params) else reason  # taken as it is
                if known and part != "train":
                    held.add(known, part)
                yield ("dropped", {"reason": reason, **row}) if reason else (part, row)


def leaks(parts: dict[str, Path], params: Split) -> int:
    """Train rows that repeat or nearly repeat a held-back row, counted afresh on what was written."""
    held, work = HeldBack(params), partial(facts, params=params)
    for part in ("test", "validation"):
        for known in mapped(work, [parts[part]]):
            held.add(known, part)
    return sum(
        reason is not None
        for batch in batched(mapped(work, [parts["train"]]), BATCH)
        for reason in held.reasons(batch, "train")
    )


def main(name: str, params: Split, paths: Paths) -> None:
    """Split by a hash of each row's group: seeded, stable when rows are added, in nested samples."""
    counts, reasons, classes = Counter(), Counter(), {part: set() for part in PARTS}
    with atomic_directory(paths.splits) as folder:
        parts = {part: folder / f"{part}.jsonl" for part in (*PARTS, "dropped")}
        with ExitStack() as stack:
            files = {part: stack.enter_context(open(path, "w", encoding="utf-8")) for part, path in parts.items()}
            for part, row in track(divide(json_files(paths.labeled), params, mapped), f"split {name}"):
                files[part].write(json_line(row))
                counts[part] += 1
                if part == "dropped":
                    reasons[row["reason"].partition(": ")[0]] += 1
                else:
                    classes[part].add(class_of(row, params))
        for part in PARTS:
            if not counts[part] and (params.given or getattr(params, part)):
                raise StageError(
                    paths.labeled,
                    f"no row in {part} out of {counts.total()} ({dict(counts)})",
                    "at least one row in each part",
                    "more rows, another datasets.<name>.split.seed, larger shares or a larger sample",
                )
        leaking = leaks(parts, params)
    found = {part: counts[part] for part in PARTS} | {"dropped": dict(sorted(reasons.items())), "leakage": leaking}
    if params.stratify:
        found["classes"] = {part: len(classes[part]) for part in PARTS}
    if whole(params):
        found["trained_on_every_row"] = True  # leakage is then meant, or nothing is held back that could leak
    unmeant = {reason: count for reason, count in reasons.items() if reason != "not sampled"}
    write_json(paths.metrics, found | raised("split", name, mostly_dropped(counts.total(), unmeant)))


if __name__ == "__main__":
    run_stage(main, "datasets", "split", Paths)
