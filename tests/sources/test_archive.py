import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import scrape
from stages.common.errors import StageError
from stages.common.files import read_json
from stages.sources import SourceFile
from stages.sources.archive import matches, opened
from tests.data_helpers import jsonl, names, scrape_params

FILES = {"b.csv": b"question,answer\n1,2\n", "deep/a.csv": b"question,answer\n3,4\n", "readme.txt": b"not this"}


def zipped(path: Path, files: dict[str, bytes], **info) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            for key, value in info.items():
                setattr(member, key, value)
            archive.writestr(member, data)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w", **info) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in info.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))
    return path


MAKERS = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda path, files, **info: tarred(path, files, "w:gz", **info),
    "tar.bz2": lambda path, files, **info: tarred(path, files, "w:bz2", **info),
    "tar.xz": lambda path, files, **info: tarred(path, files, "w:xz", **info),
}


def contents(path: Path, members: str = "**/*", max_bytes: int = 1_000_000) -> dict[str, bytes]:
    return {file.name: file.path.read_bytes() for file in opened(SourceFile(path), members, max_bytes, Counter())}


def refused(path: Path, *arguments) -> str:
    with pytest.raises(StageError) as caught:
        contents(path, *arguments)
    assert str(path) in caught.value.where
    return str(caught.value)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", ["set", "set.dat"])
def test_every_kind_is_a_folder_of_files_whatever_its_name(tmp_path, kind, name):
    path = MAKERS[kind](tmp_path / name, FILES)
    assert contents(path) == {f"{name}/{file}": data for file, data in FILES.items()}
    assert contents(path, "**/*.csv") == {f"{name}/{file}": FILES[file] for file in ("b.csv", "deep/a.csv")}
    assert contents(path, "*.csv") == {f"{name}/b.csv": FILES["b.csv"]}


def test_a_tar_of_the_oldest_format_is_one(tmp_path):
    """Without `ustar` in it: the checksum of its header tells."""
    path = tarred(tmp_path / "set.dat", FILES)
    data = bytearray(path.read_bytes())
    for start in (start for start in range(0, len(data), 512) if data[start + 257 : start + 262] == b"ustar"):
        header = data[start : start + 257] + bytes(255)
        header[148:156] = b" " * 8
        header[148:156] = f"{sum(header):06o}\0 ".encode()
        data[start : start + 512] = header
    path.write_bytes(data)
    assert contents(path) == {f"set.dat/{name}": content for name, content in FILES.items()}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_single_packed_file_is_a_folder_of_one(tmp_path, pack):
    for name, inner in (("rows.csv.gz", "rows.csv"), ("rows", "rows")):
        (tmp_path / name).write_bytes(pack(b"a"))
        assert contents(tmp_path / name) == {f"{name}/{inner}": b"a"}


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n", b"PK", b"BZhere", bytes(600)])
def test_other_files_are_themselves(tmp_path, data):
    (tmp_path / "f").write_bytes(data)
    assert contents(tmp_path / "f") == {"f": data}


def test_archives_stay_closed_without_a_glob(tmp_path):
    path = zipped(tmp_path / "f", FILES)
    assert contents(path, "") == {"f": path.read_bytes()}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", ["../up.csv", "/etc/abs.csv", "a/../../up.csv", "..\\up.csv", "C:\\up.csv"])
def test_no_path_leaves_an_archive(tmp_path, kind, name):
    (tmp_path / "in").mkdir()
    before = names(tmp_path)
    path = MAKERS[kind](tmp_path / "in" / "f", {name: b"x"})
    assert "a path that leaves the archive" in refused(path)
    assert names(tmp_path) == before | {"in/f"}


@pytest.mark.parametrize("type_", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, type_):
    assert "a link or device" in refused(tarred(tmp_path / "f", {"a.csv": b""}, type=type_, linkname="/etc/passwd"))


def test_links_in_a_zip_are_refused(tmp_path):
    assert "a link or device" in refused(
        zipped(tmp_path / "f", {"a.csv": b"/etc/passwd"}, create_system=3, external_attr=0o120777 << 16)
    )


@pytest.mark.parametrize("kind", MAKERS)
def test_expansion_is_bounded_over_all_members(tmp_path, kind):
    path = MAKERS[kind](tmp_path / "f", {"a.csv": bytes(600_000), "b.csv": bytes(600_000)})
    assert "1000000 bytes in all" in refused(path)
    assert len(contents(path, "**/*", 1_200_000)) == 2


