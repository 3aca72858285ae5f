import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import StageError
from stages.common.schema_sources import JsonLinesRecords, JsonRecords
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


keys = st.text("ab. é", min_size=1, max_size=3).filter(str.strip)
SQUAD = {
    "version": "2",
    "data": [
        {"title": "T", "paragraphs": [{"context": "C", "qas": [{"q": 1}, {"q": 2}]}, {"context": "D", "qas": []}]},
        {"title": "U", "paragraphs": [{"context": "E", "qas": [{"q": 3, "title": "own"}]}]},
    ],
}


@pytest.mark.parametrize(
    ("document", "at", "rows"),
    [
        (
            SQUAD,
            "data[*].paragraphs[*].qas",
            [
                {"title": "T", "context": "C", "q": 1},
                {"title": "T", "context": "C", "q": 2},
                {"title": "own", "context": "E", "q": 3},
            ],
        ),
        (SQUAD, "data.1.paragraphs", [{"context": "E", "qas": [{"q": 3, "title": "own"}]}]),
        (SQUAD, "data", SQUAD["data"]),
        ([{"qa": [{"q": 1}, {"q": 2}], "k": 5}, {"qa": []}], "qa", [{"k": 5, "q": 1}, {"k": 5, "q": 2}]),
        ([{"qa": [{"q": 1}], "k": 5}], "[*].qa", [{"k": 5, "q": 1}]),
        ([{"questions": ["a?", "b?"], "x": "y"}], "questions", [{"x": "y", "value": "a?"}, {"x": "y", "value": "b?"}]),
        ({"H": {"n": 1}, "He": {"n": 2}}, "", [{"key": "H", "n": 1}, {"key": "He", "n": 2}]),
        ({"e": {"H": {"n": 1}, "He": {"n": 2}}}, "e.*", [{"key": "H", "n": 1}, {"key": "He", "n": 2}]),
        ({"a.b": {"c": [{"x": 1}]}}, '["a.b"].c', [{"x": 1}]),
        ({"e": []}, "e", []),
    ],
)
def test_rows_at_any_depth(tmp_path, document, at, rows):
    (tmp_path / "f").write_text(json.dumps(document))
    assert read_file(JsonRecords(kind="json_records", at=at), tmp_path / "f") == rows


def test_rows_inside_json_lines(tmp_path):
    (tmp_path / "f").write_text('{"qa": [{"q": 1}, {"q": 2}], "t": "x"}\n{"qa": []}\n')
    rows = read_file(JsonLinesRecords(kind="jsonl_records", at="qa"), tmp_path / "f")
    assert rows == [{"t": "x", "q": 1}, {"t": "x", "q": 2}]


@pytest.mark.parametrize("at", ["nope", "data[*].nope", "data.9", "data[*].title.x"])
def test_a_path_that_leads_nowhere_is_named_with_what_is_there(tmp_path, at):
    (tmp_path / "f").write_text(json.dumps(SQUAD))
    with pytest.raises(StageError, match=r"f[^$]*no '(nope|9|x)'; there is [^$]*reader\.at"):
        read_file(JsonRecords(kind="json_records", at=at), tmp_path / "f")


def test_what_is_no_path_is_named(tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(StageError, match=r"the path 'a\[b'"):
        list(rows_of(SourceFile(tmp_path / "f"), JsonRecords(kind="json_records", at="a[b")))


def test_nan_in_an_array_is_read_with_every_row_once(tmp_path):
    rows = [{"a": number, "b": "x" * 3000} for number in range(100)]
    (tmp_path / "f").write_text(json.dumps([*rows, {"a": float("nan")}, {"a": 7}]))
    values = read_file("json", tmp_path / "f")
    assert (len(values), values[99]["a"], values[101]["a"]) == (102, 99, 7)


@given(
    st.recursive(
        st.lists(st.fixed_dictionaries({"v": json_values}), max_size=3),
        lambda inner: st.dictionaries(keys, inner, min_size=1, max_size=1),
        max_leaves=4,
    )
)
def test_rows_at_any_path_come_back(tmp_path_factory, document):
    path, value = [], document
    while isinstance(value, dict):
        (key,) = value
        path.append(f'["{key}"]')
        value = value[key]
    file = tmp_path_factory.mktemp("json") / "f"
    file.write_text(json.dumps(document))
    assert read_file(JsonRecords(kind="json_records", at=".".join(path).replace(".[", "[")), file) == value


@pytest.mark.parametrize("name", ["json", "jsonl"])
def test_a_key_with_two_values_is_refused(tmp_path, name):
    row = '{"a": 1, "b": 2, "a": 3}'
    with pytest.raises(StageError, match=r"(?s)f\.json.*the key 'a' twice, with different values"):
        read(tmp_path, name, f'[{{"a": 0}}, {row}]' if name == "json" else f'{{"a": 0}}\n{row}\n')


@pytest.mark.parametrize("name", ["json", "jsonl"])
def test_a_key_that_comes_twice_with_one_value_is_one(tmp_path, name):
    row = '{"a": {"c": [1]}, "b": 2, "a": {"c": [1]}}'
    assert read(tmp_path, name, f"[{row}]" if name == "json" else row) == [{"a": {"c": [1]}, "b": 2}]
