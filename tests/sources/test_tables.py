import datetime
import decimal

import pyarrow as pa
import pytest
from pyarrow import parquet

from stages.common.errors import StageError
from tests.data_helpers import read_file


def read_csv(tmp_path, data: bytes | str, encoding: str = "utf-8") -> list[dict]:
    (tmp_path / "f.csv").write_bytes(data.encode() if isinstance(data, str) else data)
    return read_file("csv", tmp_path / "f.csv", encoding)


def read_parquet(path) -> list[dict]:
    return read_file("parquet", path, "")


def test_csv_quotes_commas_and_line_ends_inside_fields(tmp_path):
    found = read_csv(tmp_path, 'a,b\r\n"x, ""y""","1\r\n2"\r\n\r\n ,"\n"\r\n')
    assert found == [{"a": 'x, "y"', "b": "1\r\n2"}, {"a": " ", "b": "\n"}]


def test_csv_a_bare_carriage_return_inside_quotes_stays(tmp_path):
    assert read_csv(tmp_path, 'a,b\n"x\ry",2\n3,4\n') == [{"a": "x\ry", "b": "2"}, {"a": "3", "b": "4"}]


def test_csv_without_a_last_line_end_or_with_old_ones(tmp_path):
    assert read_csv(tmp_path, "a,b\n1,2") == read_csv(tmp_path, "a,b\r1,2\r") == [{"a": "1", "b": "2"}]


def test_csv_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    assert read_csv(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n") == [{"a": "1", "b": "2"}]


def test_csv_in_another_encoding(tmp_path):
    assert read_csv(tmp_path, "a\né\n".encode("latin-1"), "latin-1") == [{"a": "é"}]
    assert read_csv(tmp_path, "a\né\n".encode("utf-16"), "utf-16") == [{"a": "é"}]


def test_csv_a_long_field_is_read(tmp_path):
    assert read_csv(tmp_path, f"a\n{'x' * 200_000}\n") == [{"a": "x" * 200_000}]  # the module's own limit is 131,072


def test_csv_columns_without_a_name_may_be_several(tmp_path):
    assert read_csv(tmp_path, ",a,\n0,1,\n") == [{"": "", "a": "1"}]


def test_csv_a_header_alone_or_nothing_has_no_rows(tmp_path):
    assert read_csv(tmp_path, "a,b\n") == read_csv(tmp_path, "") == []


@pytest.mark.parametrize(
    ("text", "where", "found"),
    [
        ("a,b\n1,2\n1,2,3\n", "f.csv line 3", "3 fields: ['1', '2', '3']"),
        ("a,b\n1,2\n1\n", "f.csv line 3", "1 fields"),
        ('a,b\n"1\n2",3\n4,5,6\n', "f.csv line 4", "3 fields"),
        ('a,b\n1,"2\n', "f.csv line 2", "unexpected end of data"),
        ('a,b\n1,"2"3\n', "f.csv line 2", "expected"),
        ("a,b,a\n1,2,3\n", "f.csv line 1", "columns named twice: a"),
    ],
)
def test_csv_a_broken_record_is_named_with_its_line(tmp_path, text, where, found):
    with pytest.raises(StageError) as caught:
        read_csv(tmp_path, text)
    assert caught.value.where.endswith(where)
    assert found in caught.value.found


def test_csv_too_many_fields_name_the_header(tmp_path):
    with pytest.raises(StageError, match="expected: 2 fields: a, b"):
        read_csv(tmp_path, "a,b\n1,2,3\n")


def test_parquet(tmp_path):
    rows = [{"a": "é", "b": 1, "c": [1.5, None]}, {"a": None, "b": 2, "c": []}] * 1500
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "f.parquet", row_group_size=700)
    assert read_parquet(tmp_path / "f.parquet") == rows


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(20) + b"PAR1", b"a,b\n1,2\n" * 10])
def test_parquet_other_bytes_are_refused(tmp_path, data):
    (tmp_path / "f.parquet").write_bytes(data)
    with pytest.raises(StageError, match=r"f\.parquet"):
        read_parquet(tmp_path / "f.parquet")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**61], pa.timestamp("us")),  # no date that Python knows
        pa.Array.from_buffers(pa.utf8(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")]),
    ],
)
def test_parquet_values_that_cannot_be_read_are_refused(tmp_path, column):
    parquet.write_table(pa.table({"a": column}), tmp_path / "f.parquet")
    with pytest.raises(StageError, match=r"f\.parquet"):
        read_parquet(tmp_path / "f.parquet")


def test_parquet_values_stay_as_they_are(tmp_path):
    row = {"day": datetime.date(2020, 1, 2), "price": decimal.Decimal("1.50"), "raw": b"\xff"}
    parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "f.parquet")
    assert read_parquet(tmp_path / "f.parquet") == [row]
