"""Services that answer otherwise, and cost no more for it."""

import json

import pytest

from stages.common.errors import StageError
from stages.training.hosted import job
from stages.training.hosted.shown import hyperparameters as hyperparameters_of
from stages.training.hosted.shown import job as shown_job
from tests.training.hosted import helpers
from tests.training.hosted.service import Fault

PLACES = pytest.mark.parametrize("shows", [("top",), ("method",), ("top", "method")], ids="+".join)
CHOSEN = {"n_epochs": 3, "batch_size": 2, "learning_rate_multiplier": 1.8}


def metrics(work) -> dict:
    return json.loads((work / "model.json").read_text())


def lose_scratch(work, monkeypatch, name: str = "other") -> None:
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(work / name))


@PLACES
def test_what_was_really_used_is_told(work, account, shows):
    account.shows = shows
    about = helpers.train(work, n_epochs="auto")
    assert about["hyperparameters"] == CHOSEN and metrics(work)["epochs"] == 3


@PLACES
def test_a_limit_holds_wherever_the_service_shows_its_choice(work, account, shows):
    account.shows, account.auto_epochs = shows, 40
    with pytest.raises(StageError, match="40 epochs, chosen by the service"):
        helpers.train(work, n_epochs="auto", limit_dollars=0.02)
    assert account.jobs["ftjob-0001"]["status"] == "cancelled"


@pytest.mark.parametrize("shows", [(), ("top", "method")], ids=["nothing", "auto"])
def test_a_choice_that_is_not_shown_cannot_be_bounded(work, account, shows):
    account.shows, account.shows_chosen = shows, False
    account.states = ["validating_files", "queued", *["running"] * 4, "succeeded"]
    with pytest.raises(StageError, match="a number of epochs that the service does not say(.|\n)*set n_epochs"):
        helpers.train(work, n_epochs="auto", limit_dollars=0.02)
    assert account.jobs["ftjob-0001"]["status"] == "cancelled"
    about = helpers.train(work, n_epochs=2, limit_dollars=0.02)
    assert about["hyperparameters"]["n_epochs"] == 2 == metrics(work)["epochs"]


def test_a_job_that_runs_by_another_word_is_bounded_all_the_same(work, account):
    account.shows = ()
    account.states = ["validating_files", *["in_progress"] * 4, "succeeded"]
    with pytest.raises(StageError, match="a number of epochs that the service does not say"):
        helpers.train(work, n_epochs="auto", limit_dollars=0.02)
    assert account.jobs["ftjob-0001"]["status"] == "cancelled"


def test_a_job_that_the_service_does_not_cancel_is_named(work, account):
    account.auto_epochs = 40
    account.faults = [Fault("jobs.cancel", nth, 405, False) for nth in range(1, 9)]
    with pytest.raises(StageError, match="40 epochs, chosen by the service(.|\n)*cancel job ftjob-0001 at the service at once"):
        helpers.train(work, n_epochs="auto", limit_dollars=0.02)


def test_a_choice_that_is_not_shown_passes_where_the_limit_holds_for_any(work, account):
    account.shows = ()
    helpers.train(work, n_epochs="auto", limit_dollars=1.0)
    assert metrics(work)["epochs"] is None


@PLACES
@pytest.mark.parametrize("epochs", [2, "auto"])
def test_without_metadata_and_scratch_a_job_is_paid_once(work, account, monkeypatch, capsys, shows, epochs):
    account.keeps_metadata, account.shows = False, shows
    first = helpers.train(work, n_epochs=epochs)
    lose_scratch(work, monkeypatch)
    assert helpers.train(work, n_epochs=epochs) == first
    assert len(account.jobs) == 1
    assert "ftjob-0001 is taken for this one" in capsys.readouterr().err
    lose_scratch(work, monkeypatch, "third")
    helpers.train(work, n_epochs=4)
    assert len(account.jobs) == 2  # another one, and seen to be


def test_a_job_that_waits_for_hours_says_so(work, account, capsys):
    account.states = ["validating_files", *["queued"] * 1500, "running", "succeeded"]
    helpers.train(work)
    assert capsys.readouterr().err.count("ftjob-0001 still queued; Ctrl-C leaves it") == 2


