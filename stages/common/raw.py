"""What `scrape` left: rows to be labelled, and names to label them by, told apart by `sources.json`."""

from pathlib import Path

from stages.common.errors import StageError
from stages.common.files import json_files, read_json


def raw_files(raw: Path, yields: str = "rows") -> list[Path]:
    """The files of all sources that yield `rows` or `names`, in order of sources and files; what nothing is said of is rows."""
    index = read_json(raw / "sources.json")["sources"] if (raw / "sources.json").exists() else {}
    kinds = {file: index.get(file.relative_to(raw).parts[0], {}).get("yields", "rows") for file in json_files(raw)}
    return [file for file, kind in kinds.items() if kind == yields]


def raw_alarms(raw: Path) -> dict[str, str]:
    """What `scrape` found wrong with the rows, by the name of the alarm (stages/common/sanity.py)."""
    return read_json(raw / "sources.json").get("alarms", {}) if (raw / "sources.json").exists() else {}


def raw_source(raw: Path, name: str) -> Path:
    """The folder of one source.

    Raises:
        StageError: naming the sources that there are.
    """
    folder = raw / name
    if not folder.is_dir():
        sources = sorted(path.name for path in raw.iterdir() if path.is_dir()) if raw.is_dir() else []
        raise StageError(
            folder,
            "no such source",
            f"one of: {', '.join(sources) or 'none was scraped'}",
            "edit the names in datasets.<name>.label, or add the source to datasets.<name>.scrape.sources",
        )
    return folder
