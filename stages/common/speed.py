"""Timings and the environment of a stage. They are no output of it, so that dvc.lock stays the same run after run.

`metrics/speed/<model>/<stage>.json` is kept in git: totals, a line each. What every single answer took changes with every
run, thousands of lines; it goes to `<stage>.answers.json` beside it, which git and DVC ignore.
"""

import hashlib
from pathlib import Path

from stages.common.files import read_json, write_json


def write_speed(path: Path, figures: dict, environment: dict) -> None:
    """Write the totals, and the environment as one line below them."""
    write_json(path, {**figures, "environment": environment}, line_each=True)


def times_file(path: Path) -> Path:
    """Where the seconds of single answers lie, by the path of the totals."""
    return path.with_suffix(".answers.json")


def write_times(path: Path, answers: Path, seconds: dict[str, dict[str, float]]) -> None:
    """Write what each answer took.

    Args:
        path: of the totals.
        answers: the answers file that was just written. Its sha256 is kept: other answers took other times.
        seconds: by contestant and row id.
    """
    write_json(times_file(path), {"answers": digest(answers.read_bytes()), "seconds": seconds}, line_each=True)


def read_times(path: Path, answers: bytes | None) -> dict[str, dict[str, float]]:
    """Seconds by contestant and row id; empty where nothing is known of these very answers.

    Args:
        path: of the totals.
        answers: the content of the answers file, of whatever revision.
    """
    file = times_file(path)
    if answers is None or not file.exists():
        return {}
    kept = read_json(file)
    return kept["seconds"] if kept.get("answers") == digest(answers) else {}


def digest(content: bytes) -> str:
    """The sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()
