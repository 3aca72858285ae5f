import io
import re
from pathlib import Path

import pandas
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import html

from stages.common.errors import StageError
from stages.common.schema_sources import HtmlList, HtmlTable, HtmlXpath
from stages.sources.grid import Grid
from stages.sources.web_page import clean, text_of
from tests.data_helpers import read_file

PAGE = """<!DOCTYPE html><html><head><title>Parts</title><script>var a = "<li>script</li>"</script><style>li {}</style></head>
<body class="sidebar">
<header><ul><li>Home</li></ul></header><nav><ul><li>Shop</li></ul></nav><div role="navigation"><ul><li>Top</li></ul></div>
<div id="toc" class="toc"><ul><li>1 Brakes</li></ul></div>
<h1>Parts</h1>
<ul class="breadcrumb"><li>You are here</li></ul>
<main><article><header><h2>Brakes<span class="mw-editsection">[edit]</span></h2></header>
<ul>
 <li><a href="/pad">Brake&nbsp;pad</a><sup class="reference"><a href="#cite_note-1">[1]</a></sup>
 <li>Brake <b>disc</b> (rotor)
  <ul><li>Vented disc</li><li hidden>hidden</li><li style="color: red; DISPLAY : none">also hidden</li></ul> and hub
 <li>D&eacute;railleur &amp; cha&#238;ne[2][citation needed]</li>
 <li><script>document.write("x")</script><!-- comment --></li>
 <li>A/C compressor*</li><li>•</li><li>Nut<br>and bolt:</li>
 <li>H<sub>2</sub>SO<sub>4</sub></li><li>Engine, 900 cm<sup>3</sup></li><li>Shock absorber<sup>3</sup></li>
 <li><details><summary>Wheel</summary></details><noscript>no script</noscript><template>template</template></li>
</ul>
<div class="mw-heading"><h2 id="see">See  also</h2></div><ul><li>Other list</li></ul><h3>More</h3><ul><li>More of it</li></ul>
<h2>Lights</h2><ol><li><p>Head<wbr>light</p></li><li aria-hidden="true">icon</li></ol>
<h2>References</h2><ol class="references"><li>Smith (2001)</li></ol><p>end</p></article></main>
<aside><ul><li>Advertisement</li></ul></aside><footer><ul><li>Imprint</li></ul></footer></body></html>"""


def read(tmp_path, choice, text: str | bytes, encoding: str = "utf-8") -> list[dict]:
    path = tmp_path / "page.html"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_file(choice, path, encoding)


def items(within: str = "//body", without=("See also",), notes: str = "keep") -> HtmlList:
    return HtmlList(kind="html_list", within=within, without=list(without), notes=notes)


def table(column: str | int, within: str = "//body", notes: str = "keep") -> HtmlTable:
    return HtmlTable(kind="html_table", within=within, without=[], notes=notes, column=column)


def xpath(path: str, notes: str = "keep") -> HtmlXpath:
    return HtmlXpath(kind="html_xpath", xpath=path, without=[], notes=notes)


def names_in(tmp_path, choice, text: str, **options) -> list[str]:
    return [row["name"] for row in read(tmp_path, choice, text, **options)]


def column_of(tmp_path, column: str | int, rows: str) -> list[str]:
    return names_in(tmp_path, table(column), f"<table>{rows}</table>")


@pytest.mark.parametrize("control", ["\x01", "\x0b", "\x0c", "\x1f", "\ufffe", "&#11;"])
def test_control_characters_part_words_and_stop_nothing(tmp_path, control):
    page = f"<nav>menu</nav>{control}<ul><li>Brake{control}pad<sup>*</sup>{control}</li></ul>"
    assert [" ".join(name.split()) for name in names_in(tmp_path, items(), page)] in (["Brake pad"], ["Brakepad"])


# lists ---------------------------------------------------------------------------------------------------------------


def test_names_of_lists_and_nothing_else(tmp_path):
    assert names_in(tmp_path, items(), PAGE) == [
        *("Brake pad", "Brake disc (rotor) and hub", "Vented disc", "Dérailleur & chaîne", "A/C compressor", "Nut and bolt"),
        *("H2SO4", "Engine, 900 cm³", "Shock absorber", "Wheel", "Headlight"),
    ]


