"""Pages and files of web servers. What is in the cache is not asked for again.

To refresh on purpose, raise `refresh` in the source's parameters: the servers are then asked whether what is not pinned
has changed since. What is pinned by its sha256 stays what it is until the pin is edited.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from stages.common.errors import StageError
from stages.common.schema_sources import WebSource
from stages.sources import SourceFile
from stages.sources.download import Download
from stages.sources.visitor import Visitor


def fetch(name: str, params: WebSource, source: Path, left_out: Counter) -> Iterator[SourceFile]:
    """Every file of `params.urls`, in order of their names; hosts are visited side by side, each one address at a time."""
    visitor, hosts = Visitor(params), {}
    for file in sorted(params.urls):
        hosts.setdefault(urlsplit(params.urls[file]).netloc, []).append(file)
    with ThreadPoolExecutor(params.hosts_at_once) as pool:
        waiting = {file: future for files in hosts.values() for file, future in _one_host(pool, files, visitor, params).items()}
        try:
            for file in sorted(waiting):
                entry, folder = waiting[file].result()[file]
                origin = {key: entry[key] for key in ("url", "final_url", "etag", "last_modified")}
                yield SourceFile(folder / entry["body"], file, params.urls[file], charset=entry["charset"], origin=origin)
        finally:
            pool.shutdown(cancel_futures=True)  # finished downloads are in the cache


def _one_host(pool: ThreadPoolExecutor, files: list[str], visitor: Visitor, params: WebSource) -> dict:
    future = pool.submit(lambda: {file: obtain(file, visitor, params) for file in files})
    return dict.fromkeys(files, future)


def obtain(file: str, visitor: Visitor, params: WebSource) -> tuple[dict, Path]:
    """The cache's entry for one file, fetched if need be, and the directory in which its body lies.

    Raises:
        StageError: where its content is not that of its pinned sha256.
    """
    download, pinned = Download(params.urls[file], visitor, params), params.sha256[file]
    entry = download.bring(lambda kept: kept["sha256"] == pinned if pinned else kept["refresh"] >= params.refresh)
    if pinned and entry["sha256"] != pinned:
        raise StageError(
            f"{params.urls[file]} ({file})",
            f"sha256 {entry['sha256']}",
            f"sha256 {pinned}",
            f"if the new content is what you want, set datasets.<name>.scrape.sources.<source>.sha256.{file}",
        )
    return entry, download.folder
