import pytest

from stages.common.schema_sources import Text
from tests.data_helpers import read_file

MARKDOWN = "intro\n\n# First #\ntwo\nlines\n\n\n```\ncode\n\n# no heading\n```\n\n## Second\nlast\r\n"


def rows(tmp_path, name: str, text: str, by: str) -> list[tuple[str, str]]:
    (tmp_path / name).write_text(text, newline="")
    read = read_file(Text(kind="text", rows=by), tmp_path / name)
    assert all(row["file"] == "f" for row in read)
    return [(row["text"], row["heading"]) for row in read]


def test_paragraphs_of_markdown_with_the_headings_above_them(tmp_path):
    assert rows(tmp_path, "f.md", MARKDOWN, "paragraph") == [
        ("intro", ""),
        ("two\nlines", "First"),
        ("```\ncode\n\n# no heading\n```", "First"),
        ("last", "Second"),
    ]


def test_paragraphs_lines_and_files_of_plain_text(tmp_path):
    text = "\ufeffone\r\ntwo\r\n\r\n# three\n"
    assert rows(tmp_path, "f.txt", text, "paragraph") == [("one\ntwo", ""), ("# three", "")]
    assert rows(tmp_path, "f.txt", text, "line") == [("one", ""), ("two", ""), ("# three", "")]
    assert rows(tmp_path, "f.txt", text, "file") == [("one\ntwo\n\n# three", "")]
    assert rows(tmp_path, "f.md", text, "file") == [("one\ntwo\n\n# three", "three")]


@pytest.mark.parametrize("by", ["file", "paragraph", "line"])
def test_a_blank_file_has_no_rows(tmp_path, by):
    assert rows(tmp_path, "f.txt", " \n\n", by) == []
