"""Sheets of Excel's .xlsx files, by pandas and openpyxl."""

import zipfile
from collections.abc import Iterator

from stages.common.errors import StageError
from stages.common.schema_sources import Excel
from stages.common.text_keys import shorten
from stages.sources import SourceFile

FIX = "edit datasets.<name>.scrape.sources.<source>.reader, or the file"


def read_excel(file: SourceFile, params: Excel | None = None) -> Iterator[dict]:
    """Rows under the names of the header, the first row with more than one value; values are text as Excel's cells hold them.

    Dates come as `2024-01-31 00:00:00`, whole numbers without decimals, formulas as the value that was saved with them. Rows
    without any value are left out. pandas holds the whole sheet in memory.

    Raises:
        StageError: for no such sheet, a file that is no .xlsx or has a password, columns of one name.
    """
    import pandas
    from openpyxl.utils.exceptions import InvalidFileException

    wanted = params.sheet if params and params.sheet else 0
    try:
        with open(file.path, "rb") as stream, pandas.ExcelFile(stream, engine="openpyxl") as book:
            if wanted and wanted not in book.sheet_names:
                raise StageError(file.place, f"sheets {', '.join(map(str, book.sheet_names))}", f"sheet {wanted!r}", FIX)
            frame = book.parse(wanted, header=None, dtype=str, keep_default_na=False, na_filter=False)
    except (InvalidFileException, zipfile.BadZipFile, ValueError, KeyError, OSError) as error:
        message = " ".join(str(error).split())[:200]
        raise StageError(file.place, message, "an .xlsx file without a password", "save it as .xlsx, or as CSV") from None
    records = [[str(value) for value in record] for record in frame.itertuples(index=False, name=None)]
    start = next((n for n, record in enumerate(records) if sum(bool(v.strip()) for v in record) > 1), 0)
    if not records:
        return
    names = [name.strip() for name in records[start]]
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):
        where = f"{file.place} row {start + 1}"
        raise StageError(where, f"columns named twice: {', '.join(repeated)}: {shorten(names)}", "distinct names", FIX)
    for record in records[start + 1 :]:
        if any(value.strip() for value in record):
            yield dict(zip(names, record, strict=True))
