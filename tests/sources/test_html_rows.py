"""Rows of tables and items of lists; names out of both see test_names.py."""

import io
from itertools import count

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import StageError
from stages.common.schema_sources import HtmlItems, HtmlRows
from tests.data_helpers import read_file

PAGE = """
<h1>Buses</h1><nav><table><tr><th>Menu<th>x</tr><tr><td>Home<td>y</tr></table></nav>
<h2>Built today</h2>
<table><thead><tr><th rowspan=2>Model<th rowspan=2>Maker<th colspan=2>Size</tr><tr><th>Length<th>Seats</tr></thead>
<tr><th scope=row>Swift<td rowspan=2>Alder<sup>[1]</sup><td>12<td>—</tr>
<tr><th scope=row>Heron<td>11<td>90</tr>
<tr><th scope=row>Linnet<td>Birch<td colspan=2>unknown</tr>
<tr><td>Wren</tr>
</table>
<h2>Former</h2>
<h3>Alder</h3><table><tr><th>Model<th>Years</tr><tr><td>Crane<td>1927</tr></table>
<h3>Birch</h3><table><caption>By Birch</caption><tr><th>Model<th>Years</tr><tr><td>Stork<td>1931</tr></table>
<h2>Names</h2><ul><li>Bendy<ul><li>Bendy bus</li></ul></li></ul><dl><dt>Trolleybus<dd>Runs on wires.</dl>
<h2>See also</h2><ul><li>Trams</li></ul>
"""
TODAY = [
    {"Model": "Swift", "Maker": "Alder", "Size Length": "12", "Size Seats": ""},
    {"Model": "Heron", "Maker": "Alder", "Size Length": "11", "Size Seats": "90"},
    {"Model": "Linnet", "Maker": "Birch", "Size Length": "unknown", "Size Seats": "unknown"},
    {"Model": "Wren", "Maker": "", "Size Length": "", "Size Seats": ""},
]
CRANE, STORK = {"Model": "Crane", "Years": "1927"}, {"Model": "Stork", "Years": "1931"}


def rows(folder, page: str, table: int | str | list[str] = 1) -> list[dict]:
    (folder / "page.html").write_text(page, encoding="utf-8")
    params = HtmlRows(kind="html_rows", within="//body", without=["See also"], table=table)
    return read_file(params, folder / "page.html")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (1, TODAY),
        ("built TODAY", TODAY),
        (2, [CRANE]),
        ("Alder", [CRANE]),
        ("By Birch", [STORK]),
        (["Years", "Model"], [{"heading": "Alder"} | CRANE, {"heading": "By Birch"} | STORK]),
    ],
)
def test_a_table_by_number_title_or_columns(tmp_path, table, expected):
    assert rows(tmp_path, PAGE, table) == expected


@pytest.mark.parametrize("table", [4, "Menu", ["Model"]])
def test_a_table_that_is_not_there_names_those_that_are(tmp_path, table):
    with pytest.raises(
        StageError, match=r"3 tables: 1 'Built today': 4 rows of Model, Maker[^$]*3 'By Birch'[^$]*reader.table"
    ):
        rows(tmp_path, PAGE, table)


def test_items_of_lists_with_what_stands_above_them(tmp_path):
    (tmp_path / "page.html").write_text(PAGE)
    params = HtmlItems(kind="html_items", within="//body", without=["See also"])
    assert read_file(params, tmp_path / "page.html") == [
        {"item": "Bendy", "heading": "Names", "parent": ""},
        {"item": "Bendy bus", "heading": "Names", "parent": "Bendy"},
        {"item": "Runs on wires.", "heading": "Names", "parent": "Trolleybus"},
    ]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("<tr><td><b>A</b><td><b>B 2</b><tr><td>x<td>y", [{"A": "x", "B 2": "y"}]),
        (
            "<tr><td>Model<td>Year<tr><td>x<td>1990<tr><td>y<td>1991",
            [{"Model": "x", "Year": "1990"}, {"Model": "y", "Year": "1991"}],
        ),
        ("<tr><td>a<td>b<tr><td>c<td>d", [{"column 1": "a", "column 2": "b"}, {"column 1": "c", "column 2": "d"}]),
        ("<tr><th>A<th>A<th><tr><td>1<td>2<td>3", [{"A": "1", "A (column 2)": "2", "column 3": "3"}]),
        ("<tr><th>A<th>B<tr><td>–<td>-<tr><td>1<td><ul><li>x<li>y</ul>", [{"A": "1", "B": "x, y"}]),
        ("<tr><th>A<th>B<tr><td>1<td style='display:none'>2<tr hidden><td>3<td>4", [{"A": "1", "B": ""}]),
        (
            "<tr><th>A<th>B<tr><th colspan=2>North<tr><td>1<td>2<tr><td colspan=2>South<tr><td>3<td>4",
            [{"section": "North", "A": "1", "B": "2"}, {"section": "South", "A": "3", "B": "4"}],
        ),
        ("<tr><th colspan=2>All of them<tr><th>A<th>B<tr><td>1<td>2", [{"A": "1", "B": "2"}]),
        ("<tr><th>A<th>B<tr><td>1<td>2<tr><th>A<th>C<tr><td>3<td>4", [{"A": "1", "B": "2"}, {"A": "3", "C": "4"}]),
        ("<tr><th>A<th>B<tr><td>1<td><table><tr><td>inner</table>", [{"A": "1", "B": ""}]),
    ],
)
def test_headers_sections_and_cells(tmp_path, table, expected):
    assert rows(tmp_path, f"<table>{table}</table>") == expected


@st.composite
def tables(draw) -> str:
    """A table with a row of headers, whose cells fill a rectangle; none spans its whole width."""
    height, width, numbers = draw(st.integers(1, 5)), draw(st.integers(2, 4)), count()
    taken = [[False] * width for _ in range(height)]
    lines = ["".join(f"<th>h{column}</th>" for column in range(width))]
    for row in range(height):
        cells = []
        for column in range(width):
            if taken[row][column]:
                continue
            free = next((at for at in range(column, width) if taken[row][at]), width) - column
            across, down = draw(st.integers(1, min(free, width - 1))), draw(st.integers(1, height - row))
            for line in taken[row : row + down]:
                line[column : column + across] = [True] * across
            cells.append(f"<td rowspan={down} colspan={across}>c{next(numbers)}</td>")
        lines.append("".join(cells))
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


@given(tables())
def test_rows_are_those_that_pandas_reads(tmp_path_factory, page):
    frame = pandas.read_html(io.StringIO(page), flavor="lxml")[0]
    assert rows(tmp_path_factory.mktemp("page"), page) == frame.to_dict("records")
