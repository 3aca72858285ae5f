"""One version of a Kaggle dataset, through the optional package `kagglehub`, which keeps it in a cache of its own."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.common.errors import StageError
from stages.common.schema_sources import KaggleSource
from stages.sources import SourceFile, local


def fetch(name: str, params: KaggleSource, source: Path, left_out: Counter) -> Iterator[SourceFile]:
    """The files behind `params.files` of the version named, or of the newest one."""
    handle = params.dataset + (f"/versions/{params.version}" if params.version else "")
    try:
        import kagglehub
    except ImportError:
        raise StageError(
            f"kaggle {handle}", "no package kagglehub", "it installed, for sources of kind kaggle", "pip install kagglehub"
        ) from None
    try:
        folder = Path(kagglehub.dataset_download(handle))
    except Exception as error:  # kagglehub raises what requests, its own client and zipfile raise, without a common base
        raise StageError(
            f"kaggle {handle}",
            " ".join(str(error).split())[:300] or type(error).__name__,
            "a reachable version of a Kaggle dataset",
            "check the network, the name and the version; some datasets need KAGGLE_USERNAME and KAGGLE_KEY",
        ) from None
    version = params.version or folder.name  # kagglehub keeps each in a folder of its number
    address = f"https://www.kaggle.com/datasets/{params.dataset}/versions/{version}"
    for path in local.find(folder, params.files, left_out):
        name = path.relative_to(folder).as_posix()
        yield SourceFile(path, name, f"kaggle {handle}: {name}", origin={"url": address})
