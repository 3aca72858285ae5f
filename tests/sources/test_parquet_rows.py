import datetime
import decimal

import pyarrow as pa
import pytest
from pyarrow import parquet

from stages.common.errors import StageError
from tests.data_helpers import read_file


def read_parquet(path) -> list[dict]:
    return read_file("parquet", path, "")


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


def test_parquet_columns_of_one_name_are_refused(tmp_path):
    columns = [pa.array(["q"]), pa.array(["one"]), pa.array(["other"])]
    parquet.write_table(pa.Table.from_arrays(columns, names=["q", "a", "a"]), tmp_path / "f.parquet")
    with pytest.raises(StageError, match=r"f\.parquet\n[^$]*columns named twice: a\n"):
        read_parquet(tmp_path / "f.parquet")
