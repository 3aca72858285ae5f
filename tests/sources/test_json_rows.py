import json

import pytest
from hypothesis import given

from stages.common.errors import StageError
from stages.sources import SourceFile, rows_of
from tests.data_helpers import json_values, read_file


def read(tmp_path, name: str, data: bytes | str, encoding: str = "utf-8") -> list[dict]:
    path = tmp_path / f"f.{name}"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_file(name, path, encoding)


def test_json(tmp_path):
    assert read(tmp_path, "json", '[{"a": "é"}, {"a": [1, null]}]') == [{"a": "é"}, {"a": [1, None]}]


def test_json_lines_with_empty_lines_and_windows_ends(tmp_path):
    assert read(tmp_path, "jsonl", '{"a": 1}\r\n\r\n \n{"a": 2}') == [{"a": 1}, {"a": 2}]


def test_a_line_separator_inside_a_value_ends_no_line(tmp_path):
    assert read(tmp_path, "jsonl", '{"a": "x\u2028y\x85z"}\n') == [{"a": "x\u2028y\x85z"}]


@pytest.mark.parametrize("name", ["json", "jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, name):
    text = {"json": '\ufeff[{"a": 1}]', "jsonl": '\ufeff{"a": 1}\n'}[name]
    assert read(tmp_path, name, text) == [{"a": 1}]


@pytest.mark.parametrize("name", ["json", "jsonl"])
def test_an_empty_array_or_file_has_no_rows(tmp_path, name):
    assert read(tmp_path, name, {"json": "[]", "jsonl": ""}[name]) == []


def test_broken_json_names_line_and_column(tmp_path):
    with pytest.raises(StageError, match=r"f\.json line 3 column 3[^$]*broken JSON"):
        read(tmp_path, "json", '[\n{"a": 1},\n  x\n]')


def test_broken_json_lines_name_the_line(tmp_path):
    with pytest.raises(StageError, match=r"f\.jsonl line 3\n[^$]*\{'a'"):
        read(tmp_path, "jsonl", "{\"a\": 1}\n\n{'a': 2}\n")


def test_rows_before_a_broken_line_come_first(tmp_path):
    (tmp_path / "f").write_text('{"a": 1}\n{')
    rows = rows_of(SourceFile(tmp_path / "f"), "jsonl")
    assert next(rows) == {"a": 1}
    with pytest.raises(StageError, match="line 2"):
        next(rows)


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("json", '[{"a": 1}, 2]', "row 2"),
        ("json", '{"a": 1}', "a JSON dict"),
        ("json", "null", "a JSON NoneType"),
        ("json", "", "line 1 column 1"),
        ("json", "[" * 50_000, "recursion"),
        ("json", f"[{'1' * 5000}]", "4300 digits"),
        ("jsonl", '{"a": 1}\n[1]\n', "line 2"),
        ("jsonl", "[" * 50_000, "line 1"),
        ("jsonl", "1" * 5000, "line 1"),
    ],
)
def test_other_shapes_are_refused(tmp_path, name, text, where):
    with pytest.raises(StageError, match=where) as caught:
        read(tmp_path, name, text)
    assert f"f.{name}" in caught.value.where


@given(json_values)
def test_any_value_comes_back(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("json")
    assert read(folder, "json", json.dumps([{"a": value}])) == [{"a": value}]
    assert read(folder, "jsonl", json.dumps({"a": value})) == [{"a": value}]
