import os
import subprocess
import sys

import pytest

from stages.common.errors import StageError
from stages.training.launch import launch
from tests.imports import ROOT


@pytest.fixture
def started(monkeypatch):
    """The command that took this process's place; RANK is unset."""
    commands = []
    monkeypatch.setattr(os, "execvp", lambda program, command: commands.append((program, command)))
    monkeypatch.delenv("RANK", raising=False)
    return commands


def test_the_launcher_starts_the_stage_with_its_arguments(started, monkeypatch):
    monkeypatch.setenv("AFFINAGE_LAUNCH", "srun torchrun --nproc-per-node '8' --rdzv-id 'a b'")
    launch("stages.train", ["medical", "--rows", "a b"])
    command = [
        "srun",
        "torchrun",
        "--nproc-per-node",
        "8",
        "--rdzv-id",
        "a b",
        "-m",
        "stages.train",
        "medical",
        "--rows",
        "a b",
    ]
    assert started == [("srun", command)]


@pytest.mark.parametrize("asked", ["", "  ", None])
def test_nothing_is_started_unless_asked(started, monkeypatch, asked):
    monkeypatch.delenv("AFFINAGE_LAUNCH", raising=False)
    if asked is not None:
        monkeypatch.setenv("AFFINAGE_LAUNCH", asked)
    launch("stages.train", [])
    assert started == []


def test_what_a_launcher_started_starts_no_other(started, monkeypatch):
    monkeypatch.setenv("AFFINAGE_LAUNCH", "torchrun")
    monkeypatch.setenv("RANK", "0")
    launch("stages.train", [])
    assert started == []


@pytest.mark.parametrize("asked", ["no_such_launcher --n 2", "/ --n 2", "torchrun 'open"])
def test_a_launcher_that_cannot_be_run_is_named(monkeypatch, asked):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("AFFINAGE_LAUNCH", asked)
    with pytest.raises(StageError, match="AFFINAGE_LAUNCH") as error:
        launch("stages.train", [])
    assert asked in str(error.value)


def test_the_stage_says_so_in_a_few_lines():
    environment = {name: value for name, value in os.environ.items() if name != "RANK"} | {
        "AFFINAGE_LAUNCH": "no_such_launcher"
    }
    command = [sys.executable, "-m", "stages.train", "medical"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode and "no_such_launcher" in done.stderr and "Traceback" not in done.stderr
