"""Whether a stage raised an alarm: `affinage check`, for people and for CI. docs/alarms.md lists the alarms."""

from pathlib import Path
from typing import Annotated

import typer

from affinage.history.alarms import raised
from affinage.history.revisions import metrics_of
from stages.common.errors import StageError
from stages.common.sanity import ALARMS


def check(revision: str | None, allowed: set[str], folder: Path = Path("metrics")) -> tuple[list[str], int]:
    """What to print, and how many alarms are not allowed.

    Raises:
        StageError: for an alarm that there is not, or where there are no metrics.
    """
    if unknown := allowed - ALARMS.keys():
        raise StageError("--allow", f"no alarm {min(unknown)!r}", f"one of: {', '.join(ALARMS)}", "see docs/alarms.md")
    files = metrics_of(revision, folder)
    if not any(path.endswith(".json") for path in files):
        raise StageError(revision or folder, "no metrics", "those of a run", "dvc repro, or name another revision")
    lines, count = [], 0
    for alarm in raised(files):
        counts = alarm.alarm not in allowed
        count += counts
        lines.append(f"{'ALARM' if counts else 'allowed'}: {alarm}")
        if alarm.alarm in ALARMS:
            kind = ALARMS[alarm.alarm]
            lines.append(f"  {kind.sentence}; look at: {kind.look_at.replace('<name>', alarm.name)}")
    return lines or ["no alarm"], count


def command(
    revision: Annotated[
        str, typer.Argument(help="A commit or an experiment. [default: the work tree]", show_default=False)
    ] = "",
    allow: Annotated[list[str] | None, typer.Option(help="An alarm that is no reason to fail; may be repeated.")] = None,
) -> None:
    """List the alarms that stages raised; with any that is not allowed, the status is 1.

    Example: affinage check --allow markup
    """
    lines, count = check(revision or None, set(allow or []))
    print("\n".join(lines))
    if count:
        raise typer.Exit(1)
