"""What each column of the first rows holds."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from affinage.adding.structure import is_turn
from stages.common.errors import shorten
from stages.common.text_keys import text_key
from stages.sources.json_path import steps

_ID = {
    "id",
    "ids",
    "uuid",
    "index",
    "idx",
    "no",
    "nr",
    "count",
    "hash",
    "sha",
    "url",
    "uri",
    "link",
    "date",
    "time",
    "timestamp",
}
_ID |= {"length", "len", "score", "lang", "language", "version", "image", "img", "source", "created", "updated", "start", "end"}
_ID |= {"licence", "license", "by", "set", "author", "file", "filename", "key"}


@dataclass
class Column:
    """A column, or a value inside of one under its path.

    Args:
        name: as `columns` in params.yaml takes it.
        values: of the rows looked at, those that hold something.
        rows: how many rows were looked at.
        present: how many of them have the column, be it empty.
        several: into a list: how many items the longest one has, of which this is the first.
    """

    name: str
    values: list = field(default_factory=list)
    rows: int = 0
    present: int = 0
    several: int = 0

    @property
    def words(self) -> float:
        """Words in a value, on average."""
        return sum(len(str(value).split()) for value in self.values) / max(len(self.values), 1)

    @property
    def is_text(self) -> bool:
        """Whether its values are text, most of them with letters, and no dates or addresses."""
        texts = [value for value in self.values if isinstance(value, str)]
        return (
            len(texts) > 0.9 * len(self.values)
            and bool(texts)
            and sum(bool(re.search(r"[^\W\d_]{2}", text)) for text in texts) > 0.7 * len(texts)
            and sum(bool(re.match(r"https?://|\S+@\S+\.\w+$|\d{1,4}[-/.]\d{1,2}[-/.]\d", text)) for text in texts)
            < 0.5 * len(texts)
        )

    @property
    def is_plain(self) -> bool:
        """Whether its values are texts, numbers or truth values."""
        return bool(self.values) and all(isinstance(value, str | int | float) for value in self.values)

    @property
    def is_messages(self) -> bool:
        """Whether its values are conversations."""
        lists = [value for value in self.values if isinstance(value, list)]
        return bool(lists) and len(lists) == len(self.values) and all(value and is_turn(value[0]) for value in lists)

    @property
    def asks(self) -> float:
        """The share of values that end in a question mark."""
        return sum(str(value).rstrip().endswith(("?", "？", "؟", ";?")) for value in self.values) / max(len(self.values), 1)

    @property
    def classes(self) -> Counter:
        return Counter(text_key(value) for value in self.values)

    @property
    def is_class(self) -> bool:
        """Whether few short values come again and again, as names of classes do."""
        if not self.is_plain or len(self.values) < 0.9 * self.rows:
            return False
        distinct = len(self.classes)
        return 2 <= distinct <= min(200, max(len(self.values) / 2, 2)) and self.words <= 6 and len(self.values) >= 4

    @property
    def tokens(self) -> list[str]:
        """The words of its name, numbers of lists left out."""
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", self.name)
        return [token for token in re.findall(r"[^\W_]+", spaced.lower()) if not token.isdecimal()]

    @property
    def is_aside(self) -> bool:
        """Whether its name says that it numbers, dates or links rows."""
        return not self.tokens or bool(_ID & set(self.tokens[-1:])) or self.name.strip() == ""

    def in_words(self) -> str:
        """One line of what it holds."""
        first = shorten(self.values[0], 60) if self.values else "nothing"
        distinct = len(self.classes) if self.is_plain else 0
        several = f", {distinct} different" if distinct and distinct < len(self.values) else ""
        return f"{len(self.values)} of {self.rows} rows{several}, {self.words:.0f} words: {first}"


def columns_of(rows: list[dict]) -> list[Column]:
    """The columns of rows, those inside of nested values under their paths."""
    known: dict[str, Column] = {}
    for row in rows:
        for name, value in row.items():
            for path, inner, several in _leaves(str(name), value, 0, 0):
                column = known.setdefault(path, Column(path))
                column.values.append(inner)
                column.present += 1
                column.several = max(column.several, several)
    for column in known.values():
        column.rows = len(rows)
        column.values = [value for value in column.values if value is not None and value == value and str(value).strip()]
    return [column for column in known.values() if not set("{}") & set(column.name)]  # they would be templates


def _leaves(path: str, value: object, depth: int, several: int) -> Iterator[tuple[str, object, int]]:
    """Path, value and how many items the lists on its way have, of a value and of all inside of it."""
    if isinstance(value, dict) and depth < 3 and value and _walkable(path):
        for key, inner in value.items():
            if re.fullmatch(r"[^.\[\]\"{}]+", str(key)):
                yield from _leaves(f"{path}.{key}", inner, depth + 1, several)
        return
    yield path, value, several
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, dict | str) and not is_turn(first) and depth < 3 and _walkable(path):
        yield from _leaves(f"{path}.0", first, depth + 1, max(several, len(value)))


def _walkable(path: str) -> bool:
    """Whether a path into the column can be written: its name has no mark of paths or templates."""
    try:
        return "{" not in path and bool(steps(path))
    except ValueError:
        return False