def test_notes_in_parentheses_can_be_kept_apart(tmp_path):
    page = "<li>Windshield (also: windscreen)</li><li>Fan (a) shroud (b (c))</li><li>(only a note)</li><li>open ( bracket</li>"
    assert read(tmp_path, items(notes="apart"), page) == [
        {"name": "Windshield", "note": "also: windscreen"},
        {"name": "Fan shroud", "note": "a; c; b"},
        {"name": "(only a note)", "note": ""},
        {"name": "open ( bracket", "note": ""},
    ]
    assert read(tmp_path, items(), "<li>Windshield (windscreen)</li>") == [{"name": "Windshield (windscreen)", "note": ""}]


def test_only_within_and_each_item_once(tmp_path):
    page = "<ul><li>out</li></ul><div class=a><div class=a><ul><li>in</li></ul></div></div>"
    assert names_in(tmp_path, items("//div[@class='a']"), page) == ["in"]
    with pytest.raises(StageError, match=r"page\.html: XPath[^$]*no element[^$]*reader\.within"):
        names_in(tmp_path, items("//section"), page)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("<h2>A</h2><li>a</li><h2>See also</h2><li>x</li><h3>B</h3><li>x</li><h2>C</h2><li>c</li>", ["a", "c"]),
        ("<section><h3>See also</h3><ul><li>x</li></ul></section><ul><li>a</li></ul>", ["a"]),
        ("<div><div><h2>SEE ALSO</h2></div><ul><li>x</li></ul></div><h1>B</h1><li>a</li>", ["a"]),
        ("<h2>See also<sup>[1]</sup></h2><div><li>x</li><h2>B</h2><li>a</li></div>", ["a"]),
        ("<h2>See also parts</h2><li>a</li>", ["a"]),
        ("<li>a</li><h6>See also</h6>", ["a"]),
        ("<h2>See also</h2><li>x</li><h2>See also</h2><li>x</li><h2>B</h2><li>a</li>", ["a"]),
    ],
)
def test_sections_left_out_end_where_the_next_begins(tmp_path, page, names):
    assert names_in(tmp_path, items(), page) == names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Rotor[12][b] [note 3]", "Rotor"),
        ("Rotor [size L]", "Rotor [size L]"),
        ("– Rotor†", "Rotor"),
        ("-40 °C thermostat", "-40 °C thermostat"),
        ("* ", ""),
        ("Anti-lock", "Anti-lock"),
    ],
)
def test_marks_at_the_ends(text, name):
    assert clean(text) == name


@pytest.mark.parametrize("depth", [10, 300, 1900])
def test_deep_pages_are_read_to_the_bottom(tmp_path, depth):
    assert names_in(tmp_path, items(), "<div>" * depth + "<ul><li>deep</li></ul>" + "</div>" * depth + "<li>after</li>") == [
        "deep",
        "after",
    ]


def test_pages_too_deep_to_be_read_are_refused_and_not_cut(tmp_path):
    with pytest.raises(StageError, match="tags in more than 2,000 tags"):
        names_in(tmp_path, items(), "<div>" * 5000 + "<li>deep</li>")


def test_long_texts_are_not_cut(tmp_path):
    assert names_in(tmp_path, items(), f"<li>{'x' * 11_000_000}</li><li>after</li>")[1] == "after"


@pytest.mark.parametrize("page", ["", "   ", "<!-- only -->", "\0"])
def test_what_is_no_page_is_named(tmp_path, page):
    with pytest.raises(StageError, match=r"page\.html"):
        read(tmp_path, items(), page)


# tables --------------------------------------------------------------------------------------------------------------


