"""Split the labelled rows into three parts: train, validation and test. No row of one part repeats a row of another.

1. Sort: a hash of its group says to which part a row belongs.
2. Sift, in the order test, validation, train: a row that repeats or nearly repeats a row of a part before it is dropped.
3. Count leaks, on the files as they were written.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_directory, json_files, json_line, read_rows, write_json
from stages.common.path_fields import path
from stages.common.rows import LabelledRow
from stages.common.sanity import mostly_dropped, raised
from stages.common.schema_data import Split
from stages.common.spread import batched, mapped
from stages.common.temporary import Temporary
from stages.common.track import track
from stages.splits import PARTS
from stages.splits.held_back import HeldBack, Traits, traits_of
from stages.splits.membership import Membership, class_of, says_its_part

BATCH = 256  # rows looked up together
HELD_BACK = ("test", "validation")
NOT_SAMPLED = "not sampled"


@dataclass(frozen=True)
class Paths:
    """What `split` reads and writes."""

    labeled: Path = path("labelled rows")
    splits: Path = path("directory to write")
    metrics: Path = path("counts and leakage to write")


def divide(rows: Iterable, membership: Membership, mapper: Callable = map) -> Iterator[tuple[str, LabelledRow]]:
    """Pairs of a part and a row; the part `dropped` holds the rows left out, each with its `reason`.

    Within each part rows come in the order of the source.

    Args:
        rows: labelled rows, or files of them where `mapper` is `mapped`.
        membership: which part a row belongs to. Where it leaves a part empty, the rule with stand-ins takes its place.
        mapper: `map`, or what does the same on all rows of files.
    """
    params = membership.params
    with Temporary() as folder:
        files = {part: Path(folder) / f"{part}.jsonl" for part in (*PARTS, NOT_SAMPLED)}
        sort(rows, membership, mapper, files)
        rows_say = isinstance(params.given, str) and params.given  # then added rows move no other, whatever they say
        if not rows_say and any(getattr(params, part) and not files[part].stat().st_size for part in PARTS):
            sort(rows, Membership.with_stand_ins(rows, params, mapper), mapper, files)
        for row in read_rows(files[NOT_SAMPLED]):
            yield "dropped", {"reason": NOT_SAMPLED, **row}
        held_back = HeldBack(params)
        for part in (*HELD_BACK, "train"):
            for row, reason in sift(files[part], part, params, held_back):
                yield ("dropped", {"reason": reason, **row}) if reason else (part, row)


def sort(rows: Iterable, membership: Membership, mapper: Callable, files: dict[str, Path]) -> None:
    """Write each row to the file of its part. At a train share of 1 the rows of validation and test go to train as well."""
    with ExitStack() as stack:
        open_files = {part: stack.enter_context(open(file, "w", encoding="utf-8")) for part, file in files.items()}
        for row, part in mapper(membership.placed, rows):
            line = json_line(row)
            open_files[part or NOT_SAMPLED].write(line)
            if part in HELD_BACK and trains_on_every_row(membership.params):
                open_files["train"].write(line)


def sift(file: Path, part: str, params: Split, held_back: HeldBack) -> Iterator[tuple[LabelledRow, str | None]]:
    """Rows of one part, each with the reason to drop it, or None. Rows of test and validation are held back from now on.

    A row that says its part itself is never dropped, nor is a row of train where every row is trained on.
    """
    if part == "train" and trains_on_every_row(params):
        yield from ((row, None) for row in read_rows(file))
        return
    for batch in batched(mapped(partial(_with_traits, params=params), [file], BATCH), BATCH):
        reasons = held_back.reasons([of_row for _, of_row in batch], part)
        for (row, of_row), reason in zip(batch, reasons, strict=True):
            if part in HELD_BACK:
                held_back.add(of_row, part)
            yield row, None if says_its_part(row, params) else reason


def _with_traits(rows: list[LabelledRow], params: Split) -> list[tuple[LabelledRow, Traits]]:
    return list(zip(rows, traits_of(rows, params), strict=True))


def trains_on_every_row(params: Split) -> bool:
    """Whether every row is trained on, what is held back included."""
    return params.train == 1 and not params.given


def leaks(parts: dict[str, Path], params: Split) -> int:
    """Train rows that repeat or nearly repeat a held-back row, counted on the files as they were written.

    Near-duplicates are searched for once more only where rows stay in train in spite of one: where a row says itself that it
    belongs there, or all rows are trained on. Elsewhere step 2 searched for those of every row of train, and dropped it.
    """
    if not params.given and not trains_on_every_row(params):
        params = params.model_copy(update={"near_duplicate": 0.0})
    held_back, of_rows = HeldBack(params), partial(traits_of, params=params)
    for part in HELD_BACK:
        for row in mapped(of_rows, [parts[part]], BATCH):
            held_back.add(row, part)
    train = batched(mapped(of_rows, [parts["train"]], BATCH), BATCH)
    return sum(reason is not None for batch in train for reason in held_back.reasons(batch, "train"))


def main(name: str, params: Split, paths: Paths) -> None:
    """Split by a hash of each row's group: seeded, stable when rows are added, in nested samples."""
    counts, reasons, classes = Counter(), Counter(), {part: set() for part in PARTS}
    rows = json_files(paths.labeled)
    membership = Membership.of(rows, params, mapped)
    with atomic_directory(paths.splits) as folder:
        parts = {part: folder / f"{part}.jsonl" for part in (*PARTS, "dropped")}
        with ExitStack() as stack:
            files = {part: stack.enter_context(open(file, "w", encoding="utf-8")) for part, file in parts.items()}
            for part, row in track(divide(rows, membership, mapped), f"split {name}"):
                files[part].write(json_line(row))
                counts[part] += 1
                if part == "dropped":
                    reasons[row["reason"].partition(": ")[0]] += 1
                else:
                    classes[part].add(class_of(row, params))
        for part in PARTS:
            if not counts[part] and (says_parts(params, part) or getattr(params, part)):
                raise _empty(paths.labeled, part, counts, params)
        leaking = leaks(parts, params)
    summary = {part: counts[part] for part in PARTS} | {"dropped": dict(sorted(reasons.items())), "leakage": leaking}
    if params.stratify:
        summary["classes"] = {part: len(classes[part]) for part in PARTS}
        summary["shares"] = membership.shares
    if trains_on_every_row(params):
        summary["trained_on_every_row"] = True  # leakage is then meant, or nothing is held back that could leak
    unmeant = {reason: count for reason, count in reasons.items() if reason != NOT_SAMPLED}
    write_json(paths.metrics, summary | raised("split", name, mostly_dropped(counts.total(), unmeant)))


def says_parts(params: Split, part: str) -> bool:
    """Whether rows, or their files, are to say that they belong to this part. A column may say train and test alone."""
    return bool(params.given) and part != "validation" if isinstance(params.given, str) else part in params.given


def _empty(labeled: Path, part: str, counts: Counter, params: Split) -> StageError:
    """A part without a row, and what to set."""
    counted = f"no row in {part} out of {counts.total()} ({dict(counts)})"
    if params.given:
        place = f"{params.given}: {part}" if isinstance(params.given, str) else f"a file that given.{part} names"
        fix = f'give a row {place} in the source, set the share of {part}, or set datasets.<name>.split.given to ""'
    elif part == "train":
        fix = "add rows, raise datasets.<name>.split.sample, or set its train to 1 and its validation and test to 0"
    else:
        fix = f"add rows, raise datasets.<name>.split.sample, or set its {part} to 0 and its train to rest"
    return StageError(labeled, counted, "at least one row in each part whose share is not 0", fix)


if __name__ == "__main__":
    run_stage(main, "datasets", "split", Paths)
