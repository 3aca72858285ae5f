"""Files of this machine, below the directory that `datasets.<name>.source` names."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.common.errors import StageError
from stages.common.schema_sources import LocalSource
from stages.sources import SourceFile
from stages.sources.unmeant import is_meant


def find(source: Path, pattern: str, left_out: Counter) -> list[Path]:
    """The files behind a glob below `source` that somebody meant, in order of their relative paths; `source` may be a file."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise StageError(
            source,
            "no such file or directory",
            "the file or directory that datasets.<name>.source names",
            "create it or edit params.yaml",
        )
    fix = "edit datasets.<name>.scrape.sources.<source>.files"
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise StageError(f"{source}/{pattern}", "a pattern that leaves the source", "a glob below the source", fix)
    try:
        paths = [path for path in source.glob(pattern) if path.is_file() or _leads_nowhere(path)]
    except (ValueError, IndexError) as error:  # `**` inside a name, "", "."
        raise StageError(f"{source}/{pattern}", str(error), "a glob", fix) from None
    named = {path.relative_to(source).as_posix(): path for path in paths}
    files = [named[name] for name in sorted(named) if is_meant(name, pattern, left_out)]
    if dangling := [path for path in files if _leads_nowhere(path)]:
        where = f"{dangling[0]}, and {len(dangling) - 1} more" if len(dangling) > 1 else dangling[0]
        fix = "bring the file back (dvc checkout, git annex get), or remove the link"
        raise StageError(where, f"a link to {dangling[0].readlink()}, which is not there", "a file", fix)
    if not files:
        suffixes = sorted({path.suffix or path.name for path in source.rglob("*") if path.is_file()})
        hidden = f"; left out: {', '.join(f'{count} of {kind}' for kind, count in left_out.items())}" if left_out else ""
        raise StageError(
            f"{source}/{pattern}",
            f"no file{hidden}",
            f"at least one; there are: {', '.join(suffixes) or 'no files at all'}",
            f"edit datasets.<name>.source, or {fix}",
        )
    return files


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def fetch(name: str, params: LocalSource, source: Path, left_out: Counter) -> Iterator[SourceFile]:
    """The files behind `params.files`, or `source` itself where it is a file."""
    for path in find(source, params.files, left_out):
        yield SourceFile(path, path.name if path == source else path.relative_to(source).as_posix())