def test_a_column_by_its_header_or_number(tmp_path):
    rows = "<tr><th>No</th><th>Part  Name</th></tr><tr><td>1</td><td>Pad</td></tr><tr><td>2</td><td>Disc[1]</td></tr>"
    assert column_of(tmp_path, "part name", rows) == column_of(tmp_path, 2, rows) == ["Pad", "Disc"]
    assert column_of(tmp_path, 1, rows) == ["1", "2"]


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (  # a cell over two rows shifts the second
            "<tr><th>A<th>P<tr><td rowspan=2>x<td>one<tr><td>two",
            ["one", "two"],
        ),
        ("<tr><th>A<th>P<tr><td>x<td rowspan=2>one<tr><td>y<tr><td>z<td>two", ["one", "two"]),  # and counts once
        ("<tr><th>A<th>B<th>P<tr><td colspan=2>x<td>one<tr><td>x<td>y<td>two", ["one", "two"]),
        ("<tr><th colspan=2>A<th>P<tr><td>x<td>y<td>one", ["one"]),
        ("<tr><th rowspan=2>A<th colspan=2>P<tr><th>Q<th>R<tr><td>x<td>one<td>two", ["one", "two"]),  # a header over both
        ("<tr><th>A<th>P<tr><td rowspan=0>x<td>one<tr><td>two<tr><td>three", ["one", "two", "three"]),
        ("<tr><th>A<th>P<tr><td colspan=2>Brakes<tr><td>x<td>one<tr><th colspan=2>Lights<tr><td>y<td>two", ["one", "two"]),
        ("<tr><th>A<th>P<tr><td>x<td>one<tr><th>A<th>P<tr><td>x<td>two", ["one", "two"]),  # a header repeated
        ("<thead><tr><td>A<td>P</thead><tbody><tr><td>x<td>one</tbody><tfoot><tr><td>y<td>two</tfoot>", ["one", "two"]),
        ("<tr><th>P<th>A<tr><th scope=row>one<td>x", ["one"]),
        ("<tr><th>A<th>P<tr><td>x<td>own<ul><li>one</li><li>two</li></ul>", ["own", "one", "two"]),
        ("<tr><th>A<th>P<tr><td>x<tr><td>y<td>one", ["one"]),  # a short row
        ("<tr><th>A<th>P<tr><td>x<td><table><tr><td>inner</table>one", ["one"]),
        ("<tr><th>A<th>P<tr><td colspan=9999999999 rowspan=-1>x<tr><td colspan=a>y<td>one", ["one"]),
        ("<tr><th>P<th>N<tr><td>one<td>x<tr><td>two<tr><td colspan=2>Brakes<tr><td>three<td>", ["one", "two", "three"]),
        ("<tr><td colspan=2>Parts of 2017<tr><th>N<th>P<tr><td>1<td>one", ["one"]),  # a title above the header
        ("<tr><th colspan=2>Parts<tr><th>N<th>P<tr><td>1<td>one<tr><td>2<td>two", ["one", "two"]),
        ("<tr><td>N<td><b>P</b><tr><td>1<td>one<tr><td>2<td>two", ["one", "two"]),  # a header in plain cells
        ("<tr><th>P<th>N<tr><td>one<td>1<tr><th>N<th>P<tr><td>2<td>two", ["one", "two"]),  # another order from here
        (
            "<tr><th>P<th>N<tr><th>one<td>1<tr><th>two<tr><th>three<td>3",
            ["one", "two", "three"],
        ),  # rows have headers, one alone
        ("<tr><th scope=col>P<th>N<tr><th scope=row>one", ["one"]),
        ("<tr><th>N<th>P<tr><th>1<th>one<tr><th>2<th>two", ["one", "two"]),  # nothing but headers
        ("<thead><tr><th rowspan=3>P<th>N</thead><tbody><tr><td>one<td>1<tr><td>two<td>2</tbody>", ["one", "two"]),
        (
            "<tbody><tr><th>N<th>P<tr><td rowspan=0>1<td>one<tr><td>two</tbody><tbody><tr><td>3<td>three</tbody>",
            ["one", "two", "three"],
        ),
        ("<tr><th>N<th>P<tr style='display:none'><td>0<td>hidden<tr><td>1<td hidden>hidden<tr><td>2<td>two", ["two"]),
        ("<tr><th>N<th>P<tr><td class=reference>1<td class=social>one <span class=noprint>[edit]</span>", ["one"]),
        ("<tr class=metadata><th>N<th>P<tr class=navbox><td aria-hidden=true>1<td>one", ["one"]),
        ("<caption>P</caption><tr><th>P<tr><td>one<tr><td>two", ["one", "two"]),
        ("<tbody><tr><td>x<td>one</tbody><thead><tr><th>A<th>P</thead>", ["one"]),  # a head that stands last is shown first
        ("<tfoot><tr><td>x<td>two</tfoot><tbody><tr><th>A<th>P<tr><td>y<td>one</tbody>", ["one", "two"]),
        ("<tr><th>P<th>N<tr><th>one<tr><th>two<td>2", ["one", "two"]),  # rows have headers, the first one alone
        ("<tr><th>P<th>N<tr><th>Brakes<tr><td>one<td>1", ["one"]),  # a heading in one cell
        ("<tr><th>Parts<tr><th>N<th>P<tr><th>1<td>one<tr><th>2<td>two", ["one", "two"]),
        ("<tr><th>P<tr style='visibility: collapse'><td>hidden<tr><td>one", ["one"]),
        ("<tr><th>P<tr><td>10<sup>3</sup> bolts<tr><td>a<sup>−2</sup><tr><td>log<sub>2</sub>8", ["10³ bolts", "a⁻²", "log₂8"]),
        ("<tr><th>P<tr><td>brake<sup>2</sup><tr><td>1<sup>st</sup> gear<tr><td>m<sup>2</sup>", ["brake", "1st gear", "m²"]),
    ],
)
def test_spans_and_headers(tmp_path, rows, names):
    assert column_of(tmp_path, "P", rows) == names


