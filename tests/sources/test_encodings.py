"""Encodings, and what no reader may do whatever the bytes: end in anything but rows or a StageError that names the file."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.common.errors import StageError
from tests.data_helpers import read_file

READERS = ("json", "jsonl", "csv", "parquet", "medquad", "lines")
pieces = [
    *(
        b'{"a": 1}',
        b'"',
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b"\n",
        b"\r",
        b"a,b\n1,2\n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x00",
        b"\xe9",
    ),
    *(b"<a>", b"</a>", b"<QAPair>", b"<!DOCTYPE a [", b"]>", b"&e;", b'<?xml version="1.0" encoding="utf-16"?>', b"<!--"),
    *(b"PAR1", b"1" * 5000, b"\\ud800", b"NaN", b"1e999"),
]
bytes_like_a_source = st.binary(max_size=60) | st.lists(st.sampled_from(pieces), max_size=8).map(b"".join)


@pytest.mark.parametrize("name", READERS)
@given(data=bytes_like_a_source, encoding=st.sampled_from(["utf-8", "latin-1", "utf-16", "ascii", "cp1252"]))
@example(data=b"<?xml version='1.0'?><Document><Focus>\xe9</Focus></Document>", encoding="utf-8")
@example(data=b'[{"a": ' + b"1" * 5000 + b"}]", encoding="utf-8")
@example(data=b'{"a": 1}', encoding="utf-16")
def test_any_bytes_give_rows_or_an_error_that_names_the_file(tmp_path_factory, name, data, encoding):
    path = tmp_path_factory.mktemp("any") / "source.file"
    path.write_bytes(data)
    try:
        rows = read_file(name, path, encoding)
    except StageError as error:
        assert str(path) in error.where
    else:
        assert all(isinstance(row, dict) for row in rows)


@pytest.mark.parametrize(
    ("name", "row"), [("json", b'[{"a":\n"%s"}]'), ("jsonl", b'{"a": 1}\n{"a": "%s"}\n'), ("csv", b"a\n%s\n")]
)
def test_latin_1_is_refused_by_line_and_byte_and_read_when_declared(tmp_path, name, row):
    path = tmp_path / "source.file"
    path.write_bytes(row % "né".encode("latin-1"))
    with pytest.raises(StageError) as caught:
        read_file(name, path, "utf-8")
    assert caught.value.where == f"{path} line 2"
    column = (row % b"n\xe9").splitlines()[1].index(b"\xe9") + 1
    assert caught.value.found == f"byte 0xe9 at column {column}"
    assert "<source>.encoding (latin-1" in caught.value.fix
    assert read_file(name, path, "latin-1")[-1] == {"a": "né"}


def test_a_byte_far_into_a_file_is_found(tmp_path):
    path = tmp_path / "source.file"
    path.write_bytes(b'{"a": "plain"}\n' * 20_000 + b'{"a": "\xe9"}\n')  # many read buffers away
    with pytest.raises(StageError, match="line 20001\n[^$]*byte 0xe9 at column 8"):
        read_file("jsonl", path, "utf-8")


@pytest.mark.parametrize("encoding", ["nonsense", "hex", "", "a\0b"])
@pytest.mark.parametrize("name", ["json", "jsonl", "csv"])
def test_an_encoding_that_is_none_is_refused(tmp_path, name, encoding):
    path = tmp_path / "source.file"
    path.write_bytes(b"[]")
    with pytest.raises(StageError, match="set datasets.<name>.scrape.sources.<source>.encoding") as caught:
        read_file(name, path, encoding)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("spelling", ["utf-8", "UTF-8", "utf8", "utf_8"])
def test_a_byte_order_mark_is_removed_however_utf8_is_spelled(tmp_path, spelling):
    path = tmp_path / "source.file"
    path.write_bytes(b"\xef\xbb\xbfa\n1\n")
    assert read_file("csv", path, spelling) == [{"a": "1"}]


@pytest.mark.parametrize(
    "broken",
    ["a\n" + "café\n" * 3 + "{cp1252}\n", "a\rcafé\rcafé\r{cp1252}\r", "a\ncafé\n" + "{cut}"],
    ids=["a line of another encoding", "between old line ends", "cut within a letter"],
)
def test_utf8_with_a_broken_line_is_not_read_in_another_encoding(tmp_path, broken):
    data = broken.encode().replace(b"{cp1252}", "déjà".encode("cp1252")).replace(b"{cut}", "né".encode()[:-1])
    (tmp_path / "source.file").write_bytes(data)
    with pytest.raises(StageError, match=r"source\.file line \d\n[^$]*bytes that are not UTF-8, in 1 of \d lines"):
        read_file("csv", tmp_path / "source.file", "auto")


@given(st.lists(st.text("àâçéèêëîïôùûüÿœ'abcdef ", min_size=1), min_size=1))
def test_western_texts_in_their_own_encoding_are_never_taken_for_broken_utf8(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("any") / "source.file"
    path.write_bytes(("text\n" + "".join(f"x{line}\n" for line in lines)).encode("cp1252"))
    assert [row["text"] for row in read_file("csv", path, "auto")] == [f"x{line}" for line in lines]
