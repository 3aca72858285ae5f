"""A table of a page as a grid: every cell in every place that it spans. Built from all cells, before anything is left out."""

import re
from collections.abc import Iterator

from lxml import html

from stages.common.errors import StageError
from stages.common.text_keys import loose_key
from stages.sources.web_page import clean, is_hidden, text_of

SLOTS = 1_000_000  # cells of one table, spans counted out; more is a bomb
Row = dict[int, html.HtmlElement]  # cells by their columns, from 0; columns that a short row lacks are not in it


class Grid:
    """Rows of cells, with what stands above each column.

    Args:
        table: the element; tables in its cells are none of its rows.
        place: what errors call the page.
    """

    def __init__(self, table: html.HtmlElement, place: str):
        self.rows = _rows(table, place)
        self.width = max((max(row) + 1 for row in self.rows if row), default=0)
        self.only_headers = all(cell.tag == "th" for row in self.rows for cell in row.values())

    def column(self, wanted: str | int, headers: list[str]) -> Iterator[html.HtmlElement] | None:
        """The cells of a column, each once, in order; None where the table has no such column.

        Left out: rows of headers, rows of one cell that spans several columns (a heading of the rows below it), what is hidden.
        `wanted`: a number from the left, from 1, or a header's text in any case; each row goes by the last headers above it.
        Texts of headers are added to `headers`.
        """
        places, cells, known = [], [], isinstance(wanted, int) and wanted <= self.width
        titles: list[list[str]] = [[] for _ in range(self.width)]
        above = False  # whether the row above is one of headers
        for number, row in enumerate(self.rows):
            distinct = set(row.values())
            spanning = len(distinct) == 1 and len(row) > 1
            header = self.is_header(number) or (not any(titles) and self._names(wanted, row))
            if header and not (spanning and self.width > 1 and not _in_head(next(iter(distinct)))):
                if not above:
                    titles = [[] for _ in range(self.width)]
                for place, cell in row.items():
                    titles[place].append(clean(text_of(cell)))
                headers += [title for column in titles for title in column if title not in headers]
            above = header
            places = self._places(wanted, titles)
            known = known or bool(places)
            if not header and not spanning:
                cells += [row[place] for place in places if place in row and not is_hidden(row[place])]
        return iter(dict.fromkeys(cells)) if known else None

    def is_header(self, number: int) -> bool:
        """Whether a row holds headers of columns; one of `th` for rows alone is a row whose other cells are missing."""
        cells = set(self.rows[number].values())
        if not cells or any((cell.get("scope") or "").lower().startswith("row") for cell in cells):
            return False
        if all(map(_in_head, cells)):
            return True
        if self.only_headers:
            return number == 0
        lonely = len(cells) == 1 and len(self.rows[number]) == 1 and any(len(row) > 1 for row in self.rows[:number])
        return all(cell.tag == "th" for cell in cells) and not (lonely and self._rows_have_headers())

    def _rows_have_headers(self) -> bool:
        """Whether rows begin with a `th` and go on with data."""
        wide = [list(row.values()) for row in self.rows if len(row) > 1]
        return any(cells[0].tag == "th" and any(cell.tag == "td" for cell in cells) for cells in wide)

    def _names(self, wanted: str | int, row: Row) -> bool:
        """Whether a row of plain cells names the column, as in tables that mark no header."""
        if isinstance(wanted, int) or len(row) == 1:
            return False
        return any(loose_key(text_of(cell)) == loose_key(wanted) for cell in row.values())

    def _places(self, wanted: str | int, titles: list[list[str]]) -> list[int]:
        if isinstance(wanted, int):
            return [wanted - 1] if wanted <= self.width else []
        return [place for place in range(self.width) if loose_key(wanted) in map(loose_key, titles[place])]


def _rows(table: html.HtmlElement, place: str) -> list[Row]:
    """Rows as a browser shows them: the first `thead` on top, the first `tfoot` at the end, wherever they stand in the page.

    A cell spans rows of its own group (`thead`, `tbody`, `tfoot`) alone, as in HTML.
    """
    head, foot = table.find("thead"), table.find("tfoot")
    lines = table.xpath("./tr|./thead/tr|./tbody/tr|./tfoot/tr")
    if head is not None or foot is not None:
        lines.sort(key=lambda line: (line.getparent() is foot) - (line.getparent() is head))
    rows: list[Row] = [{} for _ in lines]
    slots = end = 0
    for number, line in enumerate(lines):
        if number >= end:
            end = next((at for at in range(number, len(lines)) if lines[at].getparent() is not line.getparent()), len(lines))
        column = 0
        for cell in line.iterchildren("td", "th"):
            while column in rows[number]:
                column += 1
            across, down = _span(cell.get("colspan"), 1000), _span(cell.get("rowspan"), len(lines)) or len(lines)
            spanned = rows[number : min(number + down, end)]
            slots += across * len(spanned)
            if slots > SLOTS:
                raise StageError(place, f"a table of more than {SLOTS} cells", "a smaller one", "edit the page")
            for row in spanned:
                row |= {at: cell for at in range(column, column + (across or 1)) if at not in row}
            column += across or 1
    return [dict(sorted(row.items())) for row in rows]


def _span(text: str | None, most: int) -> int:
    """A span as HTML reads it: 1 where nothing usable is said; 0, for rows, to the group's end."""
    match = re.match(r"\s*\+?(\d{1,9})", text or "")
    return min(int(match[1]), most) if match else 1


def _in_head(cell: html.HtmlElement) -> bool:
    return cell.getparent().getparent().tag == "thead"
