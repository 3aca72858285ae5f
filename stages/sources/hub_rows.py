"""The rows of one split of a dataset of the Hugging Face hub, streamed by the package datasets.

The package finds out what the dataset's files are (Parquet, JSON, CSV, …) and runs no script. The rows are kept as JSON Lines,
so that the hub is asked once.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.common import kept
from stages.common.errors import StageError, hub_errors, wording
from stages.common.files import atomic_file, json_line
from stages.common.schema_sources import HubRows
from stages.sources import SourceFile
from stages.sources.json_rows import read_jsonl
from stages.sources.values import json_value

ROWS = "rows.jsonl"
OPAQUE = ("Audio", "Image", "Pdf", "Video", "Nifti", "Mesh")  # types of the package whose values are files
SECTION = "datasets.<name>.scrape.sources.<source>"


def fetch_rows(name: str, params: HubRows, left_out: Counter) -> SourceFile:
    """The file that keeps the rows. Columns of images, sound and bytes are left out, each noted in `left_out`.

    Raises:
        StageError: where the hub cannot be reached, where it has no such dataset, configuration or split, where its rows are
            more than `max_bytes`, or where they have values that JSON cannot hold.
    """
    where = f"{params.repo}@{params.revision[:12]}, configuration {params.configuration}, split {params.split}"
    before = kept.fetched(
        "data set of the hub", params.repo, params.revision, params.configuration, params.split, params.max_bytes, name=name
    )
    rows = before.folder / ROWS
    opaque = before.named("opaque columns", lambda: _bring(where, params, rows))
    left_out.update(f"column {column}: {kind}" for column, kind in opaque.items())
    address = f"https://huggingface.co/datasets/{params.repo}/tree/{params.revision}"
    return SourceFile(rows, f"{params.configuration}/{params.split}", where, origin={"url": address})


def read_datasets(file: SourceFile, params: None = None) -> Iterator[dict]:
    """The rows that `fetch_rows` kept."""
    return read_jsonl(file, params)


def _bring(where: str, params: HubRows, path: Path) -> dict[str, str]:
    """Write the rows of the split to `path`, one at a time; returns the columns left out, each with its type."""
    with _worded(where):
        stream = _open(where, params)
        features = stream.features or {}
        opaque = {column: kind for column, feature in features.items() if (kind := _opaque(feature))}
        # a column that is left out must not be decoded: decoders of images and sound are packages of their own
        stream = stream.decode(False).remove_columns(list(opaque)) if opaque else stream
        labels = {column: _names(feature) for column, feature in features.items() if hasattr(feature, "int2str")}
        size = 0
        with atomic_file(path) as file:
            for number, row in enumerate(stream, 1):
                line = json_line(_as_json(f"{where}, row {number}", row | {c: of(row[c]) for c, of in labels.items()}))
                size += len(line.encode())
                if size > params.max_bytes:
                    raise StageError(where, f"over {size} bytes", f"at most {params.max_bytes}", f"raise {SECTION}.max_bytes")
                file.write(line)
    return opaque


def _open(where: str, params: HubRows):
    """The split as a stream of the package (`IterableDataset`)."""
    from datasets import get_dataset_config_names, load_dataset

    configurations = get_dataset_config_names(params.repo, revision=params.revision)
    _require(where, "configuration", params.configuration, configurations)
    splits = load_dataset(params.repo, params.configuration, revision=params.revision, streaming=True)
    _require(where, "split", params.split, list(splits))
    return splits[params.split]


def _require(where: str, parameter: str, wanted: str, names: list[str]) -> None:
    if wanted not in names:
        listed = ", ".join(sorted(map(str, names))[:20]) or "none"
        expected = f"a {parameter} of the dataset; there are: {listed}"
        raise StageError(where, f"no {parameter} {wanted!r}", expected, f"edit {SECTION}.{parameter}")


def _opaque(feature: object) -> str:
    """The type of a feature, or of one inside it, whose values are bytes; "" where JSON can hold them."""
    kind = type(feature).__name__
    if kind in OPAQUE:
        return kind
    if "binary" in str(getattr(feature, "dtype", "")):
        return "binary"
    if isinstance(feature, dict):
        inner = list(feature.values())
    elif isinstance(feature, list):
        inner = feature
    else:
        inner = [feature.feature] if hasattr(feature, "feature") else []
    return next(filter(None, map(_opaque, inner)), "")


def _names(feature) -> Callable[[int | None], str | None]:
    """From a label's number to its name; -1 is how the hub writes that a row has no label."""
    return lambda number: None if number is None or number < 0 else feature.int2str(number)


def _as_json(where: str, row: dict) -> dict:
    values = {}
    for column, value in row.items():
        try:
            values[column] = json_value(value)
        except TypeError as error:
            raise StageError(
                where,
                f"column {column}: a value of type {error}",
                "values that JSON can hold",
                f"read the dataset's files instead: {SECTION}.files, with their reader",
            ) from None
    return values


@contextmanager
def _worded(where: str) -> Iterator[None]:
    """Errors of the hub, of the package and of its builders, in our words."""
    try:
        from datasets import exceptions
    except ImportError:
        raise StageError(where, "no package datasets", "it installed", "pip install datasets") from None
    from pyarrow import ArrowException

    expected = "a reachable dataset of the hub, or its rows kept by an earlier run"
    try:
        with hub_errors(where, expected, f"repo and revision of {SECTION}"):
            yield
    except (ValueError, RuntimeError, ArrowException, exceptions.DatasetsError) as error:
        expected = "files that datasets can read without a script"
        fix = f"take the commit of its refs/convert/parquet as {SECTION}.revision, or read its files"
        raise StageError(where, wording(error), expected, fix) from None
