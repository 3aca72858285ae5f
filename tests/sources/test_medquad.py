from pathlib import Path

import pytest

from stages.common.errors import StageError
from tests.data_helpers import read_file

DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<Document id="0000012" source="GARD" url="https://example.org/12">
<Focus>Dwarfism,
   rare</Focus>
<QAPairs>
  <QAPair pid="1">
    <Question qid="0000012-1" qtype="information">What is (are) dwarfism &amp; co ?</Question>
    <Answer>One<!-- not this --> line.
      <i>Two</i> lines &#233;.</Answer>
  </QAPair>
  <QAPair pid="2"><Question qid="0000012-2" qtype="treatment">How is it treated ?</Question></QAPair>
</QAPairs>
</Document>
"""


def read(tmp_path: Path, data: bytes | str) -> list[dict]:
    (tmp_path / "f.xml").write_bytes(data.encode() if isinstance(data, str) else data)
    return read_file("medquad", tmp_path / "f.xml")


def test_every_pair_is_a_row(tmp_path):
    common = {"focus": "Dwarfism, rare", "document": "0000012"}
    assert read(tmp_path, DOCUMENT) == [
        {"question": "What is (are) dwarfism & co ?", "answer": "One line. Two lines é.", "qtype": "information", **common},
        {"question": "How is it treated ?", "answer": "", "qtype": "treatment", **common},
    ]


def test_what_is_not_there_is_empty(tmp_path):
    row = {"question": "", "answer": "", "qtype": "", "focus": "", "document": "f"}
    assert read(tmp_path, "<Document><QAPair/></Document>") == [row]
    assert read(tmp_path, "<Document/>") == []


def test_the_declared_encoding_counts(tmp_path):
    text = DOCUMENT.replace("UTF-8", "ISO-8859-1").replace("Dwarfism,", "Nanisme é")
    assert read(tmp_path, text.encode("latin-1"))[0]["focus"] == "Nanisme é rare"


def test_bytes_in_another_encoding_are_refused(tmp_path):
    with pytest.raises(StageError, match=r"f\.xml"):
        read(tmp_path, DOCUMENT.replace("Dwarfism", "Nanisme é").encode("latin-1"))


@pytest.mark.parametrize(
    "text", ["", "not XML", "<Document>", "<a/><b/>", "<a>&undefined;</a>", '<?xml version="1.0" encoding="x"?><a/>']
)
def test_broken_xml_is_named_with_its_line(tmp_path, text):
    with pytest.raises(StageError, match=r"f\.xml line 1\n[^$]*broken XML"):
        read(tmp_path, text)


def test_the_line_of_broken_xml_is_that_of_the_file(tmp_path):
    with pytest.raises(StageError, match=r"f\.xml line 4\n"):
        read(tmp_path, "<Document>\n<Focus>a</Focus>\n\n<QAPair></Document>")


@pytest.mark.parametrize("place", ["<Document>&b9;</Document>", '<Document id="&b9;"/>'])
def test_an_entity_bomb_is_refused(tmp_path, place):
    entities = '<!ENTITY b0 "boom">' + "".join(f'<!ENTITY b{i} "{f"&b{i - 1};" * 10}">' for i in range(1, 10))
    with pytest.raises(StageError, match=r"f\.xml"):
        read(tmp_path, f"<!DOCTYPE Document [{entities}]>{place}")


@pytest.mark.parametrize(
    "definition",
    [
        '[<!ENTITY secret SYSTEM "{url}">]',  # an external entity
        '[<!ENTITY % outer SYSTEM "{url}"> %outer;]',  # an external parameter entity
        'SYSTEM "{url}"',  # a definition elsewhere
        '[<!ENTITY secret "harmless">]',  # any definition
    ],
)
def test_a_document_type_definition_is_refused_and_not_followed(tmp_path, definition):
    secret = tmp_path / "secret.dtd"
    secret.write_text("<!ENTITY secret 'the secret'>")
    body = "<Document><Focus>&secret;</Focus><QAPair/></Document>" if "ENTITY secret" in definition else "<Document/>"
    with pytest.raises(StageError, match=r"f\.xml") as caught:
        read(tmp_path, f"<!DOCTYPE Document {definition.format(url=secret.as_uri())}>{body}")
    assert "the secret" not in str(caught.value)


def test_names_of_files_are_no_addresses(tmp_path):
    path = tmp_path / "a%20b#c?.xml"
    path.write_text(DOCUMENT)
    assert len(read_file("medquad", path)) == 2
