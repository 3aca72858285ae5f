"""What docs/experiments.md promises of the queue, on tiny models: a grid side by side, and a run that was killed."""

import time
from collections import Counter

import pytest
from dvc.repo import Repo

from tests.repository import MODEL

pytestmark = pytest.mark.slow


def commit_of(repo, name: str) -> str:
    listed = repo.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").splitlines()
    return next(line.split()[1] for line in listed if line.split()[0].endswith(f"/{name}"))


def worked_off(repo, until_none: tuple[str, ...] = ("Queued", "Running")) -> dict[str, int]:
    """How many tasks of the queue ended how, once none waits or runs (or is in the states given).

    Asked by DVC's own code, in this process: `dvc queue status` starts anew each time, which costs as much as a stage.
    """
    until = time.monotonic() + 300
    with Repo(repo.folder) as opened:
        while True:
            tasks = Counter(task["status"] for task in opened.experiments.celery_queue.status())
            if not tasks.keys() & set(until_none):
                return tasks
            assert time.monotonic() < until, tasks
            time.sleep(0.5)


def test_a_queued_grid_runs_side_by_side(here):
    said = here.dvc("exp", "run", "--queue", "-S", f"models.{MODEL}.generate.repetition_penalty=1.2,1.3")
    assert said.count("Queued experiment") == 2
    here.dvc("queue", "start", "-j", "2")
    assert worked_off(here) == {"Success": 2}
    assert here.dvc("queue", "status").count("Success") == 2
    assert "up to date" in here.dvc("status")
    table = here.affinage("table")
    assert all(f"generate.repetition_penalty 1.0 → {value}" in table for value in (1.2, 1.3))
    here.dvc("queue", "remove", "--all")


def test_a_queued_run_that_was_killed_goes_on_where_it_was(here):
    steps, kill = here.tools / "steps.txt", here.tools / "kill"
    steps.unlink()
    kill.write_text("4")
    change = ("-S", f"models.{MODEL}.train.batch_rows=4", f"train@{MODEL}")
    here.dvc("exp", "run", "--queue", "-n", "killed", *change)
    here.dvc("queue", "start")
    assert worked_off(here) == {"Failed": 1}
    first = list(map(int, steps.read_text().split()))
    assert max(first) == 4 and not kill.exists()
    assert f"Running stage 'train@{MODEL}'" in here.dvc("queue", "logs", "killed")
    here.dvc("queue", "remove", "--failed")
    assert worked_off(here) == {}
    steps.unlink()
    here.dvc("exp", "run", "--queue", "-n", "resumed", *change)
    here.dvc("queue", "start")
    assert worked_off(here) == {"Success": 1}
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


def test_a_task_is_ended(here):
    here.dvc("exp", "run", "--queue", "-n", "unwanted", "-S", f"models.{MODEL}.train.epochs=1000", f"train@{MODEL}")
    here.dvc("queue", "start")
    assert worked_off(here, until_none=("Queued",)) == {"Running": 1}
    here.dvc("queue", "kill", "unwanted")
    assert worked_off(here) == {"Failed": 1}
    here.dvc("queue", "remove", "--all")
