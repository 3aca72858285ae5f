import pytest

from stages.common.errors import StageError
from stages.common.schema_sources import Xml
from stages.sources import SourceFile, rows_of
from tests.data_helpers import read_file

PARTS = """<?xml version="1.0"?><Catalogue xmlns="urn:x" xmlns:b="urn:b" Year="2017"><Group Name="Brakes">
<Part No="1"><Name>Brake  <i>pad</i></Name><Alias>pad</Alias><Alias>lining</Alias><Price b:Currency="EUR">9</Price></Part>
<Part No="2"><Name>Disc<!-- no text --></Name></Part></Group></Catalogue>"""


def rows(tmp_path, xpath: str, text: str = PARTS, **fields: str) -> list[dict]:
    (tmp_path / "f.xml").write_text(text)
    return read_file(Xml(kind="xml", rows=xpath, fields=fields), tmp_path / "f.xml")


def test_fields_by_xpath(tmp_path):
    assert rows(tmp_path, "//Part", name="Name", alias="Alias", group="../@Name", year="/Catalogue/@Year") == [
        {"name": "Brake pad", "alias": "pad\nlining", "group": "Brakes", "year": "2017"},
        {"name": "Disc", "alias": "", "group": "Brakes", "year": "2017"},
    ]


def test_without_fields_attributes_and_children_are_columns(tmp_path):
    first, second = rows(tmp_path, "//Part")
    assert first == {"@No": "1", "Name": "Brake pad", "Alias": "pad\nlining", "Price": "9", "Price/@Currency": "EUR"}
    assert second == {"@No": "2", "Name": "Disc"}
    assert [row["text"] for row in rows(tmp_path, "//Alias")] == ["pad", "lining"]


def test_nothing_of_several_children_is_lost(tmp_path):
    text = '<a><r id="1" xml:id="x">See <b k="1">one</b> and <b k="2">two</b>.</r></a>'
    (row,) = rows(tmp_path, "//r", text)
    long_name = "@{http://www.w3.org/XML/1998/namespace}id"
    assert row == {"@id": "1", long_name: "x", "text": "See one and two.", "b": "one\ntwo", "b/@k": "1\n2"}


def test_names_are_those_of_the_file_in_their_case(tmp_path):
    assert rows(tmp_path, "//part") == []


def test_bytes_of_another_encoding_name_the_file_and_no_folder_of_ours(tmp_path):
    (tmp_path / "member").write_bytes(b'<?xml version="1.0" encoding="utf-8"?><a><b>\xff</b></a>')
    with pytest.raises(StageError, match=r"^a\.zip: b\.xml\n[^$]*Invalid bytes") as caught:
        list(rows_of(SourceFile(tmp_path / "member", "a.zip/b.xml", "a.zip: b.xml"), Xml(kind="xml", rows="//b", fields={})))
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "xpath", "words"),
    [
        (PARTS, "//[", "XPath '//\\['"),
        ("<a><b></a>", "//b", "line 1\n  found:    broken XML"),
        ('<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "//a", "a document type definition"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, xpath, words):
    with pytest.raises(StageError, match=rf"f\.xml[^$]*{words}|f\.xml {words}"):
        rows(tmp_path, xpath, text)
