"""The pipeline's progress, and DVC behind it."""

import json
import sys

import pytest

from affinage.commands import run
from stages.common.errors import StageError
from tests.affinage.commands.test_parallel import dvc, python

PIPELINE = """
stages:
  train:
    foreach: [a, b]
    do:
      cmd: {python} -c "print('trained ${{item}}'); open('${{item}}.txt', 'w').write('x')"
      outs:
        - ${{item}}.txt
  judge:
    foreach: [a]
    do:
      cmd: {python} -c "{judge}"
      deps:
        - ${{item}}.txt
"""


def lay_down(folder, judge: str = "print('judged')"):
    (folder / "dvc.yaml").write_text(PIPELINE.format(python=sys.executable, judge=judge), encoding="utf-8")
    return folder


@pytest.fixture
def here(tmp_path):
    dvc(lay_down(tmp_path), "init", "-q", "--no-scm")
    return tmp_path


def test_it_says_which_of_how_many_stages(here):
    first = python(here, "affinage", "run", "judge@a")
    lines = first.stdout.splitlines()
    assert first.returncode == 0, first.stdout + first.stderr
    assert "[1/2] train@a; 1 to look at after it" in lines and "[2/2] judge@a; the last one" in lines
    assert lines.index("trained a") < lines.index("[2/2] judge@a; the last one") and "dvc push" not in first.stdout
    assert lines[-1].startswith("2 of 2 stages ran, 0 had nothing to do; 0 min ")
    rest = python(here, "affinage", "run").stdout
    assert "train@b" in rest and "train@a" not in rest and "1 of 3 stages ran, 2 had nothing to do" in rest


def test_a_stage_that_fails_ends_it_with_its_status(here):
    done = python(lay_down(here, judge="raise SystemExit(3)"), "affinage", "run")
    assert done.returncode != 0 and "stages ran" not in done.stdout and "failed to reproduce 'judge@a'" in done.stderr


def test_a_stage_that_there_is_not_is_named(here, monkeypatch):
    monkeypatch.chdir(here)
    with pytest.raises(StageError, match="judge@none(.|\n)*dvc stage list"):
        run.repro(["judge@none"])


def test_what_a_stage_needs_is_taken_from_the_graph(here, monkeypatch):
    monkeypatch.chdir(here)
    with run.pipeline() as repo:
        assert run.needs(repo, []) == {"judge@a": {"train@a"}, "train@a": set(), "train@b": set()}
        assert run.needs(repo, ["judge@a"]) == {"judge@a": {"train@a"}, "train@a": set()}
        assert run.needs(repo, ["train@b"]) == {"train@b": set()}


def test_seconds_of_the_last_run_are_those_of_all_contestants(tmp_path):
    for stage, timings in (
        ("train", {"seconds": 50, "device": "cpu"}),
        ("generate", {"tuned": {"seconds": 2}, "base": {"seconds": 3.5}}),
    ):
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "m" / f"{stage}.json").write_text(json.dumps(timings), encoding="utf-8")
    assert run.last_seconds(tmp_path) == {"train@m": 50.0, "generate@m": 5.5}


def test_minutes_left_follow_the_speed_of_this_run(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(run.time, "monotonic", lambda: clock[0])
    count = run.Count(["train@a", "judge@a", "train@b"], {"train@a": 60, "judge@a": 30, "train@b": 90})
    assert count.line("Running stage 'train@a':") == "[1/3] train@a; 2 to look at after it"  # nothing to go by yet
    clock[0] = 120.0  # twice as slow as the last run
    assert count.line("Running stage 'judge@a':") == "[2/3] judge@a; 1 to look at after it, about 4 min"
    assert count.line("Stage 'train@b' didn't change, skipping") is None and not count.left
    assert count.end() == "2 of 3 stages ran, 1 had nothing to do; 2 min 0 s"
