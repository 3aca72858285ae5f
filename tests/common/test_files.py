import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import StageError
from stages.common.files import (
    atomic_directory,
    atomic_file,
    clean_text,
    read_json,
    read_rows,
    write_json,
    write_rows,
)
from tests.data_helpers import ROOT, json_values, names, odd_text


def cleaned(value):
    """`value` as it must come back: lone surrogates replaced."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(key): cleaned(item) for key, item in value.items()}
    return [cleaned(item) for item in value] if isinstance(value, list) else value


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path):
    out = tmp_path / "deep" / "er" / "out.txt"
    for text in ("old", "new"):
        with atomic_file(out) as file:
            file.write(text)
            assert not out.exists() or out.read_text() == "old"
    assert out.read_text() == "new"
    assert names(out.parent) == {"out.txt"}


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    out = tmp_path / "out.txt"
    out.write_text("old")
    with pytest.raises(KeyError), atomic_file(out) as file:
        file.write("half")
        raise KeyError
    assert out.read_text() == "old"
    assert names(tmp_path) == {"out.txt"}


def test_an_exception_leaves_the_old_directory_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    with atomic_directory(out) as folder:
        (folder / "a").write_text("old")
    with pytest.raises(KeyError), atomic_directory(out) as folder:
        (folder / "a").write_text("half")
        (folder / "b").write_text("half")
        raise KeyError
    assert names(tmp_path) == {"out", "out/a"}
    assert (out / "a").read_text() == "old"


def test_a_directory_is_replaced_as_a_whole(tmp_path):
    for name in ("first", "second"):
        with atomic_directory(tmp_path / "out") as folder:
            (folder / name).touch()
    assert names(tmp_path) == {"out", "out/second"}


def test_a_directory_replaces_a_file_and_a_file_a_directory(tmp_path):
    out = tmp_path / "out"
    out.write_text("a file")
    with atomic_directory(out) as folder:
        (folder / "a").touch()
    assert names(tmp_path) == {"out", "out/a"}
    with atomic_file(out) as file:
        file.write("a file again")
    assert out.read_text() == "a file again"


def test_what_a_link_points_to_is_never_written(tmp_path):
    cache, cached_folder = tmp_path / "cache", tmp_path / "cached_folder"
    cache.write_text("cached")
    cached_folder.mkdir()
    (cached_folder / "a").write_text("cached")
    (tmp_path / "hard").hardlink_to(cache)
    (tmp_path / "soft").symlink_to(cache)
    (tmp_path / "folder").symlink_to(cached_folder)
    for name in ("hard", "soft"):
        with atomic_file(tmp_path / name) as file:
            file.write("new")
        assert (tmp_path / name).read_text() == "new"
    with atomic_directory(tmp_path / "folder") as folder:
        (folder / "a").write_text("new")
    assert (tmp_path / "folder" / "a").read_text() == "new"
    assert cache.read_text() == "cached"
    assert (cached_folder / "a").read_text() == "cached"


@pytest.mark.parametrize(("writer", "leftover"), [("atomic_file", "file"), ("atomic_directory", "directory")])
def test_what_a_kill_leaves_is_overwritten(tmp_path, writer, leftover):
    script = (
        "import sys, os, signal; from pathlib import Path; from stages.common.files import *\n"
        f"with {writer}(Path(sys.argv[1])) as out:\n"
        "    out.write('half') if hasattr(out, 'write') else (out / 'half').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    out = tmp_path / "x"
    killed = subprocess.run([sys.executable, "-c", script, out], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert names(tmp_path) & {"x", ".x.partial"} == {".x.partial"}
    if leftover == "file":
        with atomic_file(out) as file:
            file.write("whole")
        assert names(tmp_path) == {"x"}
    else:
        with atomic_directory(out) as folder:
            (folder / "whole").touch()
        assert names(tmp_path) == {"x", "x/whole"}


@pytest.mark.parametrize("writer", [atomic_file, atomic_directory])
def test_two_writers_of_one_output_do_not_meet(tmp_path, writer):
    """A killed dvc leaves its stage running: what it writes must not become the rerun's."""
    with writer(tmp_path / "x") as first:
        with pytest.raises(StageError, match="another process"), writer(tmp_path / "x"):
            pytest.fail("it was let in")
        first.write("whole") if hasattr(first, "write") else (first / "whole").touch()
    assert names(tmp_path) in ({"x"}, {"x", "x/whole"})


