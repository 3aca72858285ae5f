"""Label the raw rows of a dataset, and set aside those that cannot be used, each with its reason."""

from collections import Counter
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_file, json_line, write_json
from stages.common.progress import track
from stages.common.raw import raw_rows
from stages.common.schema import Clean
from stages.labels.clean import clean


def main(name: str, params: Clean, raw: Path, labeled: Path, dropped: Path, metrics: Path) -> None:
    """Clean the rows; nothing vanishes: kept + dropped = read."""
    counts = Counter()
    with atomic_file(labeled) as keep, atomic_file(dropped) as drop:
        for row, reason in clean(track(raw_rows(raw), f"label {name}"), params):
            counts[reason] += 1
            if reason is None:
                keep.write(json_line({"id": row.pop("id"), "task": "text", **row}))
            else:
                drop.write(json_line({"reason": reason, **row}))
        kept = counts.pop(None, 0)
        if not kept:
            raise StageError(
                raw,
                f"no usable row; dropped: {dict(counts)}",
                "at least one row with " + " and ".join(params.required),
                "look at the sources and datasets.<name>.scrape.sources.<source>.columns",
            )
    write_json(metrics, {"rows": kept + counts.total(), "kept": kept, "dropped": dict(sorted(counts.items()))})


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
