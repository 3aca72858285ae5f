"""Exactly one upload of each file and exactly one job, whatever happens on the way."""

import json
import subprocess
import sys

import pytest

from stages.common import files
from stages.common.errors import StageError
from stages.common.locks import alone
from stages.common.scratch import scratch
from stages.training.hosted import job, state
from tests import tiny
from tests.imports import ROOT
from tests.training.hosted import helpers
from tests.training.hosted.service import Account, Fault

IN_A_RUN = ["files.list", "files.create", "files.content", "jobs.list", "jobs.create", "jobs.retrieve", "jobs.events"]
IN_A_RUN += ["jobs.checkpoints"]
FAULTS = {
    "dropped before": ("drop", False),
    "dropped after": ("drop", True),
    "500 before": (500, False),
    "502 after": (502, True),
    "503 before": (503, False),
    "429 before": (429, False),
    "page after": ("page", True),
    "empty after": ("empty", True),
}


def paid_once(account: Account) -> None:
    """Two files of two contents, one job, and nothing else asked of it."""
    assert sorted(account.uploads().values()) == [1, 1]
    assert len(account.jobs) == 1
    assert next(iter(account.jobs.values()))["status"] == "succeeded"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", IN_A_RUN)
def test_a_fault_at_any_call_costs_nothing(work, account, call, fault):
    how, acted = FAULTS[fault]
    account.faults = [Fault(call, nth, how, acted) for nth in (1, 2, 4)]
    about = helpers.train(work)
    paid_once(account)
    assert about["model"] == "ft:gpt-4o-mini-2024-07-18:org:elle:0001"
    assert account.count("jobs.create") == 1 or (call == "jobs.create" and not acted)


@pytest.mark.parametrize("call", ["files.create", "jobs.create"])
def test_what_was_obeyed_is_found_though_lists_lag_behind(work, account, call):
    account.lag = 2
    account.faults = [Fault(call, 1, "drop", True)]
    helpers.train(work)
    paid_once(account)
    assert account.count(call) == (2 if call == "files.create" else 1)


@pytest.mark.parametrize("call", ["files.create", "jobs.create"])
def test_a_request_that_never_arrived_is_made_again(work, account, call):
    account.faults = [Fault(call, 1, "drop", False)]
    helpers.train(work)
    paid_once(account)
    assert account.count(call) == (3 if call == "files.create" else 2)


def test_the_next_process_finds_what_the_last_one_never_heard_of(work, account):
    account.lag = 2
    account.faults = [Fault("jobs.create", 1, "drop", True), *(Fault("jobs.list", nth, 500, False) for nth in range(3, 12))]
    with pytest.raises(StageError, match="500"):
        helpers.train(work)
    assert len(account.jobs) == 1
    account.faults = []
    helpers.train(work)
    paid_once(account)


def test_without_scratch_the_job_is_found_by_its_mark(work, account, monkeypatch):
    first = helpers.train(work)
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(work / "other"))
    assert helpers.train(work, "again") == first
    paid_once(account)


def test_without_scratch_and_metadata_it_is_found_by_what_was_asked(work, account, monkeypatch):
    account.keeps_metadata = False
    first = helpers.train(work)
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(work / "other"))
    assert helpers.train(work, "again") == first
    paid_once(account)
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(work / "third"))
    assert helpers.train(work, "third", n_epochs=3) != first
    assert len(account.jobs) == 2 and sorted(account.uploads().values()) == [1, 1]


