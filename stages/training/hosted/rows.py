"""The files of a job: formatted rows as the service takes them, checked by its rules before anything is sent."""

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import StageError
from stages.common.files import atomic_file, clean_text
from stages.servers.marks import first_mark
from stages.training.hosted import rules

MOST_TOLD = 3  # rows left out that are named


@dataclass(frozen=True)
class Prepared:
    """A file to upload: its hash, its rows, a bound of their tokens, and how many rows were left out for a mark in a text."""

    path: Path
    sha256: str
    rows: int
    tokens: int
    refused: int = 0


def prepare(source: Iterable[dict], contract: dict, path: Path, least_rows: int) -> Prepared:
    """Write rows of task text as messages, marks of a style kept, and check them.

    Rows with a mark of a model in a text are left out: the service may read it as the end of a turn.

    Raises:
        StageError: naming each line that the service would refuse.
    """
    digest, rows, tokens, refused = hashlib.sha256(), 0, 0, 0
    with atomic_file(path) as file:
        for row in source:
            if row["task"] != "text":
                raise StageError(
                    f"row {row['id']}", f"task {row['task']}", "task text", "a hosted job learns to answer: another dataset"
                )
            made = rules.hosted_row(row, contract)
            if mark := first_mark(text for turn in made["messages"] for text in (turn["content"], turn.get("name", ""))):
                refused += 1
                if refused <= MOST_TOLD:
                    print(f"row {row['id']} is left out: {mark} may be a token of the service's model", file=sys.stderr)
                continue
            line = clean_text(json.dumps(made, ensure_ascii=False, sort_keys=True)) + "\n"  # one form, whatever code made it
            file.write(line)
            digest.update(line.encode())
            rows += 1
            tokens += rules.most_tokens(made)
    rules.check(path, least_rows=least_rows)
    return Prepared(path, digest.hexdigest(), rows, tokens, refused)
