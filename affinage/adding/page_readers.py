"""The tables and lists of a page that may be its rows."""

from lxml import html

from stages.common.schema_sources import HtmlItems, HtmlRows
from stages.common.text_keys import loose_key
from stages.sources import SourceFile
from stages.sources.html_rows import PageTable, page_tables, read_html_items, tables_of
from stages.sources.web_page import clean, text_of

LISTS = "lists"  # what `--rows` calls the items of all lists
MOST = 6  # tables, and columns of them, that are tried


def page_readers(file: SourceFile, at: str, rows: HtmlRows, items: HtmlItems) -> list[dict]:
    """Readers of a page, that of the most texts first, those of names alone last; tables with the same columns go together.

    Args:
        at: what `--rows` says: a table's number, title or columns, `lists`, or one column; "" for nothing.
        rows, items: the readers' parameters, filled in from the defaults.
    """
    tables = [table for table in page_tables(file, rows) if table.rows]
    if at:
        return _named_readers(tables, at)
    alike: dict[tuple, list[PageTable]] = {}
    for table in tables:
        alike.setdefault(tuple(map(loose_key, _columns(table))), []).append(table)
    sized = []
    for columns, some in alike.items():
        count = sum(len(table.rows) for table in some)
        if len(columns) > 1 and count > 1:
            sized.append((len(columns) * count, {"kind": "html_rows", "table": _name(some, tables)}))
    if count := sum(1 for _ in read_html_items(file, items)):
        sized.append((count, {"kind": "html_items"}))
    readers = [reader for _, reader in sorted(sized, key=lambda pair: -pair[0])]
    headers = [header for table in tables for header in _headers(table.element)]
    names = [{"kind": "html_table", "column": header} for header in dict.fromkeys(headers[: 2 * MOST])]
    return readers[:MOST] + [{"kind": "html_list"}] * bool(count) + names


def _named_readers(tables: list[PageTable], at: str) -> list[dict]:
    if at.lower() == LISTS:
        return [{"kind": "html_items"}]
    if at.isdecimal():
        return [{"kind": "html_rows", "table": int(at)}] * bool(tables_of(tables, int(at))) + [
            {"kind": "html_table", "column": int(at)}
        ]
    if tables_of(tables, at):
        return [{"kind": "html_rows", "table": at}]
    for table in tables:
        if loose_key(", ".join(_columns(table))) == loose_key(at) and len(_columns(table)) > 1:
            return [{"kind": "html_rows", "table": _columns(table)}]
    return [{"kind": "html_table", "column": at}]


def _columns(table: PageTable) -> list[str]:
    return [column for column in table.columns if column != "section"]


def _name(alike: list[PageTable], tables: list[PageTable]) -> int | str | list[str]:
    """What names these tables and no others: the title of one, else its number; the columns of several."""
    if len(alike) > 1:
        return _columns(alike[0])
    title = alike[0].title
    return title if title and not title.isdecimal() and len(tables_of(tables, title)) == 1 else alike[0].number


def _headers(table: html.HtmlElement) -> list[str]:
    return [text for cell in table.iter("th") if (text := clean(text_of(cell)))]
