"""Rows out of a page: those of its tables, with their columns, and the items of its lists, with what stands above them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from lxml import html

from stages.common.errors import StageError
from stages.common.schema_sources import HtmlItems, HtmlRows
from stages.common.text_keys import loose_key, shorten
from stages.sources import SourceFile
from stages.sources.grid import Grid, Row
from stages.sources.names import READER, elements_within
from stages.sources.web_page import LISTS, MARKS, clean, is_hidden, load, text_of

_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_BOLD = ("b", "strong")


@dataclass
class PageTable:
    """A table of a page.

    Args:
        number: which of the page's tables it is, from 1.
        title: its caption, else the heading above it; "" for none.
        element: as lxml has it.
        place: what errors call the page.
    """

    number: int
    title: str
    element: html.HtmlElement
    place: str

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """Its rows by the names of their columns; cells over several rows or columns stand in each of them.

        A row of headers names the columns of the rows below it, several such rows do so together. A row of one cell across the
        whole table is a heading of the rows below it: their column `section`, where there are several. Rows without a text are
        left out.
        """
        grid, rows, section, above = Grid(self.element, self.place), [], "", False
        titles: list[list[str]] = [[] for _ in range(grid.width)]
        headers = {number for number in range(len(grid.rows)) if grid.is_header(number)} or _unmarked_header(grid)
        for number, row in enumerate(grid.rows):
            cells = set(row.values())
            if len(cells) == 1 and len(row) == grid.width > 1:
                section, above = clean(text_of(next(iter(cells)))) or section, False
            elif number in headers:
                titles = titles if above else [[] for _ in range(grid.width)]
                for column, cell in row.items():
                    text = clean(text_of(cell))
                    titles[column] += [text] if text and text not in titles[column] else []
                above = True
            else:
                above, values = False, _values(row)
                if any(values.values()):
                    named = {name: values.get(column, "") for column, name in enumerate(_names(titles))}
                    rows.append({"section": section} | named)
        if len({row["section"] for row in rows}) > 1:
            return rows
        return [{name: value for name, value in row.items() if name != "section"} for row in rows]

    @property
    def columns(self) -> list[str]:
        """The names of the columns of its first row."""
        return list(self.rows[0]) if self.rows else []

    def in_words(self) -> str:
        """The table in words."""
        return f"{self.number} {shorten(self.title, 40)}: {len(self.rows)} rows of {', '.join(self.columns[:8]) or 'nothing'}"


def page_tables(file: SourceFile, params: HtmlRows) -> list[PageTable]:
    """The tables of a page from top to bottom, those in cells of others among them."""
    root = load(file, params.without, keep_cells=True)
    headings, tables = _headings(root, {"table"}), {}
    for part in elements_within(root, params.within, file.place):
        for element in part.iter("table"):
            if element not in tables:  # parts may lie in each other
                caption = element.find("caption")
                title = clean(text_of(caption)) if caption is not None else ""
                tables[element] = PageTable(len(tables) + 1, title or headings[element], element, file.place)
    return list(tables.values())


def tables_of(tables: list[PageTable], wanted: int | str | list[str]) -> list[PageTable]:
    """Those that a number, a title or a list of columns names."""
    if isinstance(wanted, int):
        return [table for table in tables if table.number == wanted and table.rows]
    if isinstance(wanted, str):
        return [table for table in tables if loose_key(table.title) == loose_key(wanted) and table.rows]
    names = set(map(loose_key, wanted))
    return [table for table in tables if set(map(loose_key, table.columns)) - {"section"} == names]


def read_html_rows(file: SourceFile, params: HtmlRows) -> Iterator[dict]:
    """The rows of one table, or of several that are alike; those of several have the column `heading`, the table's title.

    Raises:
        StageError: where no table is meant, with those that there are.
    """
    tables = page_tables(file, params)
    wanted = tables_of(tables, params.table)
    if not wanted:
        listing = "; ".join(table.in_words() for table in tables[:12]) or "none"
        expected = f"a table with rows: {params.table!r} is a number, a title, or a list of all columns"
        raise StageError(file.place, f"{len(tables)} tables: {listing}", expected, f"edit {READER}.table")
    for table in wanted:
        above = {"heading": table.title} if len({other.title for other in wanted}) > 1 else {}
        yield from (above | row for row in table.rows)


def read_html_items(file: SourceFile, params: HtmlItems) -> Iterator[dict]:
    """Rows `item, heading, parent`: the own text of every `li` and `dd`, the heading above it, and the item that it lies in.

    Of a description `dd` the parent is the term `dt` before it.
    """
    root = load(file, params.without)
    headings, seen = _headings(root, {"li", "dd"}), set()
    for part in elements_within(root, params.within, file.place):
        for item in part.iter("li", "dd"):
            text = clean(_own_text(item))
            if text and item not in seen:
                yield {"item": text, "heading": headings[item], "parent": _parent(item)}
            seen.add(item)


def _own_text(item: html.HtmlElement) -> str:
    return text_of(item, LISTS | {"table"})


def _parent(item: html.HtmlElement) -> str:
    term = next(item.itersiblings("dt", preceding=True), None) if item.tag == "dd" else None
    outer = term if term is not None else next(item.iterancestors("li", "dd"), None)
    return clean(_own_text(outer)) if outer is not None else ""


def _headings(root: html.HtmlElement, tags: set[str]) -> dict[html.HtmlElement, str]:
    """The heading above each element of these tags; "" where there is none."""
    above, heading = {}, ""
    for element in root.iter():
        if element.tag in _HEADINGS:
            heading = clean(text_of(element)) or heading
        elif element.tag in tags:
            above[element] = heading
    return above


def _values(row: Row) -> dict[int, str]:
    """The texts of cells by their columns; dashes alone, and what is hidden, are no text."""
    return {column: "" if is_hidden(cell) else value_of(cell) for column, cell in row.items()}


def value_of(cell: html.HtmlElement) -> str:
    """The text of a cell without footnote marks, items of lists with commas; "" for dashes alone."""
    own = text_of(cell, LISTS | {"table"})
    items = [_own_text(item) for item in cell.iter("li", "dt", "dd")]
    text = " ".join(MARKS.sub("", ", ".join(filter(None, [own, *items]))).split())
    return "" if re.fullmatch(r"[-–—−]+", text) else text


def _names(titles: list[list[str]]) -> list[str]:
    """A name for each column, different from all others: its headers from top to bottom, `column 2` where there is none."""
    names: list[str] = []
    for number, title in enumerate(titles, 1):
        name = " ".join(title) or f"column {number}"
        names.append(name if name not in names else f"{name} (column {number})")
    return names


def _unmarked_header(grid: Grid) -> set[int]:
    """The number of the row that heads a table in which no row is marked as such; empty for none.

    It is the first full row if all of it is bold, or if it has no digit where the rest of a column has some in every cell.
    """
    full = [number for number, row in enumerate(grid.rows) if len(set(row.values())) == grid.width > 1]
    if len(full) < 2:
        return set()
    head, rest = grid.rows[full[0]], [grid.rows[number] for number in full[1:]]
    texts = {column: text_of(cell) for column, cell in head.items()}
    if not all(texts.values()) or len(set(texts.values())) < grid.width:
        return set()
    bold = all(texts[column] == " ".join(map(text_of, cell.iter(*_BOLD))) for column, cell in head.items())
    plain = not any(map(_has_digit, texts.values()))
    numbers = plain and any(all(_has_digit(text_of(row[column])) for row in rest) for column in head)
    return {full[0]} if bold or numbers else set()


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))
