"""Readers that give names: `{"name": …}` out of a plain list, or the lists, tables and any other part of a web page."""

import re
from collections.abc import Iterator
from pathlib import Path

from lxml import etree, html

from stages.common.errors import StageError, shorten
from stages.common.schema_sources import HtmlList, HtmlTable, HtmlXpath
from stages.common.text import loose_key
from stages.sources.page import LISTS, clean, entries, load, text_of
from stages.sources.text import open_text, undecodable

READER = "datasets.<name>.scrape.sources.<source>.reader"
SLOTS = 1_000_000  # cells of one table, spans counted out; more is a bomb
_NOTE = re.compile(r"\s*\(([^()]*)\)\s*")


def read_lines(path: Path, encoding: str) -> Iterator[dict]:
    """One name a line; outer white space and empty lines are left out."""
    try:
        with open_text(path, encoding) as lines:
            yield from ({"name": line.strip()} for line in lines if line.strip())
    except UnicodeError as error:
        raise undecodable(path, encoding, error) from None


def read_html_list(params: HtmlList, path: Path, encoding: str) -> Iterator[dict]:
    """The own text of every `li`, lists within it apart."""
    root, seen = load(path, encoding, params.without), set()
    for part in _elements(root, params.within, path, "within"):
        for item in part.iter("li"):
            if item not in seen:  # parts may lie in each other
                seen.add(item)
                yield from _rows([text_of(item, LISTS | {"table"})], params.notes)


def read_html_xpath(params: HtmlXpath, path: Path, encoding: str) -> Iterator[dict]:
    """The text of whatever an XPath selects: elements with all that is in them, attributes, text."""
    root = load(path, encoding, params.without)
    for node in _select(root, params.xpath, path, "xpath"):
        yield from _rows([node if isinstance(node, str) else text_of(node)], params.notes)


def read_html_table(params: HtmlTable, path: Path, encoding: str) -> Iterator[dict]:
    """The cells of one column, wherever a table has it; a list in a cell is several names, a cell over several rows is one.

    Raises:
        StageError: where no table has the column, with the headers that there are.
    """
    root, headers, some, seen = load(path, encoding, params.without), [], False, set()
    for part in _elements(root, params.within, path, "within"):
        for table in part.iter("table"):
            if table in seen:
                continue
            seen.add(table)
            grid, width = _grid(table, path)
            first, titles = _titles(grid, width)
            headers += [title for column in titles for title in column if title not in headers]
            wanted = _columns(params.column, titles, width)
            some = some or bool(wanted)
            used = set()
            for row in grid[first:]:
                if _is_header(row):
                    continue
                for column in wanted:
                    cell = row.get(column)
                    if cell is not None and cell not in used and (width == 1 or len(set(row.values())) > 1):
                        used.add(cell)
                        yield from _rows(entries(cell), params.notes)
    if not some:
        listing = ", ".join(map(repr, headers[:20])) or "none"
        raise StageError(path, f"{len(seen)} tables with the headers {listing}", f"column {params.column!r}", f"edit {READER}")


def _rows(texts, notes: str) -> Iterator[dict]:
    """`name`, and `note`: the text in parentheses where it is kept apart, "" otherwise."""
    for text in texts:
        name, found = clean(text), []
        while notes == "apart" and (match := _NOTE.search(name)):
            found.append(match[1].strip())
            name = f"{name[: match.start()]} {name[match.end() :]}"
        bare = clean(name)
        if bare or found:
            yield {"name": bare, "note": "; ".join(found)} if bare else {"name": clean(text), "note": ""}


def _select(root: html.HtmlElement, xpath: str, path: Path, leaf: str) -> list:
    fix = f"edit {READER}.{leaf}"
    try:
        found = root.xpath(xpath, namespaces={"re": "http://exslt.org/regular-expressions"})
    except (etree.XPathError, ValueError, TypeError) as error:
        raise StageError(f"{path}: XPath {shorten(xpath)}", str(error), "XPath 1.0", fix) from None
    if not isinstance(found, list):
        found = [found] if isinstance(found, str) else None
    if found is None or not all(isinstance(node, str | html.HtmlElement) for node in found):
        raise StageError(f"{path}: XPath {shorten(xpath)}", "no part of the page", "elements, attributes or text", fix)
    return found


def _elements(root: html.HtmlElement, xpath: str, path: Path, leaf: str) -> list[html.HtmlElement]:
    found = [node for node in _select(root, xpath, path, leaf) if isinstance(node, html.HtmlElement)]
    if not found:
        expected = "at least one element (navigation, references and hidden parts are gone before it is looked for)"
        raise StageError(f"{path}: XPath {shorten(xpath)}", "no element", expected, f"edit {READER}.{leaf}")
    return found


def _grid(table: html.HtmlElement, path: Path) -> tuple[list[dict[int, html.HtmlElement]], int]:
    """Rows of `{column: cell}` from column 0, a cell in every place that it spans; and the number of columns."""
    rows = table.xpath("./tr|./thead/tr|./tbody/tr|./tfoot/tr")
    grid, slots = [{} for _ in rows], 0
    for number, row in enumerate(rows):
        column = 0
        for cell in row.iterchildren("td", "th"):
            while column in grid[number]:
                column += 1
            across, down = _span(cell.get("colspan"), 1000), _span(cell.get("rowspan"), len(rows)) or len(rows)
            below = grid[number : number + down]
            slots += across * len(below)
            if slots > SLOTS:
                raise StageError(path, f"a table of more than {SLOTS} cells", "a smaller one", "edit the page")
            for line in below:
                line |= {place: cell for place in range(column, column + (across or 1)) if place not in line}
            column += across or 1
    return grid, max((max(row) + 1 for row in grid if row), default=0)


def _span(said: str | None, most: int) -> int:
    """A span as HTML reads it: 1 where nothing usable is said; 0, for rows, to the table's end."""
    match = re.match(r"\s*\+?(\d{1,9})", said or "")
    return min(int(match[1]), most) if match else 1


def _is_header(row: dict) -> bool:
    cells = set(row.values())
    return bool(cells) and (all(cell.tag == "th" for cell in cells) or all(_in_head(cell) for cell in cells))


def _in_head(cell: html.HtmlElement) -> bool:
    return cell.getparent().getparent().tag == "thead"


def _titles(grid: list[dict], width: int) -> tuple[int, list[list[str]]]:
    """The number of header rows, and the texts above each column."""
    first = next((number for number, row in enumerate(grid) if not _is_header(row)), len(grid))
    above = [[clean(text_of(row[column])) for row in grid[:first] if column in row] for column in range(width)]
    return first, above


def _columns(wanted: str | int, titles: list[list[str]], width: int) -> list[int]:
    if isinstance(wanted, int):
        return [wanted - 1] if wanted <= width else []
    return [column for column in range(width) if loose_key(wanted) in map(loose_key, titles[column])]
