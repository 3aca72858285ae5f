"""Sheets of Excel's .xlsx files, by openpyxl."""

import zipfile
import zlib
from collections.abc import Iterator

from stages.common.errors import StageError, wording
from stages.common.schema_sources import Excel
from stages.common.text_keys import shorten
from stages.sources import SourceFile

# what openpyxl lets through of a broken file: of the archive, of its XML (SyntaxError), and what it stumbles over in it
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError)
FIX = "edit datasets.<name>.scrape.sources.<source>.reader, or the file"


def read_excel(file: SourceFile, params: Excel | None = None) -> Iterator[dict]:
    """Rows under the names of the header, the first row with more than one value; values are text as Excel's cells hold them.

    The first sheet that can be seen and has rows is read, unless `params` name one; `sources.json` lists the others that can be
    seen. Dates come as `2024-01-31 00:00:00`, whole numbers without decimals, formulas as the value that was saved with them,
    errors (#N/A) as nothing. Rows without any value are left out. One sheet is held in memory.

    Bad lines: the header once more.

    Raises:
        StageError: for no such sheet, a file that is no .xlsx or has a password, columns of one name.
    """
    records = _records(file, params.sheet if params else "")
    start = next((n for n, record in enumerate(records) if sum(bool(v.strip()) for v in record) > 1), 0)
    if not records:
        return
    names = [name.strip() for name in records[start]]
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):
        where = f"{file.place} row {start + 1}"
        raise StageError(where, f"columns named twice: {', '.join(repeated)}: {shorten(names)}", "distinct names", FIX)
    for number, record in enumerate(records[start + 1 :], start + 2):
        if [value.strip() for value in record] == names:
            file.bad_lines.add(number, "the names of the columns once more")
        elif any(value.strip() for value in record):
            yield dict(zip(names, record, strict=True))


def _records(file: SourceFile, sheet: str) -> list[list[str]]:
    """The rows of a sheet, all of them as wide as the widest; `sheet` "" for the first one that can be seen and has rows."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with open(file.path, "rb") as stream:
            book = load_workbook(stream, read_only=True, data_only=True, keep_links=False)
            if sheet and sheet not in book.sheetnames:
                raise StageError(file.place, f"sheets {', '.join(book.sheetnames)}", f"sheet {sheet!r}", FIX)
            seen = [table for table in book.worksheets if table.sheet_state == "visible"] or book.worksheets
            records: list[list[str]] = []
            for chosen in [book[sheet]] if sheet else seen:
                chosen.reset_dimensions()  # what the file says of its size is not always true
                records = [[_text(cell) for cell in row] for row in chosen.iter_rows()]
                if any(any(record) for record in records):
                    break
            others = [other.title for other in seen if other.title != chosen.title]
    except (InvalidFileException, *_BROKEN) as error:
        expected = "an .xlsx file without a password"
        raise StageError(file.place, wording(error), expected, "save it as .xlsx, or as CSV") from None
    if others:
        file.origin = file.origin | {"sheet": chosen.title, "other_sheets": others}
    width = max((n for record in records for n, value in enumerate(record, 1) if value), default=0)
    return [(record + [""] * width)[:width] for record in records]


def _text(cell) -> str:
    """What a cell holds, as text; "" for nothing and for an error."""
    if cell.value is None or cell.data_type == "e":
        return ""
    return str(int(cell.value)) if isinstance(cell.value, float) and cell.value.is_integer() else str(cell.value)
