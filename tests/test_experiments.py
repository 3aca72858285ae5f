"""What docs/experiments.md promises, on tiny models: experiments run, queued, killed, applied, shared and pulled."""

import json
import time

import pytest
from ruamel.yaml import YAML

from tests import repository
from tests.repository import MODEL, ran

pytestmark = pytest.mark.slow
TOKENS, ROWS = f"models.{MODEL}.generate.max_new_tokens", f"models.{MODEL}.train.batch_rows"
AFTER_GENERATE = [f"generate@{MODEL}", f"judge@{MODEL}"]
# a training step that is written down, and that a file can make deadly, once
DEADLY = """

_undisturbed_schedule = schedule


def schedule(kind, step, *rest):
    import os
    import signal
    from pathlib import Path

    tools = Path(os.environ["TOOLS"])
    with open(tools / "steps.txt", "a") as log:
        log.write(f"{step}\\n")
    if (tools / "kill").exists() and (tools / "kill").read_text() == str(step):
        (tools / "kill").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return _undisturbed_schedule(kind, step, *rest)
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A repository with a finished run; every test leaves its work tree as it was."""
    folder = tmp_path_factory.mktemp("experiments")
    made = repository.make(folder / "work", folder / "tools")
    loop = made.folder / "stages" / "training" / "loop.py"
    text = loop.read_text(encoding="utf-8")
    assert "CHECKPOINT_SECONDS = 60" in text
    loop.write_text(text.replace("CHECKPOINT_SECONDS = 60", "CHECKPOINT_SECONDS = -1") + DEADLY, encoding="utf-8")
    repository.finish(made)
    return made


@pytest.fixture(autouse=True)
def clean(here):
    yield
    here.git("checkout", "-q", "-f", "main")
    here.dvc("checkout", "-q", "--force")


def scores(repo) -> dict:
    return json.loads((repo.folder / "metrics" / MODEL / "scores.json").read_text())


def commit_of(repo, name: str) -> str:
    listed = repo.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").splitlines()
    return next(line.split()[1] for line in listed if line.split()[0].endswith(f"/{name}"))


def test_a_changed_parameter_runs_what_hangs_on_it_and_the_table_shows_it(here):
    assert ran(here.dvc("exp", "run", "-n", "longer", "-S", f"{TOKENS}=16")) == AFTER_GENERATE
    here.git("checkout", "-q", "-f", "main")
    here.dvc("checkout", "-q")
    assert "up to date" in here.dvc("status")
    table = here.stage("stages.table").splitlines()
    assert "      generate.max_new_tokens 12 → 16" in table
    assert max(map(len, table)) <= 100
    assert TOKENS in here.dvc("exp", "diff", "HEAD", "longer")


def test_going_back_to_old_values_runs_nothing(here):
    here.dvc("exp", "run", "-n", "away", "-S", f"{TOKENS}=10")
    assert ran(here.dvc("exp", "run", "-n", "back", "-S", f"{TOKENS}=12")) == []


def test_a_queued_grid_runs_side_by_side(here):
    said = here.dvc("exp", "run", "--queue", "-S", f"models.{MODEL}.generate.repetition_penalty=1.2,1.3")
    assert said.count("Queued experiment") == 2
    here.dvc("queue", "start", "-j", "2")
    wait(here)
    status = here.dvc("queue", "status")
    assert status.count("Success") == 2, status
    assert "up to date" in here.dvc("status")
    table = here.stage("stages.table")
    assert all(f"generate.repetition_penalty 1.0 → {value}" in table for value in (1.2, 1.3))
    here.dvc("queue", "remove", "--all")


def wait(repo) -> None:
    """Until no task of the queue waits or runs."""
    until = time.monotonic() + 300
    while any(state in repo.dvc("queue", "status") for state in ("Queued", "Running")):
        assert time.monotonic() < until, repo.dvc("queue", "status")
        time.sleep(1)


def test_a_queued_run_that_was_killed_goes_on_where_it_was(here):
    steps, kill = here.tools / "steps.txt", here.tools / "kill"
    steps.unlink()
    kill.write_text("4")
    change = ("-S", f"{ROWS}=4")
    here.dvc("exp", "run", "--queue", "-n", "killed", *change)
    here.dvc("queue", "start")
    wait(here)
    assert "Failed" in here.dvc("queue", "status")
    first = list(map(int, steps.read_text().split()))
    assert max(first) == 4 and not kill.exists()
    here.dvc("queue", "remove", "--all")
    steps.unlink()
    here.dvc("exp", "run", "--queue", "-n", "resumed", *change)
    here.dvc("queue", "start")
    wait(here)
    assert "Success" in here.dvc("queue", "status"), here.dvc("queue", "status")
    again = list(map(int, steps.read_text().split()))
    assert again == sorted(again) and again[0] == 4  # the step in which it died; those before it are not done again
    here.dvc("queue", "remove", "--all")
    resumed = commit_of(here, "resumed")
    here.dvc("exp", "remove", "resumed")
    # an undisturbed run, from nothing, ends in the same bytes
    here.run("rm", "-rf", ".cache", ".dvc/cache/runs")
    steps.unlink()
    here.dvc("exp", "run", "--temp", "-n", "undisturbed", *change)
    assert steps.read_text().split()[0] == "0"
    assert here.git("diff", resumed, commit_of(here, "undisturbed"), "--", "dvc.lock", f"metrics/{MODEL}") == ""


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
    said = here.stage("stages.prune")
    assert f"models/{MODEL}" in said
    assert (here.folder / "models" / MODEL).exists()  # only named, not yet removed
    here.stage("stages.prune", "--remove")
    assert not (here.folder / "models" / MODEL).exists()
    assert not (here.folder / "metrics" / MODEL).exists()
    assert (here.folder / "models" / "smollm2").exists()
    assert f"@{MODEL}:" not in (here.folder / "dvc.lock").read_text()
    assert ran(here.dvc("repro")) == []
    assert "nothing" in here.stage("stages.prune")