@pytest.mark.parametrize("call", ["os.rename", "os.remove", "os.rmdir"])
def test_a_directory_is_never_half_replaced(tmp_path, call):
    """Killed before any of the calls that replace it, it is the old one, the new one or none, and then the old one again."""
    script = (
        "import sys, os, signal; from pathlib import Path; from stages.common.files import *\n"
        "left = int(sys.argv[3])\n"
        "def hook(event, _):\n"
        "    global left\n"
        "    left -= event == sys.argv[2]\n"
        "    if event == sys.argv[2] and left == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "with atomic_directory(Path(sys.argv[1])) as out:\n"
        "    [(out / name).write_text('new') for name in 'ab']\n"
        "    sys.addaudithook(hook)\n"
    )
    for number in (1, 2, 3):
        out = tmp_path / call / str(number) / "x"
        out.mkdir(parents=True)
        for name in "ab":
            (out / name).write_text("old")
        ended = subprocess.run([sys.executable, "-c", script, out, call, str(number)], cwd=ROOT).returncode
        assert ended in (0, -signal.SIGKILL) and (number > 1 or ended)
        there = {path.read_text() for path in out.glob("*")}
        assert there in ({"old"}, {"new"}, set()) and (not there or names(out) == {"a", "b"})
        with pytest.raises(KeyError), atomic_directory(out):
            raise KeyError
        assert {path.read_text() for path in out.glob("*")} == (there or {"old"})
        assert names(out.parent) == {"x", "x/a", "x/b"}


@given(st.lists(st.dictionaries(odd_text, json_values, max_size=4), max_size=4))
def test_rows_survive_a_round_trip(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    assert write_rows(path, rows) == len(rows)
    assert list(read_rows(path)) == [cleaned(row) for row in rows]


def test_odd_text_stays_in_its_line(tmp_path):
    rows = [{"a": "\r \x85 \u2028 \x00 \ufeff"}, {"a": "\U0001f600 \ud800"}]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert (tmp_path / "rows.jsonl").read_bytes().count(b"\n") == 2
    assert list(read_rows(tmp_path / "rows.jsonl")) == [rows[0], {"a": "\U0001f600 \ufffd"}]


def test_a_failing_source_of_rows_leaves_the_old_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"a": 1}])

    def rows():
        yield {"a": 2}
        raise StageError("source", "bad", "good")

    with pytest.raises(StageError):
        write_rows(path, rows())
    assert list(read_rows(path)) == [{"a": 1}]
    assert names(tmp_path) == {"rows.jsonl"}


@pytest.mark.parametrize("line", [b'{"a": 1', b"[1, 2]", b"7", b"", b'{"a": "\xff"}', b"[" * 50_000])
def test_a_broken_line_is_named_with_its_file(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b"\n")
    rows = read_rows(path)
    assert next(rows) == {"a": 1}
    with pytest.raises(StageError, match="rows.jsonl line 2"):
        next(rows)


def test_a_directory_is_read_in_order_of_names(tmp_path):
    for name in ("b", "a/z", "c"):
        write_rows(tmp_path / f"{name}.jsonl", [{"from": name}])
    (tmp_path / "sources.json").write_text("not rows")
    (tmp_path / ".d.jsonl.partial").write_text("half")
    assert [row["from"] for row in read_rows(tmp_path)] == ["a/z", "b", "c"]


@pytest.mark.parametrize("read", [lambda path: list(read_rows(path)), read_json])
def test_a_missing_file_is_named_with_what_makes_it(tmp_path, read):
    with pytest.raises(StageError, match=r"missing\.json[^$]*dvc repro"):
        read(tmp_path / "missing.json")


def test_metrics_are_rounded_to_six_digits_and_nothing_else_is(tmp_path):
    data = {"loss": 1.23456789, "tiny": 1.23456789e-12, "rows": 12345678, "deep": [{"x": (2 / 3,)}], "flag": True}
    write_json(tmp_path / "m.json", data)
    expected = {"loss": 1.23457, "tiny": 1.23457e-12, "rows": 12345678, "deep": [{"x": [0.666667]}], "flag": True}
    assert read_json(tmp_path / "m.json") == expected
    assert (tmp_path / "m.json").read_text().startswith('{\n  "loss": 1.23457,\n')


def test_a_metric_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "m.json", {"loss": float("nan")})
    assert names(tmp_path) == set()


def test_metrics_hold_any_text(tmp_path):
    write_json(tmp_path / "m.json", {"name": "é \udcff"})
    assert read_json(tmp_path / "m.json") == {"name": "é \ufffd"}


def test_broken_metrics_are_named(tmp_path):
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(StageError, match=r"m\.json"):
        read_json(tmp_path / "m.json")