def test_every_table_that_has_the_column(tmp_path):
    page = "".join(f"<table><tr><th>{head}<tr><td>{cell}</table>" for head, cell in (("P", "one"), ("Q", "x"), ("P", "two")))
    assert names_in(tmp_path, table("P"), page) == ["one", "two"]


def test_a_column_that_no_table_has_names_those_there_are(tmp_path):
    with pytest.raises(StageError, match=r"page\.html\n[^$]*1 tables with the headers 'A', 'B'[^$]*column 'P'"):
        column_of(tmp_path, "P", "<tr><th>A<th>B<tr><td>1<td>2")
    with pytest.raises(StageError, match="0 tables with the headers none"):
        names_in(tmp_path, table(1), "<p>text")


def test_a_table_of_too_many_cells_is_refused(tmp_path):
    with pytest.raises(StageError, match="more than 1000000 cells"):
        column_of(tmp_path, 1, "<tr>" + "<td colspan=1000 rowspan=2000>" * 2 + "<tr>" * 2000)


@st.composite
def tables(draw) -> tuple[str, list[list[str]]]:
    """A table's HTML whose cells fill a rectangle, and the text in each of its places."""
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    grid: list[list[str]] = [[""] * width for _ in range(height)]
    pieces = []
    for row in range(height):
        pieces.append("<tr>")
        for column in range(width):
            if grid[row][column]:
                continue
            free = next((at for at in range(column, width) if grid[row][at]), width) - column
            across, down = draw(st.integers(1, free)), draw(st.integers(1, height - row))
            text = f"c{row}x{column}"
            for line in grid[row : row + down]:
                line[column : column + across] = [text] * across
            said = draw(st.sampled_from(["", " class=reference", " hidden", " class='noprint social' style='display: none'"]))
            pieces.append(f"<td rowspan={down} colspan={across}{said}>{text}</td>")
        pieces.append("</tr>")
    return f"<table>{''.join(pieces)}</table>", grid


@given(tables())
def test_a_grid_has_each_cell_in_every_place_that_it_spans_as_pandas_has(table_and_grid):
    page, expected = table_and_grid
    grid = Grid(html.fromstring(page), "page")
    assert [[text_of(row[at]) for at in range(grid.width)] for row in grid.rows] == expected
    assert pandas.read_html(io.StringIO(page), flavor="lxml", displayed_only=False)[0].values.tolist() == expected


