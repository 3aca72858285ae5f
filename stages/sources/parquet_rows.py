"""Parquet."""

from collections.abc import Iterator

from stages.common.errors import StageError
from stages.sources import SourceFile


def read_parquet(file: SourceFile, params: None = None) -> Iterator[dict]:
    """Record batches one at a time; the file's `encoding` plays no part."""
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(file.path) as table:
            names = table.schema_arrow.names
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise StageError(file.place, f"columns named twice: {', '.join(repeated)}", "distinct names", "rename them")
            for batch in table.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except (ArrowException, OSError, ValueError, OverflowError) as error:  # the last two: text not in UTF-8, dates past 9999
        message = " ".join(str(error).split()) or type(error).__name__
        raise StageError(
            file.place, message, "a Parquet file", "check the file and datasets.<name>.scrape.sources.<source>.reader"
        ) from None
