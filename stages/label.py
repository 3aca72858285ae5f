"""Label the raw rows of a dataset, and set aside those that cannot be used, each with its reason."""

from collections import Counter
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_file, json_line, write_json
from stages.common.progress import track
from stages.common.raw import raw_alarms
from stages.common.row_keys import to_classify
from stages.common.sanity import mostly_dropped, raised, together
from stages.common.schema_data import Label
from stages.labels import method


def has_label(row: dict, none: str) -> bool:
    """Whether the labeller found anything: a label, an answer to learn, a name in the text; `none` stands for nothing."""
    return "messages" in row or row.get("weak", row.get("label", row.get("response"))) not in (None, "", none)


def main(name: str, params: Label, raw: Path, labeled: Path, dropped: Path, metrics: Path) -> None:
    """Label and clean the rows; nothing vanishes: kept + dropped = read."""
    counts, labels = Counter(), 0
    rows, more = method(params.method)(raw, params)
    with atomic_file(labeled) as keep, atomic_file(dropped) as drop:
        for row, reason in track(rows, f"label {name}"):
            counts[reason and reason.partition("; ")[0]] += 1  # what follows says more of this one row
            if reason is None:
                labels += has_label(row, getattr(params, "none", ""))
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
    total = kept + counts.total()
    alarms = together(mostly_dropped(total, counts), {} if labels else {"no_label": f"none of {kept} rows"})
    said = raised("label", name, alarms, before=raw_alarms(raw))
    write_json(metrics, {"rows": total, "kept": kept, "dropped": dict(sorted(counts.items())), **more(), **said})


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
