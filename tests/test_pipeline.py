"""dvc.yaml and params.yaml fit each other and the code: nothing read goes undeclared, nothing declared goes unread."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.imports import ROOT, closure

STAGES = ("base", "scrape", "label", "split", "format", "train", "generate", "judge")
PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PARAMS = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
WIRING = {"source", "dataset", "shards", "base", "root", "judge_base"}
SMOLLM2, MEDICAL = "smollm2", "medical"


def declared_code(stage: str) -> set[str]:
    """The files behind a stage's `stages/…` deps, directories opened, empty ones left out."""
    files = set()
    for dep in PIPELINE[stage]["do"]["deps"]:
        if dep.startswith("stages/"):
            path = ROOT / dep
            files |= {p.relative_to(ROOT).as_posix() for p in path.rglob("*.py")} if path.is_dir() else {dep}
    return {file for file in files if (ROOT / file).stat().st_size}


def outputs(do: dict) -> list[str]:
    """The paths of a stage's outputs of every kind."""
    listed = [item for kind in ("outs", "metrics", "plots") for item in do.get(kind, [])]
    return [item if isinstance(item, str) else next(iter(item)) for item in listed]


@pytest.mark.parametrize("stage", STAGES)
def test_code_deps_are_exactly_the_modules_imported(stage):
    assert declared_code(stage) == closure(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_its_own_section_and_no_other(stage):
    kind = {"base": "bases", "train": "models", "generate": "models", "judge": "models"}.get(stage, "datasets")
    assert PIPELINE[stage]["foreach"] == f"${{{kind}}}"
    assert PIPELINE[stage]["do"]["params"] == [f"{kind}.${{key}}.{stage}"]


def test_paths_in_the_command_are_deps_or_outputs_or_timings():
    for stage, entry in PIPELINE.items():
        do = entry["do"]
        declared = [*do["deps"], *outputs(do)]
        for word in do["cmd"].split()[4:]:
            if not word.startswith("--") and not word.startswith("metrics/speed/"):
                assert any(path == word or path.startswith(f"{word}/") for path in declared), (stage, word)


def leaves(tree: dict, path: tuple = ()):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


@pytest.fixture(scope="module")
def twin(tmp_path_factory) -> Path:
    """A repository with this one's graph and parameters, whose commands write a checksum of the parameters; run once."""
    folder = tmp_path_factory.mktemp("twin")
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data" / "sources", folder / "data" / "sources")
    pipeline = YAML(typ="safe").load((folder / "dvc.yaml").read_text())
    for entry in pipeline["stages"].values():
        do = entry["do"]
        outs = outputs(do)
        inside = {"formatted": ("prompt.json", "labels.json", "train/000.jsonl", "validation/0", "test/0")}
        made = [f"{out}/{name}" for out in outs for name in inside.get(out.rsplit("/")[-1], ())]
        made += [out if "." in out.rsplit("/")[-1] else f"{out}/0" for out in outs if out.rsplit("/")[-1] not in inside]
        do["cmd"] = " && ".join(f"mkdir -p $(dirname {path}) && cksum params.yaml > {path}" for path in made)
    with open(folder / "dvc.yaml", "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(pipeline, file)
    for command in (["init", "-q", "--no-scm"], ["config", "core.analytics", "false"], ["repro", "-q"]):
        dvc(folder, *command)
    return folder


def dvc(folder: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def changed_stages(folder: Path) -> set[str]:
    """Stages of which `dvc status` says that a parameter or a dependency outside the pipeline changed."""
    from dvc.repo import Repo

    with Repo(folder) as repo:
        return {
            name.rpartition(":")[2]
            for name, state in repo.status().items()
            if any("params.yaml" in change.get("changed deps", {}) for change in state if isinstance(change, dict))
        }


def other(value):
    """A different value of the same type."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else [*value, "x"] if isinstance(value, list) else f"{value}x"


@pytest.mark.slow
def test_every_parameter_is_tracked_by_exactly_its_stage(twin):
    params = (twin / "params.yaml").read_text(encoding="utf-8")
    try:
        for kind, key, name in {(p[0], p[1], p[2]) for p in leaves(PARAMS) if p[2] not in WIRING or len(p) > 3}:
            tree = YAML(typ="safe").load(params)
            section = tree[kind][key][name]
            for leaf in list(leaves(section)):
                place = section
                for part in leaf[:-1]:
                    place = place[part]
                place[leaf[-1]] = other(place[leaf[-1]])
            with open(twin / "params.yaml", "w", encoding="utf-8") as file:
                YAML(typ="safe").dump(tree, file)
            assert changed_stages(twin) == {f"{name}@{key}"}
    finally:
        (twin / "params.yaml").write_text(params, encoding="utf-8")


@pytest.mark.slow
def test_changing_one_parameter_reruns_its_stage_and_what_hangs_on_it(twin):
    params = (twin / "params.yaml").read_text(encoding="utf-8")
    try:
        tree = YAML(typ="safe").load(params)
        tree["datasets"]["medical_qa"]["format"]["shard_rows"] = 10
        with open(twin / "params.yaml", "w", encoding="utf-8") as file:
            YAML(typ="safe").dump(tree, file)
        done = dvc(twin, "repro")
        ran = {line.split("'")[1] for line in done.splitlines() if line.startswith("Running stage")}
        assert ran == {"format@medical_qa", "train@medical", "generate@medical", "judge@medical"}
    finally:
        (twin / "params.yaml").write_text(params, encoding="utf-8")
