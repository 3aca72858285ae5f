"""dvc.yaml and params.yaml fit each other and the code: nothing read goes undeclared, nothing declared goes unread."""

import re
import shlex
import shutil
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.data_helpers import leaves
from tests.imports import BY_METHOD, METHODS, ROOT, closure, of_all_methods
from tests.processes import dvc

STAGES = ("base", "scrape", "label", "split", "format", "train", "generate", "judge")
PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PARAMS = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
WIRING = {"source", "dataset", "shards", "base", "root", "judge_base"}
# the sections of defaults that a stage lists
DEFAULTS = {
    "base": [],
    "scrape": ["defaults.scrape"],
    "label": ["defaults.label.all", "defaults.label.${item.label.method}"],
    "split": ["defaults.split"],
    "format": ["defaults.format.all", "defaults.format.${item.format.style}"],
    **{
        stage: [f"defaults.{stage}.all", f"defaults.{stage}.${{item.train.method}}"] for stage in ("train", "generate", "judge")
    },
}
SMOLLM2, MEDICAL = "smollm2", "medical"


def declared_code(stage: str) -> set[str]:
    """The files behind a stage's `stages/…` deps, directories opened, empty ones left out."""
    files = set()
    for dep in PIPELINE[stage]["do"]["deps"]:
        if dep.startswith("stages/") and "$" not in dep:
            path = ROOT / dep
            files |= {p.relative_to(ROOT).as_posix() for p in path.rglob("*.py")} if path.is_dir() else {dep}
    return {file for file in files if (ROOT / file).stat().st_size}


def outputs(do: dict) -> list[str]:
    """The paths of a stage's outputs of every kind."""
    listed = [item for kind in ("outs", "metrics", "plots") for item in do.get(kind, [])]
    return [item if isinstance(item, str) else next(iter(item)) for item in listed]


@pytest.mark.parametrize("stage", STAGES)
def test_code_deps_are_exactly_the_modules_imported(stage):
    assert declared_code(stage) == of_all_methods(stage)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stage", BY_METHOD)
def test_a_model_depends_on_the_package_of_its_own_method(stage, method):
    package = BY_METHOD[stage]
    assert f"{package}/${{item.train.method}}" in PIPELINE[stage]["do"]["deps"]
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / package / method).rglob("*.py") if path.stat().st_size}
    assert files == {file for file in closure(stage, method) if file.startswith(f"{package}/{method}/")}


@pytest.mark.parametrize("stage", BY_METHOD)
def test_a_local_model_depends_on_nothing_that_only_hosted_ones_use(stage):
    """So an edit there reruns no local training and no generation."""
    local = closure(stage, "causal") | closure(stage, "classifier")
    assert declared_code(stage) <= local
    assert closure(stage, "hosted") - local == {file for file in closure(stage, "hosted") if "/hosted/" in file} != set()


def test_no_module_of_the_pipeline_imports_a_command():
    """What reads results hangs on the pipeline, never the other way round."""
    for path in (ROOT / "stages").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) affinage\b", path.read_text(encoding="utf-8"), re.MULTILINE), path


def test_the_folder_of_stages_holds_the_stage_scripts_and_packages_alone():
    files = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert files == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_its_own_section_and_its_defaults(stage):
    kind = {"base": "bases", "train": "models", "generate": "models", "judge": "models"}.get(stage, "datasets")
    assert PIPELINE[stage]["foreach"] == f"${{{kind}}}"
    assert PIPELINE[stage]["do"]["params"] == [f"{kind}.${{key}}.{stage}", *DEFAULTS[stage]]


def test_every_file_that_is_no_module_is_a_dependency_of_a_stage():
    """Prompts and templates lie beside the code that reads them, inside what a stage declares."""
    declared = {dep for entry in PIPELINE.values() for dep in entry["do"]["deps"]}
    packages = {"/".join(file.split("/")[:2]) for stage in STAGES for file in closure(stage)}
    for path in (ROOT / "stages").rglob("*"):
        name = path.relative_to(ROOT).as_posix()
        if path.is_file() and path.suffix not in (".py", ".pyc") and "/".join(name.split("/")[:2]) in packages:
            inside = {folder.relative_to(ROOT).as_posix() for folder in (path, *path.parents) if folder.is_relative_to(ROOT)}
            assert inside & declared, f"{name} is no dependency of any stage"


