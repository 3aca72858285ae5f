"""What docs/experiments.md promises, on tiny models: experiments run, applied, shared and pulled. The queue: test_queue.py."""

import json

import pytest
from ruamel.yaml import YAML

from tests import repository
from tests.repository import MODEL, ran

pytestmark = pytest.mark.slow
TOKENS = f"models.{MODEL}.generate.max_new_tokens"
AFTER_GENERATE = [f"generate@{MODEL}", f"judge@{MODEL}"]


@pytest.fixture(autouse=True)
def clean(here):
    yield
    here.git("checkout", "-q", "-f", "main")
    here.dvc("checkout", "-q", "--force")


def scores(repo) -> dict:
    return json.loads((repo.folder / "metrics" / MODEL / "scores.json").read_text())


def test_a_changed_parameter_runs_what_hangs_on_it_and_the_table_shows_it(here):
    assert ran(here.dvc("exp", "run", "-n", "longer", "-S", f"{TOKENS}=16")) == AFTER_GENERATE
    here.git("checkout", "-q", "-f", "main")
    here.dvc("checkout", "-q")
    assert "up to date" in here.dvc("status")
    table = here.affinage("table").splitlines()
    assert "      generate.max_new_tokens 12 → 16" in table
    assert max(map(len, table)) <= 100
    assert TOKENS in here.dvc("exp", "diff", "HEAD", "longer")


def test_going_back_to_old_values_runs_nothing(here):
    bootstrap = f"models.{MODEL}.judge.bootstrap"
    assert ran(here.dvc("exp", "run", "-n", "away", "-S", f"{bootstrap}=110")) == [f"judge@{MODEL}"]
    assert ran(here.dvc("exp", "run", "-n", "back", "-S", f"{bootstrap}=100")) == []


def test_a_value_left_to_the_defaults_is_changed_with_a_plus(here):
    leaf = f"models.{MODEL}.train.weight_decay"
    said = here.dvc("exp", "run", "-S", f"{leaf}=0.1", fails=True)
    assert f"+{leaf}=0.1" in said
    assert ran(here.dvc("exp", "run", "-S", f"+{leaf}=0.1")) == [f"train@{MODEL}", *AFTER_GENERATE]
    here.git("checkout", "-q", "-f", "main")
    said = here.dvc("exp", "run", "-S", f"+models.{MODEL}.train.weight_dcay=0.1", fails=True)
    assert f"models.{MODEL}.train.weight_dcay: unknown key; did you mean 'weight_decay'?" in said


def test_a_temporary_run_leaves_the_work_tree_alone_until_it_is_applied(here):
    before = scores(here)
    here.dvc("exp", "run", "--temp", "-n", "aside", "-S", f"models.{MODEL}.judge.bootstrap=150")
    assert here.git("status", "--porcelain") == "" and scores(here) == before
    here.dvc("exp", "apply", "aside")
    assert scores(here) != before
    assert "bootstrap: 150" in (here.folder / "params.yaml").read_text()
    assert "up to date" in here.dvc("status")


def test_save_and_branch(here):
    params = here.folder / "params.yaml"
    params.write_text(params.read_text().replace("max_new_tokens: 12", "max_new_tokens: 11"))
    here.dvc("repro")
    here.dvc("exp", "save", "-n", "kept")
    here.dvc("exp", "branch", "kept", "tried")
    assert "max_new_tokens: 11" in here.git("show", "tried:params.yaml")
    here.git("branch", "-D", "tried")


def test_a_fresh_clone_pulls_and_runs_nothing(here, tmp_path):
    here.dvc("exp", "run", "--temp", "-n", "shared", "-S", f"{TOKENS}=14")
    here.dvc("exp", "push", "origin", "shared")
    clone = here.clone(tmp_path / "clone")
    clone.dvc("pull")
    assert ran(clone.dvc("repro")) == []
    assert scores(clone) == scores(here)
    clone.dvc("exp", "pull", "origin", "shared")
    clone.dvc("exp", "apply", "shared")
    assert ran(clone.dvc("repro")) == []
    assert "max_new_tokens: 14" in (clone.folder / "params.yaml").read_text()
    assert (clone.folder / "data" / "answers" / f"{MODEL}.jsonl").exists()


def test_a_clone_with_a_remote_fetches_only_what_a_change_needs(here, tmp_path):
    clone = here.clone(tmp_path / "clone")
    params = clone.folder / "params.yaml"
    params.write_text(params.read_text().replace("max_new_tokens: 12", "max_new_tokens: 13"))
    assert ran(clone.dvc("repro", "--pull", "--allow-missing", f"judge@{MODEL}")) == AFTER_GENERATE
    assert not (clone.folder / "data" / repository.DATASET / "raw").exists()


def test_garbage_collection_keeps_named_experiments(here, tmp_path):
    """The command of docs/housekeeping.md: what no commit and no experiment names goes, the rest stays."""
    here.dvc("exp", "run", "-n", "worth", "-S", f"{TOKENS}=7")
    here.git("checkout", "-q", "-f", "main")
    here.dvc("exp", "run", "-n", "worthless", "-S", f"{TOKENS}=6")
    here.git("checkout", "-q", "-f", "main")
    here.dvc("checkout", "-q", "--force")
    here.dvc("exp", "remove", "worthless")
    before = cached(here)
    here.dvc("gc", "--workspace", "--all-commits", "--all-experiments", "--force")
    assert cached(here) < before
    here.dvc("exp", "apply", "worth")
    assert "up to date" in here.dvc("status")
    here.git("checkout", "-q", "-f", "main")
    here.dvc("checkout", "-q", "--force")
    assert "up to date" in here.dvc("status")


def cached(repo) -> int:
    """Files in the cache, without the run cache."""
    return sum(1 for path in (repo.folder / ".dvc" / "cache" / "files").rglob("*") if path.is_file())


def test_a_model_and_a_dataset_are_removed_cleanly(here):
    """The steps of docs/housekeeping.md: take the entries out of params.yaml, then let the command remove what is left."""
    params = here.folder / "params.yaml"
    content = YAML(typ="safe").load(params.read_text())
    content["models"] = {}
    with open(params, "w", encoding="utf-8") as file:
        YAML(typ="safe").dump(content, file)
    said = here.affinage("prune")
    assert f"models/{MODEL}" in said
    assert (here.folder / "models" / MODEL).exists()  # only named, not yet removed
    here.affinage("prune", "--remove")
    assert not (here.folder / "models" / MODEL).exists()
    assert not (here.folder / "metrics" / MODEL).exists()
    assert (here.folder / "models" / "smollm2").exists()
    assert f"@{MODEL}:" not in (here.folder / "dvc.lock").read_text()
    assert ran(here.dvc("repro")) == []
    assert "nothing" in here.affinage("prune")
