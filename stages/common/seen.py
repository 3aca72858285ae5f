"""What has been seen of keys, on disk, so that it may outgrow memory. Keys may come as digests."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Self

from stages.common.temporary import Temporary


class _OnDisk:
    """A table of a database in a temporary folder, which goes with the object. `columns` are those of SQL."""

    columns: str

    def __init__(self):
        self.folder = Temporary()
        self.database = sqlite3.connect(Path(self.folder.name) / "rows.db", isolation_level=None)
        self.database.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN; CREATE TABLE seen ({self.columns}) WITHOUT ROWID"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.database.close()
        self.folder.cleanup()


class Seen(_OnDisk):
    """Remembers keys and a small value for each."""

    columns = "key BLOB PRIMARY KEY, value TEXT"

    def get(self, key: str | bytes) -> str | bytes | None:
        """The value that `key` came with first, or None."""
        row = self.database.execute("SELECT value FROM seen WHERE key = ?", (_known(key),)).fetchone()
        return row[0] if row else None

    def first(self, key: str | bytes, value: str | bytes) -> str | bytes | None:
        """None if `key` is new (it is then kept with `value`), else the value that it came with first."""
        earlier = self.get(key)
        if earlier is None:
            self.database.execute("INSERT INTO seen VALUES (?, ?)", (_known(key), value))
        return earlier


class Votes(_OnDisk):
    """Counts the answers to each question."""

    columns = "question BLOB, answer BLOB, votes INTEGER, turn INTEGER, PRIMARY KEY (question, answer)"

    def __init__(self):
        super().__init__()
        self.turn = 0

    def add(self, question: bytes, answer: bytes) -> None:
        self.turn += 1
        insert = "INSERT INTO seen VALUES (?, ?, 1, ?) ON CONFLICT DO UPDATE SET votes = votes + 1"
        self.database.execute(insert, (question, answer, self.turn))

    def winner(self, question: bytes) -> tuple[bytes, bool]:
        """The most frequent answer to a question, of equally frequent ones the first; and whether there are others."""
        select = "SELECT answer FROM seen WHERE question = ? ORDER BY votes DESC, turn LIMIT 2"
        answers = self.database.execute(select, (question,)).fetchall()
        return answers[0][0], len(answers) > 1


def digest(key: str) -> bytes:
    """What stands for a key: 16 bytes."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:16]


def _known(key: str | bytes) -> bytes:
    return key if isinstance(key, bytes) else digest(key)
