"""Label the raw rows of a dataset, and set aside those that cannot be used, each with its reason."""

import sys
from dataclasses import dataclass
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.errors import StageError
from stages.common.files import atomic_file, json_line, write_json
from stages.common.path_fields import path
from stages.common.raw import raw_alarms
from stages.common.row_keys import to_classify
from stages.common.sanity import mostly_dropped, raised, together
from stages.common.schema_data import Label
from stages.common.track import track
from stages.labels import METHODS
from stages.labels.contents import Contents
from stages.labels.dropped import Dropped


@dataclass(frozen=True)
class Paths:
    """What `label` reads and writes."""

    raw: Path = path("directory of raw rows")
    labeled: Path = path("rows to write")
    dropped: Path = path("set-aside rows to write")
    metrics: Path = path("counts to write")


def has_label(row: dict, none: str) -> bool:
    """Whether the labeller found anything: a label, an answer to learn, a name in the text; `none` stands for nothing."""
    return "messages" in row or row.get("weak", row.get("label", row.get("response"))) not in (None, "", none)


def main(name: str, params: Label, paths: Paths) -> None:
    """Label and clean the rows; nothing vanishes: kept + dropped = read."""
    kept, labels, left_out, contents = 0, 0, Dropped(), Contents(getattr(params, "none", ""))
    rows, more = METHODS[params.method](paths.raw, params)
    with atomic_file(paths.labeled) as keep, atomic_file(paths.dropped) as drop:
        for row, reason in track(rows, f"label {name}"):
            if reason is None:
                kept += 1
                labels += has_label(row, getattr(params, "none", ""))
                contents.add(row)
                task = "label" if to_classify(row) else "text"
                keep.write(json_line({"id": row.pop("id"), "task": task, **row}))
            else:
                left_out.add(row, reason.partition("; ")[0])  # what follows says more of this one row
                drop.write(json_line({"reason": reason, **row}))
        if not kept:
            listing = "".join(f"\n    - {line}" for line in left_out.lines())
            raise StageError(paths.raw, f"no usable row{listing}", "at least one row to keep", left_out.fix())
    for line in left_out.lines():
        print(f"label {name}: dropped {line}", file=sys.stderr)
    counts = left_out.counts
    total = kept + counts.total()
    no_label = {} if labels else {"no_label": f"none of {kept} rows"}
    alarms = together(mostly_dropped(total, counts), no_label, contents.alarms())
    raised_alarms = raised("label", name, alarms, before=raw_alarms(paths.raw))
    write_json(paths.metrics, {"rows": total, "kept": kept, "dropped": dict(sorted(counts.items())), **more(), **raised_alarms})


if __name__ == "__main__":
    run_stage(main, "datasets", "label", Paths)
