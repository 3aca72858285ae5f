"""The campaign runs, a small part of it here; and it sees what it is there to see."""

import subprocess
import sys
from pathlib import Path

import pytest

from campaign import fuzz, kills, readers, suites, works
from stages.common.files import remove, write_json
from tests.imports import ROOT


@pytest.mark.slow
def test_a_small_campaign_keeps_every_promise():
    command = [sys.executable, "-m", "campaign", "--parts", "kills", "disk", "--stages", "label", "format", "--points", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 reruns end in the same bytes" in done.stdout


def test_suites_name_tests_that_are_there():
    paths = [path for _, paths in suites.SUITES.values() for path in paths]
    assert paths and [path for path in paths if not (ROOT / path).exists()] == []


def test_outputs_that_are_neither_old_nor_new_are_seen():
    work = works.Work(print, ("raw", "label.json"))
    new = {"raw/a": b"1", "raw/b": b"2", "label.json": b"3"}
    old = {name: data + b"old" for name, data in new.items()}
    assert kills.mixed(work, old, old, new) == kills.mixed(work, new, old, new) == kills.mixed(work, {}, old, new) == []
    assert kills.mixed(work, {"raw/a": b"1"}, old, new) == ["raw"]
    assert kills.mixed(work, {"raw/a": b"1old", "raw/b": b"2"}, old, new) == ["raw"]


def test_what_a_kill_leaves_is_seen(tmp_path):
    write_json(tmp_path / "out" / "whole.json", {})
    assert kills.left_over(tmp_path) == []
    (tmp_path / "out" / ".x.partial").touch()
    assert kills.left_over(tmp_path) == ["out/.x.partial"]
    remove(tmp_path / "out" / ".x.partial")


@pytest.mark.parametrize("name", readers.targets())
def test_some_inputs_for_every_reader(tmp_path, name, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    count, _, wrong, _ = fuzz.apart(readers.targets()[name], tmp_path, seed=2, seconds=0.3)
    assert count and not wrong


def fails(path: Path, data: bytes) -> None:
    if b"c" not in data:
        raise KeyError("c")


def test_a_reader_that_breaks_is_seen(tmp_path):
    count, _, wrong, _ = fuzz.apart(readers.Target(fails, [b"abcdef"]), tmp_path, seed=1, seconds=20)
    assert count and wrong.startswith("KeyError")
