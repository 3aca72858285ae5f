"""The files of a job: formatted rows as the service takes them, checked by its rules before anything is sent."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import StageError
from stages.common.files import atomic_file, clean_text
from stages.training.hosted import rules


@dataclass(frozen=True)
class Prepared:
    """A file to upload: its hash, its rows, and a bound of their tokens."""

    path: Path
    sha256: str
    rows: int
    tokens: int


def prepare(source: Iterable[dict], contract: dict, path: Path, least_rows: int) -> Prepared:
    """Write rows of task text as messages, marks of a style kept, and check them.

    Raises:
        StageError: naming each line that the service would refuse.
    """
    digest, rows, tokens = hashlib.sha256(), 0, 0
    with atomic_file(path) as file:
        for row in source:
            if row["task"] != "text":
                raise StageError(
                    f"row {row['id']}", f"task {row['task']}", "task text", "a hosted job learns to answer: another dataset"
                )
            made = rules.hosted_row(row, contract)
            line = clean_text(json.dumps(made, ensure_ascii=False, sort_keys=True)) + "\n"  # one form, whatever code made it
            file.write(line)
            digest.update(line.encode())
            rows += 1
            tokens += rules.most_tokens(made)
    rules.check(path, least_rows=least_rows)
    return Prepared(path, digest.hexdigest(), rows, tokens)
