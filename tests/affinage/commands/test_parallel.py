"""Independent models run side by side, each stage once, and the result is that of one `dvc repro`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from affinage.commands.parallel import STAGES, chains
from tests.imports import ROOT

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
def test_chains_run_side_by_side_and_each_stage_once(here):
    done = python(here, "affinage", "parallel", "-j", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    ran = (here / "log.txt").read_text().split()
    assert sorted(ran[:3]) == ["base-encoder", "base-r", "format-d"]
    assert sorted(ran[3:]) == sorted(f"{stage}-{name}" for stage in STAGES for name in "abc")
    assert ran.index("train-c") > ran.index("train-a")
    assert "up to date" in dvc(here, "status")
    again = python(here, "affinage", "parallel")
    assert again.returncode == 0, again.stderr
    assert (here / "log.txt").read_text().split() == ran


@pytest.mark.slow
def test_a_later_round_alone_brings_the_rounds_before_it(here):
    params = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(params.replace("meet: train-b", "meet: ''"))
    done = python(here, "affinage", "parallel", "c")
    assert done.returncode == 0, done.stdout + done.stderr
    ran = (here / "log.txt").read_text().split()
    assert sorted(ran[3:]) == sorted(f"{stage}-{name}" for stage in STAGES for name in "ac")


@pytest.mark.slow
def test_a_chain_that_fails_is_named_and_the_others_end(here):
    step = (here / "step.py").read_text()
    (here / "step.py").write_text(step.replace("for out in", "assert name != 'train-b', 'broken'\nfor out in", 1))
    done = python(here, "affinage", "parallel")
    assert done.returncode == 1
    assert "failed for b" in done.stderr
    assert (here / "verdicts" / "c" / "file").read_text() == "judge-c"


def test_an_unknown_model_names_the_known_ones(here):
    done = python(here, "affinage", "parallel", "nothing")
    assert done.returncode == 1
    assert "one of: a, b, c" in done.stderr or "one of: c, a, b" in done.stderr


@pytest.mark.parametrize(
    ("bases", "expected"),
    [
        ({}, []),
        ({"b": "x", "a": "x"}, [["b"], ["a"]]),
        ({"t3": "t2", "t1": "x", "t2": "t1", "u": "x"}, [["t1", "t2", "t3"], ["u"]]),
        ({"t1": "x", "left": "t1", "right": "t1"}, [["t1", "left", "right"]]),
    ],
)
def test_chains(bases, expected):
    assert chains(bases) == expected
