"""Temporary folders lie in scratch, go with their object, and what a killed process left goes with the next."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stages.common import temporary
from stages.common.temporary import Temporary
from tests.imports import ROOT

WAITS = """
import os, signal, sys, time
from pathlib import Path
from stages.common.temporary import Temporary
made = Temporary()
(Path(made.name) / "big").write_bytes(b"x" * 1000)
print(made.name, flush=True)
time.sleep(100)
"""


@pytest.fixture
def other(own_scratch):
    """A process that holds a temporary folder; killed at the end."""
    with subprocess.Popen([sys.executable, "-c", WAITS], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        process.folder = Path(process.stdout.readline().strip())
        yield process
        process.kill()


def names(own_scratch) -> set[str]:
    return {path.name for path in (own_scratch / "temporary").iterdir()}


def test_a_folder_lies_in_scratch_and_goes_with_the_object(own_scratch):
    with Temporary() as first, Temporary() as two:
        Path(first, "file").touch()
        assert names(own_scratch) == {Path(first).name, Path(two).name}
    assert names(own_scratch) == set()
    temporary = Temporary()
    assert len(names(own_scratch)) == 1
    del temporary
    assert names(own_scratch) == set()


def test_what_another_process_uses_stays_and_what_a_killed_one_left_goes(own_scratch, other):
    with Temporary() as own:
        assert names(own_scratch) == {Path(own).name, other.folder.name}
        assert (other.folder / "big").stat().st_size == 1000
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert names(own_scratch) == {other.folder.name}
    with Temporary() as own:
        assert names(own_scratch) == {Path(own).name}


def test_no_descriptor_is_left(own_scratch):
    before = len(os.listdir("/proc/self/fd" if Path("/proc").exists() else "/dev/fd"))
    for _ in range(5):
        with Temporary():
            pass
    assert len(os.listdir("/proc/self/fd" if Path("/proc").exists() else "/dev/fd")) == before


def test_without_locks_nothing_is_cleared(own_scratch, monkeypatch):
    def none(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(temporary.fcntl, "flock", none)
    with Temporary() as first, Temporary() as two:
        assert names(own_scratch) == {Path(first).name, Path(two).name}


def test_the_folder_stays_where_it_is_when_the_process_moves(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setenv("AFFINAGE_SCRATCH", "scratch")
    monkeypatch.chdir(tmp_path / "a")
    with Temporary() as folder:
        monkeypatch.chdir(tmp_path / "b")
        Path(folder, "file").touch()
    assert not list((tmp_path / "a" / "scratch" / "temporary").iterdir())
