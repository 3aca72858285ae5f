"""Readers that give names: `{"name": …}` out of a plain list, or the lists, tables and any other part of a web page."""

import re
from collections.abc import Iterator

from lxml import etree, html

from stages.common.errors import StageError
from stages.common.schema_sources import HtmlList, HtmlTable, HtmlXpath
from stages.common.text_keys import shorten
from stages.sources import SourceFile
from stages.sources.encodings import open_text, undecodable
from stages.sources.grid import Grid
from stages.sources.web_page import LISTS, clean, entries, load, text_of

READER = "datasets.<name>.scrape.sources.<source>.reader"
_NOTE = re.compile(r"\s*\(([^()]*)\)\s*")


def read_lines(file: SourceFile, params: None = None) -> Iterator[dict]:
    """One name a line; outer white space and empty lines are left out."""
    try:
        with open_text(file) as lines:
            yield from ({"name": line.strip()} for line in lines if line.strip())
    except UnicodeError as error:
        raise undecodable(file, error) from None


def read_html_list(file: SourceFile, params: HtmlList) -> Iterator[dict]:
    """The own text of every `li`, lists within it apart."""
    root, seen = load(file, params.without), set()
    for part in elements_within(root, params.within, file.place):
        for item in part.iter("li"):
            if item not in seen:  # parts may lie in each other
                seen.add(item)
                yield from _rows([text_of(item, LISTS | {"table"})], params.notes)


def read_html_xpath(file: SourceFile, params: HtmlXpath) -> Iterator[dict]:
    """The text of whatever an XPath selects: elements with all that is in them, attributes, text."""
    root = load(file, params.without)
    for node in _select(root, params.xpath, file.place, "xpath"):
        yield from _rows([node if isinstance(node, str) else text_of(node)], params.notes)


def read_html_table(file: SourceFile, params: HtmlTable) -> Iterator[dict]:
    """The cells of one column, wherever a table has it; a list in a cell is several names, a cell over several rows is one.

    Raises:
        StageError: where no table has the column, with the headers that there are.
    """
    root, headers, seen, has_column = load(file, params.without, keep_cells=True), [], set(), False
    for part in elements_within(root, params.within, file.place):
        for table in part.iter("table"):
            if table in seen:
                continue
            seen.add(table)
            cells = Grid(table, file.place).column(params.column, headers)
            has_column = has_column or cells is not None
            for cell in cells or ():
                yield from _rows(entries(cell), params.notes)
    if not has_column:
        listing = ", ".join(map(repr, headers[:20])) or "none"
        tables = f"{len(seen)} tables with the headers {listing}"
        raise StageError(file.place, tables, f"column {params.column!r}", f"edit {READER}")


def _rows(texts, notes: str) -> Iterator[dict]:
    """`name`, and `note`: the text in parentheses where it is kept apart, "" otherwise."""
    for text in texts:
        name, apart = clean(text), []
        while notes == "apart" and (match := _NOTE.search(name)):
            apart.append(match[1].strip())
            name = f"{name[: match.start()]} {name[match.end() :]}"
        bare = clean(name)
        if bare or apart:
            yield {"name": bare, "note": "; ".join(apart)} if bare else {"name": clean(text), "note": ""}


def _select(root: html.HtmlElement, xpath: str, place: str, leaf: str) -> list:
    fix = f"edit {READER}.{leaf}"
    try:
        nodes = root.xpath(xpath, namespaces={"re": "http://exslt.org/regular-expressions"})
    except (etree.XPathError, ValueError, TypeError) as error:
        raise StageError(f"{place}: XPath {shorten(xpath)}", str(error), "XPath 1.0", fix) from None
    if not isinstance(nodes, list):
        nodes = [nodes] if isinstance(nodes, str) else None
    if nodes is None or not all(isinstance(node, str | html.HtmlElement) for node in nodes):
        raise StageError(f"{place}: XPath {shorten(xpath)}", "no part of the page", "elements, attributes or text", fix)
    return nodes


def elements_within(root: html.HtmlElement, xpath: str, place: str) -> list[html.HtmlElement]:
    """The elements that the XPath `within` selects, in the order of the page."""
    elements = [node for node in _select(root, xpath, place, "within") if isinstance(node, html.HtmlElement)]
    if not elements:
        expected = "at least one element (navigation, references and hidden parts are gone before it is looked for)"
        raise StageError(f"{place}: XPath {shorten(xpath)}", "no element", expected, f"edit {READER}.within")
    return elements