def test_a_job_that_shows_no_hyperparameters_is_not_paid_twice(work, account, monkeypatch):
    account.keeps_metadata, account.shows = False, ()
    first = helpers.train(work)
    lose_scratch(work, monkeypatch)
    assert helpers.train(work) == first and len(account.jobs) == 1


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"hyperparameters": {}, "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}}, True),
        ({"hyperparameters": {}, "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}}, False),
        ({"hyperparameters": {"n_epochs": "auto"}}, False),
        ({"hyperparameters": None}, True),
        ({"hyperparameters": {"n_epochs": "2"}}, True),
        ({"hyperparameters": {"n_epochs": "3"}}, False),
        ({"hyperparameters": [], "method": "supervised", "n_epochs": 3}, False),
        ({"seed": "7"}, True),
        ({"seed": 8}, False),
        ({"validation_file": ""}, True),
        ({"user_provided_suffix": ""}, True),
        ({"user_provided_suffix": "elle"}, True),
        ({"user_provided_suffix": "lui"}, False),
    ],
    ids=str,
)
def test_which_job_is_ours(change, same):
    request = job.request_of("gpt-4o", {"training_file": "file-1"}, helpers.params(), "mark")
    there = {"id": "j", "model": "gpt-4o", "training_file": "file-1", "validation_file": None, "status": "running", **change}
    assert job._as_asked(there, request) == same
    there.pop("validation_file")
    assert job._as_asked(there, request) == same


def test_a_rate_that_a_service_keeps_in_float32_is_the_one_asked_for():
    request = job.request_of("gpt-4o", {"training_file": "file-1"}, helpers.params(learning_rate_multiplier=0.1), "mark")
    there = {"id": "j", "model": "gpt-4o", "training_file": "file-1", "hyperparameters": {}}
    for rate, same in ((0.10000000149011612, True), ("0.1", True), (0.11, False)):
        there["hyperparameters"]["learning_rate_multiplier"] = rate
        assert job._as_asked(there, request) == same


@pytest.mark.parametrize(
    ("answer", "status"),
    [("Succeeded", "succeeded"), ("completed", "succeeded"), ("canceled", "cancelled"), ("EXPIRED", "failed"), (None, "")],
)
def test_how_a_job_ended_in_other_words(answer, status):
    assert shown_job({"id": "j", "status": answer})["status"] == status


def as_shown(account, **changes) -> None:
    """Lets the service show every job with these changes, once it has ended."""
    whole = account._shown

    def shown(id: str) -> dict:
        job = whole(id)
        return job | (changes if job["finished_at"] else {})

    account._shown = shown


def test_numbers_and_times_as_text_are_no_traceback_after_a_paid_job(work, account):
    as_shown(account, trained_tokens="1200", created_at="2026-01-01T00:00:00Z", finished_at="1767225600")
    helpers.train(work)
    assert metrics(work)["tokens"] == 1200 and metrics(work)["dollars"] == pytest.approx(1200 * 3 / 1e6)
    account.wrong.clear()


def test_a_job_that_ended_in_an_unknown_word_is_not_waited_for(work, account):
    as_shown(account, status="retired", fine_tuned_model=None, error="the machine is gone")
    with pytest.raises(StageError, match="retired(.|\n)*the machine is gone"):
        helpers.train(work)
    account.wrong.clear()


@pytest.mark.parametrize(
    ("top", "under", "hyperparameters"),
    [
        ({"n_epochs": "auto"}, {"n_epochs": 5}, 5),
        ({"n_epochs": 5}, {"n_epochs": "auto"}, 5),
        ({"n_epochs": 4}, {"n_epochs": 5}, 5),
        ({"n_epochs": None}, {"n_epochs": 5}, 5),
        (None, {"n_epochs": 5}, 5),
        ({}, None, None),
        ({"n_epochs": "auto"}, {}, "auto"),
        ({"n_epochs": "5"}, {}, 5),
        ({"n_epochs": 5.0}, {"n_epochs": None}, 5),
        ("none", {"n_epochs": 4.2}, 5),
    ],
)
def test_every_place_is_read(top, under, hyperparameters):
    shown = {"hyperparameters": top, "method": {"type": "supervised", "supervised": {"hyperparameters": under}}}
    assert hyperparameters_of(shown).get("n_epochs") == hyperparameters


@pytest.mark.parametrize("order", ["newest first", "oldest first", "none"])
def test_events_come_in_any_order(work, account, capsys, order):
    account.order, account.results, account.page = order, False, 5
    helpers.train(work)
    steps = (work / "model.csv").read_text().splitlines()
    assert len(steps) == 13 and [step.split(",")[0] for step in steps[1:]] == [str(step) for step in range(1, 13)]
    shown = capsys.readouterr().err
    for text in ("Created fine-tuning job", "Files validated", "successfully completed", "12/12 steps"):
        assert shown.count(text) == 1


def test_a_result_file_that_is_not_there(work, account, capsys):
    account.loses_results = True
    helpers.train(work)
    assert len((work / "model.csv").read_text().splitlines()) == 13
    assert "is not there" in capsys.readouterr().err


@pytest.mark.parametrize("call", ["files.create", "jobs.create", "jobs.list", "jobs.retrieve"])
@pytest.mark.parametrize("acted", [False, True])
def test_a_conflict_is_waited_out_as_long_as_asked(work, account, waits, call, acted):
    account.faults = [Fault(call, 1, 409, acted, {"Retry-After": "11"})]
    helpers.train(work)
    assert len(account.jobs) == 1 and waits.count(11.0) == 1
    assert sorted(account.uploads().values()) == [1, 1]
