"""What is to be added: the name, the section of `scrape` and the files of new rows."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stages.common.defaults import resolve
from stages.common.schema_sources import Scrape
from stages.common.wiring import RESERVED
from stages.sources import FETCHERS, SourceFile
from stages.sources.archive import opened

SOURCES = Path("data/sources")
PUBLIC = "data/sources/public"  # the source of a dataset whose rows are all fetched
LOOKED_AT = 40  # files of a folder whose kinds and columns are looked at


@dataclass
class Material:
    """What is to be added.

    Args:
        name: of the dataset, made of the path.
        path: the local file or folder; None for what is fetched.
        section: what `scrape.sources.<name>` says of it, but for reader and columns.
        kind: of its files, one of kinds.READABLE.
        left_out: files in it that are not read, by what they are.
        names: of its files, members of archives among them, as far as they are known without fetching any.
    """

    name: str
    path: Path | None
    section: dict
    kind: str = ""
    left_out: Counter = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)

    def files(self, defaults: dict) -> Iterator[SourceFile]:
        """Its files, the members of archives among them, by the fetchers of `scrape`."""
        section = typed({"reader": "lines", "columns": {"name": "name"}, "licence": "", **self.section}, defaults)
        left_out: Counter = Counter()
        for file in FETCHERS[section.kind]()(self.name, section, self.path or Path(PUBLIC), left_out):
            yield from opened(file, section.members, section.max_bytes, left_out)
        self.left_out |= left_out

    @property
    def bytes(self) -> int:
        """How large it is here; 0 for what is fetched."""
        if self.path is None:
            return 0
        if self.path.is_file():
            return self.path.stat().st_size
        return sum(path.stat().st_size for path in self.path.glob(self.section["files"]) if path.is_file())


def typed(section: dict, defaults: dict):
    """A source's section, filled in from the defaults and checked."""
    entry = {"scrape": {"sources": {"rows": section}}}
    filled = resolve({"defaults": defaults, "datasets": {"new": entry}})[0]
    return Scrape.model_validate(filled["datasets"]["new"]["scrape"]).sources["rows"]


def name_of(text: str) -> str:
    """A key of `datasets` out of a file's name: lower-case ASCII letters, digits and _."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:40].strip("_")
    name = name if re.match("[a-z]", name) else f"data_{name}".rstrip("_")
    return f"{name}_data" if name in RESERVED | {"public"} else name