def test_a_gz_bomb_is_refused(tmp_path):
    (tmp_path / "f.gz").write_bytes(gzip.compress(bytes(5_000_000)))
    assert "1000000 bytes in all" in refused(tmp_path / "f.gz")


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path):
    data = zipped(tmp_path / "f", {"a.csv": bytes(5_000_000)}).read_bytes()
    (tmp_path / "f").write_bytes(data.replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert "a broken archive" in refused(tmp_path / "f")


def test_a_header_that_is_a_bomb_is_refused(tmp_path):
    path = tmp_path / "f"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a.csv")
        member.pax_headers = {"comment": "x" * 20_000_000}
        archive.addfile(member, io.BytesIO())
    assert "a header of 2" in refused(path)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_cut_archive_is_named(tmp_path, kind):
    path = MAKERS[kind](tmp_path / "f", {"a.csv": os.urandom(50_000)})
    path.write_bytes(path.read_bytes()[:30_000])
    assert "a broken archive" in refused(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_without_a_name_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a.csv": b"1"})
    data = path.read_bytes()
    place = data.rindex(b"a.csv")
    path.write_bytes(data[:place] + b"\0.csv" + data[place + 5 :])  # zipfile cuts names at a NUL
    assert "a path that leaves the archive" in refused(path)


def test_a_zip_with_an_offset_before_its_start_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", FILES)
    data = path.read_bytes()
    end = data.rindex(b"PK\x05\x06")  # 16 bytes on lies the directory's offset
    path.write_bytes(data[: end + 16] + (len(data) * 2).to_bytes(4, "little") + data[end + 20 :])
    assert "a broken archive" in refused(path)


def test_a_name_that_comes_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "f", "w") as archive:
        archive.writestr("a.csv", "1")
        archive.writestr("a.csv", "2")
    assert "comes twice" in refused(tmp_path / "f")


def test_what_macos_adds_is_left_out(tmp_path):
    path = zipped(tmp_path / "f", {"a.csv": b"x", "__MACOSX/._a.csv": b"y"})
    assert contents(path) == {"f/a.csv": b"x"}


@pytest.mark.parametrize("kind", MAKERS)
def test_members_that_nobody_meant_are_left_out_and_counted(tmp_path, kind):
    hidden = ["deep/.ipynb_checkpoints/b-checkpoint.csv", "__MACOSX/._a.csv", "~$a.csv", ".DS_Store", "deep/Thumbs.db"]
    path, left_out = MAKERS[kind](tmp_path / "f", FILES | dict.fromkeys(hidden, b"y")), Counter()
    assert [file.name for file in opened(SourceFile(path), "**/*.csv", 10**6, left_out)] == ["f/b.csv", "f/deep/a.csv"]
    assert left_out == {".ipynb_checkpoints": 1, "__macosx": 1, "~$*": 1}  # of those that fit the glob


@pytest.mark.parametrize("type_", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_outside_members_are_passed_over(tmp_path, type_):
    path = tmp_path / "f"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("latest")
        link.type, link.linkname = type_, "/etc/passwd"
        archive.addfile(link)
        row = tarfile.TarInfo("a.csv")
        row.size = 1
        archive.addfile(row, io.BytesIO(b"x"))
    assert contents(path, "*.csv") == {"f/a.csv": b"x"}
    assert "'latest'" in refused(path, "*")


def test_links_of_a_zip_outside_members_are_passed_over(tmp_path):
    path = zipped(tmp_path / "f", {"latest": b"/etc/passwd"}, create_system=3, external_attr=0o120777 << 16)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a.csv", "x")
    assert contents(path, "*.csv") == {"f/a.csv": b"x"}


def test_a_member_with_a_password_is_named_where_it_is_wanted(tmp_path):
    path = zipped(tmp_path / "f", {"a.csv": b"x", "b.txt": b"y"})
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02")  # the entry of a.csv in the directory; bit 0 of its flags, 8 bytes on
    data[place + 8] |= 1
    path.write_bytes(data)
    assert "'a.csv'\n  found:    a member with a password" in refused(path, "*.csv")
    assert contents(path, "*.txt") == {"f/b.txt": b"y"}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_bad_line_names_the_archive_the_member_and_the_line(tmp_path, kind):
    (tmp_path / "source").mkdir()
    good = b'{"question": 1, "answer": 2}\n'
    MAKERS[kind](tmp_path / "source" / "set", {"part1.jsonl": good, "deep/part3.jsonl": good * 12 + b"{bad\n"})
    with pytest.raises(StageError) as caught:
        scrape.main("set", scrape_params("jsonl", members="**/*"), scrape.Paths(tmp_path / "source", tmp_path / "raw"))
    assert caught.value.where == f"{tmp_path}/source/set: deep/part3.jsonl line 13"


def test_no_member_that_fits_names_what_there_is(tmp_path):
    assert "there are: b.csv, deep/a.csv, readme.txt" in refused(zipped(tmp_path / "f", FILES), "*.json")


@given(st.binary(max_size=200), st.sampled_from([b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"", b"BZh9"]))
def test_any_bytes_are_files_or_an_error_that_names_the_archive(tmp_path_factory, data, start):
    path = tmp_path_factory.mktemp("any") / "f"
    path.write_bytes(start + data)
    try:
        contents(path)
    except StageError as error:
        assert str(path) in error.where


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "a/b.csv", False),
        ("**/*.csv", "b.csv", True),
        ("**/*.csv", "a/b/c.csv", True),
        ("a/**", "a/b/c", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a]+(b", "[a]+(b", True),
    ],
)
def test_globs(pattern, path, fits):
    assert matches(pattern, path) == fits


def test_a_local_archive_in_scrape(tmp_path):
    (tmp_path / "source").mkdir()
    zipped(tmp_path / "source" / "set.zip", FILES)
    scrape.main("set", scrape_params("csv", members="**/*.csv"), scrape.Paths(tmp_path / "source", tmp_path / "raw"))
    assert jsonl(tmp_path / "raw/local/set.zip/deep/a.csv.jsonl") == [
        {"id": "local/set.zip/deep/a.csv#1", "instruction": "3", "response": "4"}
    ]
    files = read_json(tmp_path / "raw" / "sources.json")["sources"]["local"]["files"]
    assert [(entry["file"], entry["rows"]) for entry in files] == [("set.zip/b.csv", 1), ("set.zip/deep/a.csv", 1)]
