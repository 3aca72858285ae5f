"""Split the labelled rows into train, validation and test, with nothing on both sides."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_directory, json_line, read_rows, write_json
from stages.common.progress import track
from stages.common.schema_data import Split
from stages.splits import PARTS
from stages.splits.held_back import HeldBack
from stages.splits.membership import class_cuts, class_of, part_of, sampled


def whole(params: Split) -> bool:
    """Whether every row is trained on, what is held back elsewhere included."""
    return params.train == 1 and not params.given


def divide(read: Callable[[], Iterator[dict]], params: Split) -> Iterator[tuple[str, dict]]:
    """Pairs of a part and a row; the part `dropped` holds the rows left out, each with its `reason`.

    Test rows come first, then validation, then train, each in the order of the source. A row that repeats or nearly
    repeats one held back before is dropped, except where the source arrived already split: that is taken as it is.
    At a train share of 1 every row is in train, and those of validation and test are there besides. `read` starts a new
    pass over the rows; each part takes one, and so do the cuts of classes.
    """
    held, cuts = HeldBack(params), class_cuts(read(), params)
    for part in reversed(PARTS):
        for row in read():
            if not sampled(row, params):
                if part == "train":
                    yield "dropped", {"reason": "not sampled", **row}
            elif part == "train" and whole(params):
                yield "train", row
            elif part_of(row, params, cuts) == part:
                reason = None if params.given else held.reason(row, part)
                if part != "train":
                    held.add(row, part)
                yield ("dropped", {"reason": reason, **row}) if reason else (part, row)


def leaks(parts: dict[str, Path], params: Split) -> int:
    """Train rows that repeat or nearly repeat a held-back row, counted afresh on what was written."""
    held = HeldBack(params)
    for part in ("test", "validation"):
        for row in read_rows(parts[part]):
            held.add(row, part)
    return sum(held.reason(row, "train") is not None for row in read_rows(parts["train"]))


def main(name: str, params: Split, labeled: Path, splits: Path, metrics: Path) -> None:
    """Split by a hash of each row's group: seeded, stable when rows are added, in nested samples."""
    counts, reasons, classes = Counter(), Counter(), {part: set() for part in PARTS}
    with atomic_directory(splits) as folder:
        paths = {part: folder / f"{part}.jsonl" for part in (*PARTS, "dropped")}
        with ExitStack() as stack:
            files = {part: stack.enter_context(open(path, "w", encoding="utf-8")) for part, path in paths.items()}
            for part, row in track(divide(lambda: read_rows(labeled), params), f"split {name}"):
                files[part].write(json_line(row))
                counts[part] += 1
                if part == "dropped":
                    reasons[row["reason"].partition(": ")[0]] += 1
                else:
                    classes[part].add(class_of(row, params))
        for part in PARTS:
            if not counts[part] and (params.given or getattr(params, part)):
                raise StageError(
                    labeled,
                    f"no row in {part} out of {counts.total()} ({dict(counts)})",
                    "at least one row in each part",
                    "more rows, another datasets.<name>.split.seed, larger shares or a larger sample",
                )
        leaking = leaks(paths, params)
    found = {part: counts[part] for part in PARTS} | {"dropped": dict(sorted(reasons.items())), "leakage": leaking}
    if params.stratify:
        found["classes"] = {part: len(classes[part]) for part in PARTS}
    if whole(params):
        found["trained_on_every_row"] = True  # leakage is then meant, or nothing is held back that could leak
    write_json(metrics, found)


if __name__ == "__main__":
    run_stage(
        main,
        "datasets",
        "split",
        {"labeled": "labelled rows", "splits": "directory to write", "metrics": "counts and leakage to write"},
    )
