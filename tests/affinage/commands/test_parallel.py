"""Stages run side by side, each once and after what it needs, and the result is that of one `dvc repro`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from affinage.commands.parallel import Plan, at_once, in_turn, to_do, ways
from tests.imports import ROOT

STAGES = ("train", "generate", "judge")

STEP = """
import sys, time
from pathlib import Path
name, meet, *outs = sys.argv[1:]
with open("log.txt", "a") as log:
    log.write(name + "\\n")
if meet:  # wait until the other one has begun, too: only side by side does this end
    Path(f"begun-{name}").touch()
    until = time.monotonic() + 60
    while not Path(f"begun-{meet}").exists():
        assert time.monotonic() < until, "alone"
        time.sleep(0.05)
for out in outs:
    Path(out).mkdir(parents=True)
    Path(out, "file").write_text(name)
"""


def pipeline() -> dict:
    """The graph of this repository in small: a base, a dataset, and models of which c is a second round of a."""
    meets = {"a": "train-b", "b": "train-a"}
    stages = {
        "base": ("bases", [], ["models/${key}"]),
        "format": ("datasets", [], ["data/${key}"]),
        "train": ("models", ["data/${item.dataset}", "models/${item.base}"], ["models/${key}"]),
        "generate": ("models", ["models/${key}", "models/${item.base}", "models/${item.root}"], ["answers/${key}"]),
        "judge": ("models", ["answers/${key}", "models/${item.root}", "models/${judge_base}"], ["verdicts/${key}"]),
    }
    definitions = {}
    for stage, (kind, deps, outs) in stages.items():
        meet = "${item.meet}" if stage == "train" else ""
        deps = list(dict.fromkeys(deps))
        definitions[stage] = {
            "foreach": f"${{{kind}}}",
            "do": {"cmd": f"python step.py {stage}-${{key}} '{meet}' {' '.join(outs)}", "deps": deps, "outs": outs},
        }
    models = {
        name: {"dataset": "d", "base": base, "root": root, "meet": meets.get(name, "")}
        for name, base, root in (("c", "a", "r"), ("a", "r", "r"), ("b", "r", "r"))
    }
    params = {"judge_base": "encoder", "bases": {"r": {}, "encoder": {}}, "datasets": {"d": {}}, "models": models}
    return {"vars": [params], "stages": definitions}


@pytest.fixture
def here(tmp_path) -> Path:
    (tmp_path / "step.py").write_text(STEP)
    whole = pipeline()
    params = whole.pop("vars")[0]
    for name, data in (("dvc.yaml", whole), ("params.yaml", params)):
        with open(tmp_path / name, "w", encoding="utf-8") as file:
            YAML(typ="safe").dump(data, file)
    dvc(tmp_path, "init", "-q", "--no-scm")
    return tmp_path


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    return subprocess.run([sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def dvc(folder: Path, *arguments: str) -> str:
    done = python(folder, "dvc", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_stages_run_side_by_side_each_once_and_after_what_it_needs(here):
    done = python(here, "affinage", "parallel", "-j", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    ran = (here / "log.txt").read_text().split()
    models = [f"{stage}-{name}" for stage in STAGES for name in "abc"]
    assert sorted(ran) == sorted(["base-encoder", "base-r", "format-d", *models])
    for first, second in (
        ("format-d", "train-a"),
        ("base-r", "train-b"),
        ("train-a", "train-c"),
        ("generate-c", "judge-c"),
        ("base-encoder", "judge-b"),
        ("generate-a", "generate-b"),  # answers of one base to one dataset: one after the other
        ("generate-b", "generate-c"),
    ):
        assert ran.index(first) < ran.index(second)
    assert "[12/12]" in done.stdout and "12 of 12 stages ran" in done.stdout and "git add" not in done.stdout
    assert "up to date" in dvc(here, "status")
    again = python(here, "affinage", "parallel", "-j", "2")
    assert again.returncode == 0 and "0 of 12 stages ran, 12 had nothing to do" in again.stdout, again.stderr
    assert (here / "log.txt").read_text().split() == ran


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_model_brings_what_it_needs_and_no_more(here, jobs):
    params = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(params.replace("meet: train-b", "meet: ''"))
    done = python(here, "affinage", "parallel", "c", "-j", jobs)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = (here / "log.txt").read_text().split()
    assert sorted(ran) == sorted(["base-encoder", "base-r", "format-d", "train-a", "train-c", "generate-c", "judge-c"])


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_model_that_goes_first_is_shown_before_the_others_end(here, jobs):
    params = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(re.sub("meet: train-[ab]", "meet: ''", params))
    done = python(here, "affinage", "parallel", "--first", "b", "-j", jobs)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = (here / "log.txt").read_text().split()
    assert len(ran) == 12 and ran.index("generate-b") < ran.index("generate-a")
    assert done.stdout.count("b: d\n") == 1 and done.stdout.index("b: d\n") < done.stdout.index(" judge@a;")
    assert python(here, "affinage", "parallel", "--first", "none").returncode == 1


@pytest.mark.slow
def test_a_stage_that_fails_is_named_and_all_that_do_not_need_it_run(here):
    step = (here / "step.py").read_text()
    (here / "step.py").write_text(step.replace("for out in", "assert name != 'train-a', 'broken'\nfor out in", 1))
    done = python(here, "affinage", "parallel", "-j", "2")
    assert done.returncode == 1
    assert "failed for train@a" in done.stderr and "broken" in done.stdout
    ran = (here / "log.txt").read_text().split()
    assert "judge-b" in ran and not {"generate-a", "train-c", "judge-c"} & {*ran}


def test_an_unknown_model_names_the_known_ones(here):
    done = python(here, "affinage", "parallel", "nothing")
    assert done.returncode == 1
    assert "one of: a, b, c" in done.stderr or "one of: c, a, b" in done.stderr


NEEDS = {
    "base@r": set(),
    "train@a": {"base@r"},
    "train@b": {"base@r"},
    "train@c": {"train@a"},
    "generate@a": {"train@a"},
    "generate@b": {"train@b"},
    "generate@c": {"train@c", "train@a"},
}
MODELS = {name: {"dataset": "other" if name == "b" else "d", "root": "r"} for name in "acb"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (set(), {}),
        ({"generate@b"}, {"generate@b": set()}),
        (
            {"train@a"},
            {"train@a": set(), "train@c": {"train@a"}, "generate@a": {"train@a"}, "generate@c": {"train@c", "train@a"}},
        ),
        ({"base@r"}, NEEDS),
        ({"of another target"}, {}),
    ],
)
def test_what_changed_and_what_needs_it_is_to_do(changed, expected):
    assert to_do(NEEDS, changed) == expected


def test_answers_of_one_base_to_one_dataset_are_made_one_after_the_other():
    assert in_turn(list(NEEDS), MODELS) == {"generate@c": "generate@a"}
    assert in_turn([name for name in NEEDS if name != "generate@a"], MODELS) == {}
    assert in_turn(["generate@a", "judge@c"], MODELS) == {}


def test_a_way_is_the_longest_of_all_that_wait():
    way = ways(
        NEEDS, {"train@a": 10.0, "train@c": 10.0, "train@b": 5.0, "generate@a": 30.0, "generate@c": 2.0, "generate@b": 1.0}
    )
    assert way == {
        "base@r": 41.0,  # a base, of which no seconds are known, counts as one
        "train@a": 40.0,
        "train@c": 12.0,
        "generate@c": 2.0,
        "generate@a": 30.0,
        "train@b": 6.0,
        "generate@b": 1.0,
    }
    assert ways({"train@new": set()}, {"train@a": 10.0, "train@b": 20.0}) == {"train@new": 15.0}


def order(plan: Plan, jobs: int, failing: str = "") -> list[str]:
    """The stages in the order that they begin in, where the first to begin is the first to end."""
    begun, running = [], []
    while plan.waiting or running:
        while len(running) < jobs and (name := plan.next()):
            begun.append(name)
            running.append(name)
        ended = running.pop(0)
        plan.end(ended, int(ended == failing))
    return begun


@pytest.mark.parametrize("jobs", [1, 2, 9])
def test_a_plan_runs_each_stage_once_after_what_it_needs(jobs):
    before = in_turn(list(NEEDS), MODELS)
    begun = order(Plan(NEEDS, before, {}), jobs)
    assert sorted(begun) == sorted(NEEDS)
    assert all(begun.index(first) < begun.index(name) for name in NEEDS for first in NEEDS[name])
    assert begun.index("generate@a") < begun.index("generate@c")


def test_the_longest_way_to_the_end_goes_first():
    assert order(Plan(NEEDS, {}, {"generate@b": 100.0, "train@a": 1.0, "train@b": 1.0}), 1)[:3] == [
        "base@r",
        "train@b",
        "generate@b",
    ]


def test_what_goes_first_goes_before_longer_ways_and_the_others_leave_it_the_machine():
    first = {"base@r", "train@b", "generate@b"}
    plan = Plan(NEEDS, {}, {"train@a": 100.0}, first)
    assert plan.next() == "base@r" and plan.next() is None
    plan.end("base@r", 0)
    assert plan.next() == "train@b" and not plan.aside("train@b")
    assert plan.next() == "train@a" and plan.aside("train@a")
    plan.end("train@b", 0)
    assert plan.next() == "generate@b"
    plan.end("generate@b", 0)
    assert not plan.aside("train@a")


def test_among_those_that_go_first_the_ways_of_the_others_do_not_count():
    needs = {"base@x": set(), "base@y": set(), "train@a": {"base@x"}, "train@b": {"base@x", "base@y"}}
    assert Plan(needs, {}, {"train@a": 9.0, "train@b": 5.0}).next() == "base@x"
    assert Plan(needs, {}, {"train@a": 9.0, "train@b": 5.0}, {"base@y", "train@b"}).waiting == [
        "base@y",
        "train@b",
        "base@x",
        "train@a",
    ]


def test_what_needs_a_failed_stage_does_not_run_and_what_only_comes_after_it_does():
    plan = Plan(NEEDS, in_turn(list(NEEDS), MODELS), {})
    assert set(order(plan, 2, failing="train@a")) == {"base@r", "train@a", "train@b", "generate@b"}
    assert plan.failed == ["train@a"]
    plan = Plan(NEEDS, in_turn(list(NEEDS), MODELS), {})
    assert "generate@c" in order(plan, 2, failing="generate@a")


def test_one_at_a_time_where_two_would_not_fit(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(Path, "exists", lambda path: False)
    pages = {"SC_PAGE_SIZE": 2**20, "SC_PHYS_PAGES": 16 * 2**10}
    monkeypatch.setattr(os, "sysconf", pages.get)
    assert at_once() == 2
    pages["SC_PHYS_PAGES"] = 4 * 2**10
    assert at_once() == 1
    pages["SC_PHYS_PAGES"] = 16 * 2**10
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidiactl")
    assert at_once() == 1
