import os
import subprocess
import sys

import pytest

from stages.common.scratch import content_hash, fingerprint, remember, scratch


def test_scratch_is_made_where_it_is_asked_for(own_scratch):
    folder = scratch("train", "medical", "0123456789abcdef0123")
    assert folder == own_scratch / "train" / "medical" / "0123456789abcdef"
    assert folder.is_dir()


def test_scratch_is_in_the_cache_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("AFFINAGE_SCRATCH")
    monkeypatch.chdir(tmp_path)
    assert scratch("a", "b", "c").resolve() == (tmp_path / ".cache/a/b/c").resolve()


def test_a_temporary_work_tree_uses_the_scratch_of_the_tree_it_came_from(tmp_path, monkeypatch):
    monkeypatch.delenv("AFFINAGE_SCRATCH")
    queued = tmp_path / ".dvc" / "tmp" / "exps" / "tmp1234"
    queued.mkdir(parents=True)
    monkeypatch.chdir(queued)
    assert scratch("a", "b", "c") == tmp_path / ".cache/a/b/c"


def test_two_processes_that_make_the_same_do_not_meet(tmp_path, monkeypatch):
    def make():  # while this one works, another one makes the same and is done first
        monkeypatch.setattr("os.getpid", lambda: 2)
        remember(tmp_path / "key.json", lambda: "same")
        return "same"

    monkeypatch.setattr("os.getpid", lambda: 1)
    assert remember(tmp_path / "key.json", make) == "same"


def test_a_fingerprint_depends_on_values_and_not_on_the_order_of_keys():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    different = [({"a": 1},), ({"a": 2},), ({"a": "1"},), ("a", 1), ("a1",), ([1, 2],), ([2, 1],), ()]
    assert len({fingerprint(*parts) for parts in different}) == len(different)


def test_a_content_hash_depends_on_names_and_bytes(tmp_path):
    def folder(name, **files):
        for file, content in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        return content_hash(tmp_path / name)

    first = folder("one", a="1", b="2")
    assert folder("two", b="2", a="1") == first
    assert len({first, folder("three", a="1"), folder("four", a="1", c="2"), folder("five", a="12", b="")}) == 4


def test_a_result_is_made_once(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return {"text": "é \ud800", "number": 1.5}

    first = remember(tmp_path / "key.json", make)
    assert first == remember(tmp_path / "key.json", make) == {"text": "é \ud800", "number": 1.5}
    assert len(calls) == 1
    remember(tmp_path / "another key.json", make)
    assert len(calls) == 2


def test_a_result_that_fails_is_not_remembered(tmp_path):
    with pytest.raises(KeyError):
        remember(tmp_path / "key.json", lambda: {}["nothing"])
    (tmp_path / "key.partial").write_text("half")  # what a kill leaves
    assert remember(tmp_path / "key.json", lambda: "whole") == "whole"


@pytest.mark.parametrize("left", ["", '{"half', "\0\0\0"])
def test_a_damaged_result_is_made_again(tmp_path, left):
    remember(tmp_path / "key.json", lambda: "first")
    (tmp_path / "key.json").write_text(left)
    assert remember(tmp_path / "key.json", lambda: "again") == "again"
    assert remember(tmp_path / "key.json", lambda: "third") == "again"


def test_what_killed_processes_left_half_written_is_removed(own_scratch):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder = scratch("a", "b", "c")
    for process in (dead.pid, os.getppid()):
        (folder / f"key.{process}.partial").touch()
    scratch("a", "b", "c")
    assert [path.name for path in folder.iterdir()] == [f"key.{os.getppid()}.partial"]
