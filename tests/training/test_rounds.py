"""Rounds under DVC: with this repository's own graph, rows that come later train a new round and no other."""

import shutil

import pytest
from ruamel.yaml import YAML

from tests import tiny
from tests.imports import ROOT
from tests.processes import dvc

# what each stage does here: the least that gives its outputs; train says which model it trained
COMMANDS = {
    "base": "mkdir -p models/{key} && echo {key} > models/{key}/config.json",
    "format": "mkdir -p data/{key}/formatted metrics/{key} && cp -r source/. data/{key}/formatted"
    " && echo 1 > metrics/{key}/format.json && echo 1 > metrics/{key}/lengths.csv",
    "train": "echo {key} >> trained.txt && mkdir -p models/{key} metrics/{key} && echo {key} > models/{key}/config.json"
    " && echo 1 > metrics/{key}/train.json && echo 1 > metrics/{key}/results.csv",
}


def dump(path, content) -> None:
    with open(path, "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(content, file)


@pytest.fixture
def repository(tmp_path):
    """The graph with its format and train stages alone: split's output is `source`, which the test writes."""
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    stages = {name: stages[name] for name in COMMANDS}
    for name, entry in stages.items():
        entry["do"]["cmd"] = COMMANDS[name].replace("{key}", "${key}")
    stages["format"]["do"]["deps"] = ["source"]
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    tiny.formatted(tmp_path / "source")
    dump(tmp_path / "dvc.yaml", {"stages": stages})
    dvc(tmp_path, "init", "-q", "--no-scm")
    dvc(tmp_path, "config", "core.analytics", "false")
    return tmp_path


def repro(folder, *rounds: tuple[str, str, str]) -> list[str]:
    """Which models a `dvc repro` of these rounds (name, base, shards) trained."""
    (folder / "trained.txt").write_text("")
    models = {
        name: {"dataset": "d", "base": base, "shards": shards, "train": {"method": "causal"}} for name, base, shards in rounds
    }
    datasets = {"d": {"format": {"style": "alpaca", "shard_rows": 24}}}
    defaults = {"format": {"all": {}, "alpaca": {}}, "train": {"all": {}, "causal": {}}}
    params = {"defaults": defaults, "bases": {"b": {"base": {"kind": "x"}}}, "datasets": datasets, "models": models}
    dump(folder / "params.yaml", params)
    dvc(folder, "repro", "-q")
    return (folder / "trained.txt").read_text().split()


@pytest.mark.slow
def test_rows_appended_train_the_new_round_alone(repository):
    first, second = ("t_001", "b", "train/000.jsonl"), ("t_002", "t_001", "train/001.jsonl")
    assert repro(repository, first) == ["t_001"]
    shutil.copy(repository / "source" / "test" / "000.jsonl", repository / "source" / "train" / "001.jsonl")
    assert repro(repository, first) == []
    assert repro(repository, first, second) == ["t_002"]
    assert repro(repository, first, second) == []
    whole = ("whole", "b", "train")  # one that reads all shards does run again
    assert repro(repository, first, second, whole) == ["whole"]
    shutil.copy(repository / "source" / "test" / "000.jsonl", repository / "source" / "train" / "002.jsonl")
    assert repro(repository, first, second, whole) == ["whole"]
