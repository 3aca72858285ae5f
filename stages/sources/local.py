"""Files of this machine, below the directory that `datasets.<name>.source` names."""

from collections.abc import Iterator
from pathlib import Path

from stages.common.errors import StageError
from stages.common.schema_sources import LocalSource
from stages.sources import Found


def find(source: Path, pattern: str) -> list[Path]:
    """The files behind a glob below `source`, in order of their relative paths."""
    if not source.is_dir():
        raise StageError(
            source,
            "no such directory",
            "the directory that datasets.<name>.source names",
            "create it or edit params.yaml",
        )
    fix = "edit datasets.<name>.scrape.sources.<source>.files"
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise StageError(f"{source}/{pattern}", "a pattern that leaves the source", "a glob below the source", fix)
    try:
        found = [path for path in source.glob(pattern) if path.is_file()]
    except (ValueError, IndexError) as error:  # `**` inside a name, "", "."
        raise StageError(f"{source}/{pattern}", str(error), "a glob", fix) from None
    files = sorted(found, key=lambda path: path.relative_to(source).as_posix())
    if not files:
        there = sorted({path.suffix or path.name for path in source.rglob("*") if path.is_file()})
        raise StageError(
            f"{source}/{pattern}",
            "no file",
            f"at least one; there are: {', '.join(there) or 'no files at all'}",
            f"edit datasets.<name>.source, or {fix}",
        )
    return files


def fetch(name: str, params: LocalSource, source: Path) -> Iterator[Found]:
    """The files behind `params.files`."""
    for path in find(source, params.files):
        yield Found(path.relative_to(source).as_posix(), path)
