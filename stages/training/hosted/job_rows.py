"""The files of a job: formatted rows as the service takes them, checked by its rules before anything is sent."""

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import StageError
from stages.common.files import atomic_file, clean_text
from stages.servers.turn_marks import first_mark
from stages.training.hosted import rules

MOST_TOLD = 3  # rows left out that are named


@dataclass(frozen=True)
class Prepared:
    """A file to upload. `tokens` is a bound of its rows' tokens. `refused` counts rows left out for a mark in a text."""

    path: Path
    sha256: str
    rows: int
    tokens: int
    refused: int = 0


def prepare(source: Iterable[dict], contract: dict, path: Path, least_rows: int) -> Prepared:
    """Write rows of task text as messages, with the marks of their style, and check them.

    Rows that hold a special token of some model in a text are left out. The service may read it as the end of a turn.

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
            sent = rules.hosted_row(row, contract)
            if mark := first_mark(text for turn in sent["messages"] for text in (turn["content"], turn.get("name", ""))):
                refused += 1
                if refused <= MOST_TOLD:
                    print(f"row {row['id']} is left out: {mark} may be a token of the service's model", file=sys.stderr)
                continue
            line = clean_text(json.dumps(sent, ensure_ascii=False, sort_keys=True)) + "\n"  # one form, whatever code made it
            file.write(line)
            digest.update(line.encode())
            rows += 1
            tokens += rules.most_tokens(sent)
    rules.check(path, least_rows=least_rows)
    return Prepared(path, digest.hexdigest(), rows, tokens, refused)
