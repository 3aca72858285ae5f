"""Datasets of the hub, at the commit of today, and of Kaggle."""

from collections import Counter
from pathlib import PurePosixPath

from affinage.adding.material import Material, name_of
from stages.common.errors import StageError, hub_errors
from stages.sources.archive import matches

DATA = (".parquet", ".jsonl", ".json", ".csv", ".tsv", ".xlsx", ".xml", ".txt", ".md", ".zip", ".gz")
ASIDE = (".gitattributes", "readme.md", "dataset_infos.json")


def _parts(where: str, form: str) -> tuple[str, str]:
    """`owner/name` and the glob after it, "" for none."""
    pieces = where.partition(":")[2].strip("/").split("/")
    if len(pieces) < 2 or not all(pieces):
        raise StageError(where, "no owner and name", form, f"affinage add {form}")
    return "/".join(pieces[:2]), "/".join(pieces[2:])


def hub(where: str, name: str) -> Material:
    """`hub:owner/name`, or `hub:owner/name/data/*.parquet` where not all of its files are meant.

    Raises:
        StageError: without network, for a dataset that is not there, and for files of several kinds.
    """
    repo, files = _parts(where, "hub:owner/name")
    from huggingface_hub import HfApi

    with hub_errors(where, "a reachable dataset of the hub", "the name"):
        info = HfApi().dataset_info(repo)
    files_of_repo = [file.rfilename for file in info.siblings or []]
    files = files or _pattern(files_of_repo, where)
    section = {"kind": "hub", "repo": repo, "revision": info.sha, "files": files}
    names = sorted(file for file in files_of_repo if matches(files, file))
    return Material(name or name_of(repo.split("/")[1]), None, section, names=names)


def _pattern(names: list[str], where: str) -> str:
    rows = [name for name in names if name.lower() not in ASIDE and PurePosixPath(name).suffix.lower() in DATA]
    suffixes = Counter(PurePosixPath(name).suffix for name in rows)
    if len(suffixes) != 1:
        listing = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.items()) or "no file of rows"
        raise StageError(
            where, listing, "files of one kind", f"name them: affinage add {where}/<glob>; there are: {', '.join(names[:12])}"
        )
    suffix = next(iter(suffixes))
    return rows[0] if len(rows) == 1 else f"{'**/' if any('/' in name for name in rows) else ''}*{suffix}"


def kaggle(where: str, name: str) -> Material:
    """`kaggle:owner/name`, or with a glob: `kaggle:owner/name/*.csv`; the newest version, which the first run names."""
    dataset, files = _parts(where, "kaggle:owner/name")
    section = {"kind": "kaggle", "dataset": dataset, "version": 0, "files": files or "**/*.csv"}
    return Material(name or name_of(dataset.split("/")[1]), None, section)
