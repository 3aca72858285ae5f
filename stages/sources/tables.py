"""CSV and Parquet."""

import csv
from collections.abc import Iterator

from stages.common.errors import StageError
from stages.common.text import shorten
from stages.sources import SourceFile
from stages.sources.text import open_text, undecodable

csv.field_size_limit(1 << 24)  # characters in one field


def read_csv(file: SourceFile, params: None = None) -> Iterator[dict]:
    """RFC 4180 with a header row. A record with more or fewer fields than the header is an error with its line."""
    try:
        with open_text(file) as text:
            reader = csv.reader(text, strict=True)
            try:
                header = next(reader, None)
                if header is None:
                    return
                repeated = sorted({name for name in header if name and header.count(name) > 1})  # several may be unnamed
                if repeated:
                    raise StageError(
                        f"{file.place} line 1",
                        f"columns named twice: {', '.join(repeated)}",
                        "distinct column names",
                        "rename them in the source",
                    )
                for record in reader:
                    if not record:
                        continue
                    if len(record) != len(header):
                        raise StageError(
                            f"{file.place} line {reader.line_num}",
                            f"{len(record)} fields: {shorten(record)}",
                            f"{len(header)} fields: {', '.join(header)}",
                            "edit the line: is a quote missing?",
                        )
                    yield dict(zip(header, record, strict=True))
            except csv.Error as error:
                raise StageError(
                    f"{file.place} line {reader.line_num}", str(error), "CSV as in RFC 4180", "edit the line"
                ) from None
    except UnicodeError as error:
        raise undecodable(file, error) from None


def read_parquet(file: SourceFile, params: None = None) -> Iterator[dict]:
    """Record batches one at a time; the file's `encoding` plays no part."""
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(file.path) as table:
            for batch in table.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except (ArrowException, OSError, ValueError, OverflowError) as error:  # the last two: text not in UTF-8, dates past 9999
        found = " ".join(str(error).split()) or type(error).__name__
        raise StageError(
            file.place, found, "a Parquet file", "check the file and datasets.<name>.scrape.sources.<source>.reader"
        ) from None
