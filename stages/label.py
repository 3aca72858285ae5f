"""Label the raw rows of a dataset, and set aside those that cannot be used, each with its reason."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_file, json_line, read_rows, write_json
from stages.common.progress import track
from stages.common.schema import Clean, Parts

Labelled = tuple[Iterator[tuple[dict, str | None]], Callable[[], dict]]


def method(raw: Path, params: Clean | Parts) -> Labelled:
    """Rows, each with the reason to drop it or None, and further metrics to ask for after the last one."""
    if params.method == "parts":
        from stages.labels.reviews import Reviews

        reviews = Reviews(raw, params)
        return reviews.rows(), reviews.metrics
    from stages.labels.clean import clean

    return clean(read_rows(raw), params), dict


def main(name: str, params: Clean | Parts, raw: Path, labeled: Path, dropped: Path, metrics: Path) -> None:
    """Label the rows; nothing vanishes: kept + dropped = read."""
    counts = Counter()
    rows, more = method(raw, params)
    with atomic_file(labeled) as keep, atomic_file(dropped) as drop:
        for row, reason in track(rows, f"label {name}"):
            if reason is None:
                counts[None] += 1
                keep.write(json_line({"id": row.pop("id"), "task": "text", **row}))
            else:
                counts[reason if params.method == "clean" else reason.partition(": ")[0]] += 1
                drop.write(json_line({"reason": reason, **row}))
        kept = counts.pop(None, 0)
        if not kept:
            raise StageError(
                raw,
                f"no usable row; dropped: {dict(counts)}",
                "at least one row with " + " and ".join(params.required if params.method == "clean" else [params.text]),
                "look at the sources and datasets.<name>.scrape.columns",
            )
    write_json(metrics, {"rows": kept + counts.total(), "kept": kept, "dropped": dict(sorted(counts.items())), **more()})


if __name__ == "__main__":
    run_stage(
        main,
        "datasets",
        "label",
        {
            "raw": "directory of raw rows",
            "labeled": "rows to write",
            "dropped": "set-aside rows to write",
            "metrics": "counts to write",
        },
    )