def test_a_failed_job_beside_a_good_one_is_not_taken(work, account, monkeypatch):
    helpers.train(work)
    good = account.jobs["ftjob-0001"]
    account.jobs["ftjob-0000"] = good | {"id": "ftjob-0000", "status": "failed", "created_at": 1}
    account.hidden["ftjob-0000"] = 0
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(work / "other"))
    assert helpers.train(work, "again")["job"] == "ftjob-0001"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"seed": None}, True),
        ({"hyperparameters": {"n_epochs": 2, "batch_size": 8}}, True),
        ({"model": "gpt-4o-2024-08-06"}, True),
        ({"model": "gpt-4o-mini"}, False),
        ({"seed": 8}, False),
        ({"hyperparameters": {"n_epochs": 3}}, False),
        ({"training_file": "file-2"}, False),
        ({"validation_file": "file-3"}, False),
        ({"metadata": {"team": "a"}}, False),
    ],
)
def test_which_job_is_taken_for_ours_where_metadata_is_not_kept(tmp_path, change, same):
    request = job.request_of("gpt-4o", {"training_file": "file-1"}, helpers.params(), "mark")
    there = {"id": "j", "model": "gpt-4o", "training_file": "file-1", "validation_file": None, "seed": 7}
    there |= {"hyperparameters": {"n_epochs": 2}, "metadata": None, "status": "running", **change}

    class Listing:
        def all_jobs(self):
            return iter([there])

    assert (job.find(Listing(), state.State(tmp_path), request, 1) is not None) == same


def test_two_processes_do_not_work_on_one_job(work, account):
    with alone(scratch("hosted", "model", "files"), wait=False), pytest.raises(StageError, match="another process"):
        helpers.train(work)
    assert account.calls == []
    helpers.train(work)


def test_another_model_with_the_same_job_shares_it(work, account):
    first, second = helpers.train(work), helpers.train(work, "twin", limit_dollars=2.0)
    assert first == second
    paid_once(account)


def kills(requests: int, saves: int, outputs: int) -> dict[str, list]:
    """Every place where a run may be killed."""
    whens = [("request", requests, (False, True)), ("save", saves, (False, True)), ("output", outputs, (False,))]
    return {
        f"{kind}_{number}_{'after' if after else 'before'}": [kind, number, after]
        for kind, last, sides in whens
        for number in range(1, last + 1)
        for after in sides
    }


@pytest.fixture
def counted(monkeypatch) -> dict[str, int]:
    """How often state is saved, and outputs are put in their place."""
    counts = {"saves": 0, "outputs": 0}
    save, replace = state.write_json, files._replace

    def saving(*args) -> None:
        counts["saves"] += 1
        save(*args)

    def replacing(partial, path) -> None:
        counts["outputs"] += "scratch" not in path.parts and "formatted" not in path.parts
        replace(partial, path)

    monkeypatch.setattr(state, "write_json", saving)
    monkeypatch.setattr(files, "_replace", replacing)
    return counts


@pytest.mark.slow
def test_a_run_killed_anywhere_pays_once_and_ends_in_the_same_bytes(tmp_path, work, service, account, counted):
    helpers.train(work)
    outputs = ("model/hosted.json", "model/prompt.json", "model.csv", "model.json")
    calm = tiny.contents(*(work / output for output in outputs))
    plan = kills(len(account.calls), **counted)
    assert len(plan) > 50
    for name, (kind, number, after) in plan.items():
        folder = tmp_path / "runs" / name
        helpers.formatted(folder / "formatted")
        helpers.base(folder / "base", service.address(name))
        fresh = service.account(name, folder / "pid")
        fresh.faults = [Fault("", number, "kill", after)] if kind == "request" else []
    (tmp_path / "runs" / "plan.json").write_text(json.dumps(plan))
    subprocess.run([sys.executable, "-m", "tests.training.hosted.killed", tmp_path / "runs"], cwd=ROOT, check=True, timeout=500)
    for name in plan:
        folder = tmp_path / "runs" / name
        assert json.loads((folder / "ends.json").read_text()) == [-9, 0], name
        paid_once(service.accounts[name])
        there = tiny.contents(*(folder / output for output in outputs))
        for output, expected in calm.items():
            mark = json.loads((work / "model/hosted.json").read_text())["fingerprint"].encode()
            own = json.loads((folder / "model/hosted.json").read_text())["fingerprint"].encode()
            address, other = service.address("main").encode(), service.address(name).encode()
            assert there[output].replace(own, mark).replace(other, address) == expected, (name, output)
