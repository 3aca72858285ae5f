import os
import subprocess
import sys

import pytest

from affinage.commands import jobs
from stages.common.errors import StageError
from tests.imports import ROOT
from tests.training.hosted import helpers
from tests.training.hosted.service import KEY, Fault


@pytest.fixture
def running(work, account, monkeypatch) -> str:
    """A job that was left to run."""

    def interrupted(_) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("stages.training.hosted.following.sleep", interrupted)
        with pytest.raises(StageError, match="interrupted"):
            helpers.train(work)
    return next(iter(account.jobs))


def do(service, capsys, *words: str) -> str:
    capsys.readouterr()
    jobs.run(words[0], words[1] if len(words) > 1 else None, service.address("main"))
    return capsys.readouterr().out


def test_jobs_are_listed_page_by_page(work, service, account, capsys, running):
    helpers.train(work)
    strange = {"metadata": {}, "status": "running", "fine_tuned_model": None}
    for number in range(10, 25):
        account.jobs[f"ftjob-{number:04}"] = account.jobs[running] | strange | {"id": f"ftjob-{number:04}"}
        account.hidden[f"ftjob-{number:04}"] = 0
    lines = do(service, capsys, "list").splitlines()
    assert len(lines) == 16 and account.count("jobs.list") >= 3
    assert [line[0] for line in lines] == [" "] * 15 + ["*"]
    assert "succeeded" in lines[-1] and lines[-1].endswith("ft:gpt-4o-mini-2024-07-18:org:elle:0001")


def test_a_job_is_shown_cancelled_and_stays_so(service, account, capsys, running):
    assert f'id: "{running}"' in do(service, capsys, "show", running)
    account.faults = [Fault("jobs.cancel", 1, "drop", True)]
    assert "cancelled" in do(service, capsys, "cancel", running)
    assert "cancelled" in do(service, capsys, "cancel", running)
    assert account.jobs[running]["status"] == "cancelled" and account.count("jobs.cancel") == 1


def test_a_job_is_paused_and_resumed(work, service, account, capsys, running):
    do(service, capsys, "pause", running)
    before = account.jobs[running]["status"]
    do(service, capsys, "show", running)
    assert account.jobs[running]["status"] == before and running in account.paused
    do(service, capsys, "resume", running)
    assert helpers.train(work)["job"] == running


def test_events_come_oldest_first(work, service, account, capsys, running):
    helpers.train(work)
    lines = do(service, capsys, "events", running).splitlines()
    assert len(lines) == len(account.events[running]) > account.page
    assert "Created fine-tuning job" in lines[0] and "successfully completed" in lines[-1]


@pytest.mark.parametrize("verb", ["show", "cancel", "pause", "resume", "events"])
def test_an_unknown_job_is_told(service, account, verb, waits):
    with pytest.raises(StageError, match="status 404: Could not find fine tune: ftjob-9"):
        jobs.run(verb, "ftjob-9", service.address("main"))
    with pytest.raises(StageError, match="a job for every verb but list"):
        jobs.run(verb, None, service.address("main"))


def command(service, *words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "affinage", "jobs", *words, "--base-url", service.address("main")],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_on_the_command_line(service, account):
    listed = command(service, "list")
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", "")
    refused = command(service, "show", "ftjob-1", OPENAI_API_KEY=KEY + "x")
    assert refused.returncode == 1 and refused.stderr.startswith("error: http") and KEY not in refused.stderr
    assert "Traceback" not in refused.stderr
