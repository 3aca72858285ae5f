"""Label the raw rows of a dataset, and set aside those that cannot be used, each with its reason."""

from collections import Counter
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_file, json_line, write_json
from stages.common.progress import track
from stages.common.row_keys import to_classify
from stages.common.schema_data import Label
from stages.labels import method


def main(name: str, params: Label, raw: Path, labeled: Path, dropped: Path, metrics: Path) -> None:
    """Label and clean the rows; nothing vanishes: kept + dropped = read."""
    counts = Counter()
    rows, more = method(params.method)(raw, params)
    with atomic_file(labeled) as keep, atomic_file(dropped) as drop:
        for row, reason in track(rows, f"label {name}"):
            counts[reason and reason.partition("; ")[0]] += 1  # what follows says more of this one row
            if reason is None:
                task = "label" if to_classify(row) else "text"
                keep.write(json_line({"id": row.pop("id"), "task": task, **row}))
            else:
                drop.write(json_line({"reason": reason, **row}))
        kept = counts.pop(None, 0)
        if not kept:
            raise StageError(
                raw,
                f"no usable row; dropped: {dict(counts)}",
                "at least one row to keep",
                "look at the sources, datasets.<name>.scrape.sources.<source>.columns and datasets.<name>.label",
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