# XPath ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("//dt", ["Pad", "Disc (rotor)"]),
        ("//dt/text()", ["Pad", "Disc (rotor)"]),
        ("//img/@alt", ["Hub"]),
        ("string(//dt[2])", ["Disc (rotor)"]),
        ("//dt[re:test(., '^p', 'i')]", ["Pad"]),
        ("//h6", []),
        ("//nav//a", []),
    ],
)
def test_any_xpath(tmp_path, path, names):
    page = "<nav><a>Home</a></nav><dl><dt>Pad<dd>x<dt>Disc (rotor)<dd>y</dl><img alt='Hub'>"
    assert names_in(tmp_path, xpath(path), page) == names


@pytest.mark.parametrize("path", ["//[", "", "count(//a)", "1 = 1", "no:thing", "f()", "//a[$b]", "//a\0"])
def test_what_is_no_xpath_is_named_with_its_parameter(tmp_path, path):
    with pytest.raises(StageError, match=r"(?s)page\.html.*reader\.xpath"):
        read(tmp_path, xpath(path), "<a>b</a>")


# all of them ---------------------------------------------------------------------------------------------------------


def test_lines(tmp_path):
    assert names_in(tmp_path, "lines", "\ufeffBrake pad\r\n\r\n  A/C (kit) \n\nDisc") == ["Brake pad", "A/C (kit)", "Disc"]


def test_bytes_in_another_encoding_are_named(tmp_path):
    for choice in (items(), "lines"):
        with pytest.raises(StageError, match=r"page\.html line 2\n[^$]*byte 0xe9"):
            read(tmp_path, choice, b"<li>a</li>\n<li>\xe9</li>")


TAGS = "html body ul ol li table tr td th thead div section h2 h3 sup a nav p br script !-- ! ?xml svg plaintext"
tags = st.sampled_from(TAGS.split())
attributes = st.sampled_from(["", " rowspan=3", " colspan=0", " class='toc'", " hidden", " style='display:none'", " href='#x'"])
pieces = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["See also", "P", "[1]", "&amp;", "&#0;", "&#xD800;", "&#x110000;", "&bogus;", "(", ")", "]]>", "\0", "<"]),
    st.builds("<{}{}>".format, tags, attributes),
    st.builds("</{}>".format, tags),
)


@pytest.mark.parametrize("choice", [items(), items(notes="apart"), table("P"), table(2), xpath("//*"), "lines"])
@given(
    page=st.lists(pieces, max_size=25).map("".join).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.binary(max_size=80)
)
@example(page=b"<table><tr><th>P<tr><td rowspan=0 colspan=0>a<table><tr><td>b")
@example(page=b"<html><frameset><frame></frameset></html>")
def test_any_page_gives_names_or_an_error_that_names_the_file(tmp_path_factory, choice, page):
    path = tmp_path_factory.mktemp("any") / "page.html"
    path.write_bytes(page)
    try:
        rows = read_file(choice, path, "utf-8")
    except StageError as error:
        assert str(path) in error.where
    else:
        assert all(row["name"].strip() == row["name"] != "" for row in rows)


# a real page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def wikipedia(real_data) -> Path:
    path = real_data / "car_parts" / "wikipedia_List_of_auto_parts_2017.html"
    if not path.exists():
        pytest.skip(f"no {path}")
    return path


def plain_text(piece: str) -> str:
    return clean(" ".join(re.sub("<[^>]+>", "", piece).replace("&amp;", "&").split()))


def test_every_part_of_a_real_page_and_nothing_else(wikipedia):
    """Against a count that shares no code with the reader: what follows each `<li>` of the article between two headings."""
    article = wikipedia.read_text(encoding="utf-8").partition('id="Body_and_main_part"')[2].partition('id="See_also"')[0]
    expected = [plain_text(re.split(r"<ul|</li|<li", piece)[0]) for piece in article.split("<li>")[1:]]
    names = [row["name"] for row in read_file(items(without=["See also", "References"]), wikipedia)]
    assert len(names) == 545
    assert names == expected


def test_a_real_list(real_data):
    path = real_data / "car_parts" / "car_parts_272.txt"
    if not path.exists():
        pytest.skip(f"no {path}")
    names = [row["name"] for row in read_file("lines", path)]
    assert len(names) == len([line for line in path.read_bytes().split(b"\n") if line.strip()])
    assert all(name == name.strip() for name in names)
