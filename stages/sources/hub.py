"""A dataset of the Hugging Face hub at one commit: its files (here), or the rows of one of its splits (hub_rows.py).

What was fetched is kept below `.cache/hub/` and read from there ever after.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.common import kept
from stages.common.errors import StageError, hub_errors
from stages.common.schema_sources import HubRows, HubSource
from stages.sources import SourceFile
from stages.sources.archive import matches
from stages.sources.unmeant import is_meant


def fetch(name: str, params: HubSource | HubRows, source: Path, left_out: Counter) -> Iterator[SourceFile]:
    """The files behind `params.files`, or one file with the rows of `params.split`. What is kept needs no network."""
    if isinstance(params, HubRows):
        from stages.sources.hub_rows import fetch_rows

        yield fetch_rows(name, params, left_out)
    else:
        yield from _fetch_files(name, params, left_out)


def _fetch_files(name: str, params: HubSource, left_out: Counter) -> Iterator[SourceFile]:
    before = kept.fetched("data set of the hub", params.repo, params.revision, name=name)
    where = f"{params.repo}@{params.revision[:12]}"
    listing = before.named("listing", lambda: _ask(where, _list, params))
    files = sorted(file for file in listing if matches(params.files, file) and is_meant(file, params.files, left_out))
    if not files:
        raise StageError(
            where,
            f"no file {params.files!r}",
            f"at least one; there are: {', '.join(sorted(listing)[:8]) or 'none'}",
            "edit datasets.<name>.scrape.sources.<source>.files, or take the commit of refs/convert/parquet as revision",
        )
    address = f"https://huggingface.co/datasets/{params.repo}/resolve/{params.revision}"
    for file in files:
        path = before.get(file, lambda file=file: _ask(where, _download, params, file, before.folder / "files"))
        yield SourceFile(before.folder / path, file, f"{address}/{file}", origin={"url": f"{address}/{file}"})


def _list(params: HubSource) -> list[str]:
    from huggingface_hub import HfApi

    return HfApi().list_repo_files(params.repo, revision=params.revision, repo_type="dataset")


def _download(params: HubSource, file: str, folder: Path) -> str:
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(params.repo, file, revision=params.revision, repo_type="dataset", local_dir=folder)
    return Path(path).relative_to(folder.parent).as_posix()


def _ask(where: str, action, *arguments):
    with hub_errors(where, "a reachable dataset of the hub, or its files kept by an earlier run", "the name and the revision"):
        return action(*arguments)
