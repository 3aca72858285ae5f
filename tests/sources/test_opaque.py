"""Files that are no text are not read as text, whatever encoding would take their bytes."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from stages.common.errors import StageError
from tests.data_helpers import read_file

ROW = b'{"question": "q", "answer": "a"}\n'


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.jsonl", ROW)
    return packed.getvalue()


@pytest.mark.parametrize("reader", ["lines", "jsonl", "csv"])
@pytest.mark.parametrize("encoding", ["auto", "latin-1"])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(ROW), r"packed file[^$]*members"),
        (bz2.compress(ROW), r"packed file[^$]*members"),
        (lzma.compress(ROW), r"packed file[^$]*members"),
        (zipped(), r"zip archive[^$]*members[^$]*reader to excel"),
        (b"\x28\xb5\x2f\xfd" + ROW, r"zstd[^$]*unpack it"),
        (b"PAR1" + ROW + b"PAR1", r"Parquet[^$]*reader to parquet"),
        (b"%PDF-1.7\n" + ROW, r"a PDF[^$]*save it as text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + ROW, r"old Office file"),
        (b"SQLite format 3\x00" + ROW, r"SQLite"),
        (b"\x89PNG\r\n\x1a\n" + ROW, r"an image"),
    ],
    ids=["gzip", "bzip2", "xz", "zip", "zstd", "parquet", "pdf", "office", "sqlite", "png"],  # packed bytes hold the time
)
def test_what_is_no_text_is_named_with_what_helps(tmp_path, reader, encoding, data, words):
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(StageError, match=rf"/f\n[^$]*{words}"):
        read_file(reader, tmp_path / "f", encoding)


@pytest.mark.parametrize("text", ["PK was here", "Rar!", "BZh9 is a mark", "7z", "PDF %PDF-1"])
def test_texts_that_begin_alike_are_read(tmp_path, text):
    (tmp_path / "f").write_text(f"{text}\n")
    assert read_file("lines", tmp_path / "f") == [{"name": text}]