def test_scrape_depends_on_its_source_directory():
    assert "${item.source}" in PIPELINE["scrape"]["do"]["deps"]


def test_no_stage_has_a_plain_output_outside_the_cache():
    """One such output, and DVC keeps no run of the stage: going back to old values would run it again."""
    for stage, entry in PIPELINE.items():
        for out in entry["do"].get("outs", []):
            assert isinstance(out, str) or next(iter(out.values())).get("cache", True), stage


def test_paths_in_the_command_are_deps_or_outputs_or_timings():
    for stage, entry in PIPELINE.items():
        do = entry["do"]
        declared = [*do["deps"], *outputs(do)]
        for word in shlex.split(do["cmd"])[4:]:
            if not word.startswith("--") and not word.startswith("metrics/speed/"):
                assert any(path == word or path.startswith(f"{word}/") for path in declared), (stage, word)


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_names_the_paths_of_the_stage(stage):
    """All of them as options, in the order of the stage's `Paths`, and nothing else."""
    command = shlex.split(PIPELINE[stage]["do"]["cmd"])
    assert command[:4] == ["python", "-m", f"stages.{stage}", "${key}"]
    assert command[4::2] == [f"--{field.name}" for field in fields(import_module(f"stages.{stage}").Paths)]


@pytest.fixture(scope="module")
def twin(tmp_path_factory) -> Path:
    """A repository with this one's graph and parameters, whose commands write a checksum of the parameters; run once."""
    folder = tmp_path_factory.mktemp("twin")
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data" / "sources", folder / "data" / "sources")
    shutil.copytree(ROOT / "marks", folder / "marks")
    pipeline = YAML(typ="safe").load((folder / "dvc.yaml").read_text())
    for entry in pipeline["stages"].values():
        do = entry["do"]
        outs = outputs(do)
        shards = {model["shards"] for model in PARAMS["models"].values() if "/" in model["shards"]} | {"train/000.jsonl"}
        inside = {"formatted": ("prompt.json", "labels.json", *sorted(shards), "validation/0", "test/0")}
        paths = [f"{out}/{name}" for out in outs for name in inside.get(out.rsplit("/")[-1], ())]
        paths += [out if "." in out.rsplit("/")[-1] else f"{out}/0" for out in outs if out.rsplit("/")[-1] not in inside]
        do["cmd"] = " && ".join(f"mkdir -p $(dirname {path}) && cksum params.yaml > {path}" for path in paths)
    with open(folder / "dvc.yaml", "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(pipeline, file)
    for command in (["init", "-q", "--no-scm"], ["config", "core.analytics", "false"], ["repro", "-q"]):
        dvc(folder, *command)
    return folder


def ran(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


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


def replaced(tree: dict, path: tuple, value) -> dict:
    """A copy of the parameters with one leaf replaced."""
    return {**tree, path[0]: value if len(path) == 1 else replaced(tree[path[0]], path[1:], value)}


def is_wiring(path: tuple) -> bool:
    return len(path) == 3 and path[2] in WIRING or path == ("judge_base",)


def readers(path: tuple) -> set[str]:
    """The stages that read a leaf: the one of its entry, or those of all entries whose section of defaults holds it."""
    if is_wiring(path):
        return set()
    if path[0] != "defaults":
        return {f"{path[2]}@{path[1]}"}
    kind, stage = PIPELINE[path[1]]["foreach"][2:-1], path[1]
    section, choice = {"label": ("label", "method"), "format": ("format", "style")}.get(stage, ("train", "method"))
    exact = stage in ("scrape", "split") or path[2] == "all"
    return {f"{stage}@{key}" for key, entry in PARAMS[kind].items() if exact or entry[section][choice] == path[2]}


def write(folder: Path, tree: dict) -> None:
    with open(folder / "params.yaml", "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(tree, file)


@pytest.mark.slow
def test_every_leaf_is_tracked_by_exactly_the_stages_that_read_it(twin, monkeypatch):
    """By DVC's own comparison of dvc.lock with params.yaml, which is handed over in memory instead of parsed each time."""
    from dvc.dependency import param
    from dvc.repo import Repo

    current = PARAMS
    monkeypatch.setattr(param, "load_path", lambda *_: current)
    with Repo(twin) as repo:
        tracked = [
            (stage.name, dep) for stage in repo.index.stages for dep in stage.deps if isinstance(dep, param.ParamsDependency)
        ]

        def changed() -> set[str]:
            return {name for name, dep in tracked if dep.workspace_status()}

        assert changed() == set()
        for path in leaves(PARAMS):
            value = PARAMS
            for part in path:
                value = value[part]
            current = replaced(PARAMS, path, other(value))
            assert changed() == readers(path), ".".join(path)


@pytest.mark.slow
def test_every_wire_changes_exactly_the_stages_that_name_it(twin):
    """Of each wiring field: the stages whose command or dependencies differ, as DVC resolves them."""
    from dvc.repo import Repo

    def resolved() -> dict:
        with Repo(twin) as repo:
            return {stage.name: (stage.cmd, sorted(str(dep.def_path) for dep in stage.deps)) for stage in repo.index.stages}

    before = resolved()
    try:
        for path in filter(is_wiring, leaves(PARAMS)):
            write(twin, replaced(PARAMS, path, "another"))
            after = resolved()
            naming = {
                f"{stage}@{key}"
                for stage, entry in PIPELINE.items()
                for key in ([path[1]] if len(path) > 1 else PARAMS[entry["foreach"][2:-1]])
                if path[0] in (entry["foreach"][2:-1], "judge_base")
                and f"${{{'item.' if len(path) > 1 else ''}{path[-1]}}}" in str(entry["do"])
            }
            assert naming, f"{'.'.join(path)} is read by no stage"
            assert {name for name in before if before[name] != after[name]} == naming, ".".join(path)
    finally:
        write(twin, PARAMS)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_dvc_status_names_the_one_stage_that_reads_a_leaf(twin, stage):
    own = (path for path in leaves(PARAMS) if len(path) > 3 and path[0] != "defaults" and path[2] == stage)
    path = next(path for path in own if path[3] not in ("method", "style"))  # these choose defaults, also of later stages
    value = PARAMS
    for part in path:
        value = value[part]
    try:
        write(twin, replaced(PARAMS, path, other(value)))
        assert changed_stages(twin) == {f"{stage}@{path[1]}"}
    finally:
        write(twin, PARAMS)


@pytest.mark.slow
def test_another_method_of_training_is_another_choice_of_defaults_for_all_stages_of_a_model(twin):
    try:
        write(twin, replaced(PARAMS, ("models", "medical", "train", "method"), "classifier"))
        assert changed_stages(twin) == {f"{stage}@medical" for stage in ("train", "generate", "judge")}
    finally:
        write(twin, PARAMS)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["stages/prompts/alpaca.py", "stages/labels/clean.py", "stages/judging/signals.py"])
def test_dvc_status_names_exactly_the_stages_that_a_module_belongs_to(twin, module):
    from dvc.repo import Repo

    owners = {stage for stage in STAGES if module in closure(stage)}
    text = (twin / module).read_text(encoding="utf-8")
    try:
        (twin / module).write_text(text + "\n# edited\n", encoding="utf-8")
        with Repo(twin) as repo:
            named = {name.rpartition(":")[2] for name, state in repo.status().items() if "stages" in str(state)}
        assert named == {f"{stage}@{key}" for stage in owners for key in PARAMS[PIPELINE[stage]["foreach"][2:-1]]}
    finally:
        (twin / module).write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_changing_one_parameter_reruns_its_stage_and_what_hangs_on_it(twin):
    try:
        written = PARAMS["datasets"]["medical_qa"]["format"] | {"shard_rows": 10}
        write(twin, replaced(PARAMS, ("datasets", "medical_qa", "format"), written))
        models = [name for name, model in PARAMS["models"].items() if model["dataset"] == "medical_qa"]
        after = {f"{stage}@{name}" for name in models for stage in ("train", "generate", "judge")}
        assert ran(dvc(twin, "repro")) == {"format@medical_qa"} | after
        write(twin, PARAMS)
        assert ran(dvc(twin, "repro")) == set()  # back to old values: DVC remembers every stage
    finally:
        write(twin, PARAMS)


@pytest.mark.slow
def test_a_changed_default_reruns_the_stages_of_its_method_and_its_old_value_nothing(twin):
    try:
        write(twin, replaced(PARAMS, ("defaults", "train", "classifier", "class_weights"), "balanced"))
        assert ran(dvc(twin, "repro")) == {"train@invoices", "generate@invoices", "judge@invoices"}
        write(twin, PARAMS)
        assert ran(dvc(twin, "repro")) == set()
    finally:
        write(twin, PARAMS)
