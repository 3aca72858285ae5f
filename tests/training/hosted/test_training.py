import csv
import json
import os
import subprocess
import sys

import pytest

from stages import train as stage
from stages.common.errors import StageError
from stages.common.files import write_rows
from tests import tiny
from tests.imports import ROOT
from tests.training.hosted import helpers
from tests.training.hosted.service import KEY, MODEL, Fault

OUTPUTS = ("model/hosted.json", "model/prompt.json", "model/parent.json", "model.csv", "model.json")


def metrics(work, out: str = "model") -> dict:
    return json.loads((work / f"{out}.json").read_text())


def test_a_job_from_rows_to_a_model(work, account):
    about = helpers.train(work)
    (job,) = account.jobs.values()
    assert (about["provider"], about["model"], about["base"], about["root"]) == (
        "openai",
        job["fine_tuned_model"],
        MODEL,
        MODEL,
    )
    assert about["job"] == job["id"] and about["trained_tokens"] == job["trained_tokens"]
    assert about["hyperparameters"] == {"n_epochs": 2, "batch_size": 2, "learning_rate_multiplier": 1.8}
    assert [checkpoint["step"] for checkpoint in about["checkpoints"]] == [6, 12]
    assert about["checkpoints"][-1]["model"] == about["model"]
    assert about["files"]["training"]["rows"] == 12 and about["files"]["validation"]["rows"] == 3
    assert (job["seed"], job["_suffix"], job["metadata"]) == (7, "elle", {"affinage": about["fingerprint"]})
    assert job["method"]["type"] == "supervised"
    rows = [json.loads(line) for line in account.contents[job["training_file"]].splitlines()]
    assert rows[3]["messages"] == [*helpers.row(3)["messages"], {"role": "assistant", "content": "It is 6."}]
    assert json.loads((work / "model" / "prompt.json").read_text()) == {"stop": [], "style": "chat"}
    assert json.loads((work / "model" / "parent.json").read_text())["base"] == "base"


def test_the_table_is_that_of_local_training(work, account):
    helpers.train(work)
    with open(work / "model.csv", newline="") as file:
        steps = list(csv.DictReader(file))
    assert [step["step"] for step in steps] == [str(number) for number in range(1, 13)]
    assert (steps[1]["training_loss"], steps[1]["training_token_accuracy"]) == ("1.5", "0.5")
    assert (steps[4]["validation_loss"], steps[4]["validation_token_accuracy"]) == ("2.5", "0.25")
    assert not any(step[name] for step in steps for name in ("elapsed_tokens", "elapsed_examples"))  # not given, not made up
    measured = metrics(work)
    assert measured["training_loss"] == pytest.approx(sum(round(3 / s, 5) for s in range(7, 13)) / 6, abs=1e-5)  # an epoch
    assert (measured["steps"], measured["epochs"], measured["validation_loss"]) == (12, 2, 2.5)
    tokens = next(iter(account.jobs.values()))["trained_tokens"]
    assert measured["tokens"] == tokens and measured["dollars"] == pytest.approx(3 * tokens / 1e6)
    assert measured["dollars"] < measured["dollars_at_most"]


def test_a_rerun_gives_the_same_bytes_and_pays_nothing(work, account):
    helpers.train(work)
    first = tiny.contents(*(work / output for output in OUTPUTS))
    helpers.train(work)
    assert tiny.contents(*(work / output for output in OUTPUTS)) == first
    assert len(account.jobs) == 1 and account.count("files.create") == 2


@pytest.mark.parametrize(
    "change",
    [{"n_epochs": 3}, {"batch_size": 4}, {"learning_rate_multiplier": 0.5}, {"seed": 8}, {"suffix": ""}, {"attempt": 2}],
    ids=lambda change: next(iter(change)),
)
def test_another_hyperparameter_is_another_job_on_the_same_files(work, account, change):
    helpers.train(work)
    helpers.train(work, **change)
    assert len(account.jobs) == 2 and account.count("files.create") == 2
    assert len({job["training_file"] for job in account.jobs.values()}) == 1
    assert account.count("files.retrieve") == 4  # by the ids on record


def test_a_price_or_a_limit_is_no_reason_to_pay_again(work, account):
    helpers.train(work)
    helpers.train(work, prices=[{"model": MODEL, "dollars_per_million_tokens": 9.0}], limit_dollars=0.0)
    assert len(account.jobs) == 1
    assert metrics(work)["dollars"] == pytest.approx(9 * metrics(work)["tokens"] / 1e6)


def test_other_rows_are_another_file_and_another_job(work, account):
    helpers.train(work)
    write_rows(work / "formatted/train/001.jsonl", [helpers.row(50, 12)])
    helpers.train(work)
    assert len(account.jobs) == 2 and sorted(account.uploads().values()) == [1, 1, 1]


def test_the_same_rows_in_another_order_of_keys_are_the_same_data(work, account):
    helpers.train(work)
    turns = [{key: turn[key] for key in ("content", "role")} for turn in helpers.row(0)["messages"]]
    write_rows(work / "formatted/train/000.jsonl", [helpers.row(0) | {"messages": turns}, *map(helpers.row, range(1, 12))])
    helpers.train(work)
    assert len(account.jobs) == 1 and account.count("files.create") == 2


def test_a_file_deleted_at_the_service_is_uploaded_again(work, account):
    first = helpers.train(work)
    gone = first["files"]["training"]["id"]
    account.files.pop(gone)
    second = helpers.train(work, seed=8)
    assert second["files"]["training"]["id"] != gone and len(account.jobs) == 2


def test_a_file_found_at_the_service_is_not_uploaded(work, account, monkeypatch):
    helpers.train(work)
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(work / "other"))
    helpers.train(work, seed=8)
    assert account.count("files.create") == 2


def test_without_validation_rows(work, account):
    (work / "formatted/validation/000.jsonl").unlink()
    about = helpers.train(work)
    assert "validation" not in about["files"] and metrics(work)["validation_rows"] == 0
    assert next(iter(account.jobs.values()))["validation_file"] is None
    assert metrics(work)["validation_loss"] is None


def test_completion_rows_go_out_as_messages_with_their_marks(work, account):
    (work / "formatted/prompt.json").write_text(json.dumps(helpers.MARKS))
    about = helpers.train(work)
    row = json.loads(account.contents[about["files"]["training"]["id"]].splitlines()[0])
    assert [turn["content"] for turn in row["messages"]] == ["Be short.", "What is 0 plus 0? ->", "It is 0."]
    assert json.loads((work / "model/prompt.json").read_text())["prompt_ending"] == " ->"


def test_a_table_is_made_of_what_the_service_has_and_is_never_empty(work, account):
    account.results = False
    helpers.train(work)
    steps = (work / "model.csv").read_text().splitlines()
    assert len(steps) == 13 and steps[2].startswith("2,,,1.5,,0.625,")  # from the events
    missing = {"message": "Not Found", "type": "x", "param": None, "code": None}
    for call in ("jobs.events", "jobs.checkpoints"):
        account.faults += [Fault(call, nth, 404, False, body=missing) for nth in range(1, 200)]
    with pytest.raises(StageError, match="(?s)no step in a result file, an event or a checkpoint.*not paid again"):
        helpers.train(work, seed=8)
    account.faults = [fault for fault in account.faults if fault.call == "jobs.events"]
    assert helpers.train(work, seed=8)["checkpoints"]
    steps = (work / "model.csv").read_text().splitlines()
    assert [step.split(",")[0] for step in steps] == ["step", "6", "12"] and len(account.jobs) == 2


# rounds --------------------------------------------------------------------------------------------------------------


def test_a_round_starts_from_the_one_before(work, account):
    first = helpers.train(work, "first")
    second = helpers.train(work, "second", of="first", prices=[{"model": MODEL, "dollars_per_million_tokens": 3.0}])
    assert second["base"] == first["model"] and second["root"] == MODEL
    assert account.jobs[second["job"]]["model"] == first["model"]
    assert json.loads((work / "second/parent.json").read_text())["base"] == "first"
    assert account.count("files.create") == 2


@pytest.mark.parametrize(("checkpoint", "step"), [("last", 12), ("12", 12), ("6", 6)])
def test_a_round_starts_from_a_checkpoint(work, account, checkpoint, step):
    first = helpers.train(work, "first")
    second = helpers.train(work, "second", of="first", checkpoint=checkpoint)
    assert second["base"] == {checkpoint["step"]: checkpoint["model"] for checkpoint in first["checkpoints"]}[step]


def test_a_checkpoint_that_is_not_there_names_those_that_are(work, account):
    helpers.train(work, "first")
    with pytest.raises(StageError, match="(?s)second.train.checkpoint.*'7'.*\"\", last or one of 6, 12"):
        helpers.train(work, "second", of="first", checkpoint="7")
    with pytest.raises(StageError, match="it has no checkpoints"):
        helpers.train(work, "third", checkpoint="last")


def test_a_round_takes_its_rows(work, account):
    about = helpers.train(work, rows=[2, 12])
    rows = [json.loads(line) for line in account.contents[about["files"]["training"]["id"]].splitlines()]
    assert [row["messages"][-1]["content"] for row in rows] == [f"It is {2 * number}." for number in range(2, 12)]
    single = helpers.train(work, "one", rows_from=work / "formatted/train/000.jsonl", rows=[2, 12])
    assert single == about
    with pytest.raises(StageError, match=r"(?s)model.train.rows.*\[2, 13\), of which 10 rows are there"):
        helpers.train(work, rows=[2, 13])


# stopped before anything is paid -------------------------------------------------------------------------------------


def test_rows_that_the_service_would_refuse_are_named_before_it_is_asked(work, account):
    bad = helpers.row(3) | {"completion": " "}
    write_rows(work / "formatted/train/000.jsonl", [*map(helpers.row, range(3)), bad])
    with pytest.raises(StageError, match="(?s)2 problems.*line 4: message 3: empty assistant message.*4 rows, expected at"):
        helpers.train(work)
    assert account.calls == []


def test_rows_to_classify_are_refused(work, account):
    write_rows(work / "formatted/train/000.jsonl", [{"id": "a", "task": "label", "place": 0, "text": "x", "label": "y"}])
    with pytest.raises(StageError, match="task label"):
        helpers.train(work)


def test_a_limit_stops_before_anything_is_sent(work, account):
    with pytest.raises(StageError, match=r"(?s)model.train.limit_dollars.*12 rows, at most \d+ tokens x 2 epochs.*nothing was"):
        helpers.train(work, limit_dollars=0.003)
    assert account.files == {} and account.jobs == {} and not (work / "model").exists()


def test_an_unknown_price_stops_too(work, account):
    with pytest.raises(StageError, match=f"no price for {MODEL}"):
        helpers.train(work, prices=[{"model": "gpt-4o", "dollars_per_million_tokens": 25.0}])
    assert account.calls == []


def test_a_job_of_more_epochs_than_guessed_is_cancelled(work, account):
    account.auto_epochs = 40  # 12 rows: 8 by the cookbook
    with pytest.raises(StageError, match="40 epochs, chosen by the service(.|\n)*ftjob-0001 was cancelled"):
        helpers.train(work, n_epochs="auto", limit_dollars=0.02)
    assert account.jobs["ftjob-0001"]["status"] == "cancelled"
    account.auto_epochs = 9
    helpers.train(work, n_epochs="auto", limit_dollars=0.02, attempt=2)


@pytest.mark.parametrize("key", [None, "", " ", "sk-a\nb", "clé"])
def test_without_a_usable_key_nothing_is_asked(work, account, monkeypatch, key):
    monkeypatch.delenv("OPENAI_API_KEY") if key is None else monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(StageError, match="OPENAI_API_KEY") as caught:
        helpers.train(work)
    assert account.calls == [] and "sk-a" not in str(caught.value)


def test_a_base_that_is_not_hosted_is_refused(work, account):
    (work / "base/hosted.json").unlink()
    with pytest.raises(StageError, match="no hosted.json"):
        helpers.train(work)


# ended without a model -----------------------------------------------------------------------------------------------

BROKEN = {
    "code": "invalid_training_file",
    "message": "The file is invalid. Line 3, message 2: not what we take. Lines 5 and 99 neither.",
    "param": "training_file",
}


def test_a_failure_shows_the_service_s_words_and_the_lines(work, account):
    account.failure = BROKEN
    for _ in range(2):
        with pytest.raises(StageError) as caught:
            helpers.train(work)
        text = str(caught.value)
        assert BROKEN["message"] in text and "(invalid_training_file, training_file)" in text
        assert "line 3 of " in text and "What is 2 plus 2?" in text and "What is 4 plus 4?" in text
        assert "line 99" not in text and "What is 3 plus 3?" not in text and "model.train.attempt" in text
    assert len(account.jobs) == 1 and not (work / "model").exists()
    account.failure = None
    assert helpers.train(work, attempt=2)["job"] == "ftjob-0002"


def test_lines_of_the_validation_file(work, account):
    account.failure = BROKEN | {"param": "validation_file", "message": "Line 2: bad"}
    with pytest.raises(StageError, match="What is 1001 plus 1001"):
        helpers.train(work)


def test_attempts_are_told_apart_without_metadata(work, account, monkeypatch):
    account.keeps_metadata, account.failure = False, BROKEN
    with pytest.raises(StageError):
        helpers.train(work)
    account.failure = None
    assert helpers.train(work, attempt=2)["job"] == "ftjob-0002"
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(work / "other"))
    assert helpers.train(work, attempt=2)["job"] == "ftjob-0002"


def test_a_cancelled_job_gives_no_model(work, account):
    account.states = ["validating_files", "cancelled"]
    with pytest.raises(StageError, match="job ftjob-0001\n.*cancelled"):
        helpers.train(work)


def test_a_success_without_a_model_is_told(work, account):
    account.states = ["validating_files", "succeeded"]
    account._succeed = lambda *_: None
    with pytest.raises(StageError, match="job ftjob-0001\n.*succeeded"):
        helpers.train(work)


# following -----------------------------------------------------------------------------------------------------------


def test_a_lost_network_is_waited_out(work, account, waits, capsys):
    account.faults = [Fault("jobs.retrieve", nth, "drop", False) for nth in range(3, 40)]
    helpers.train(work)
    assert len(account.jobs) == 1
    assert capsys.readouterr().err.count("waiting for the service") == 1
    assert max(waits) == 60.0 and waits.count(60.0) > 30


def test_the_service_s_own_wait_is_kept(work, account, waits):
    account.faults = [Fault(call, 1, 429, False, {"Retry-After": "17"}) for call in ("files.create", "jobs.create")]
    account.faults += [Fault("jobs.retrieve", 2, 503, False, {"Retry-After": "23"})]
    helpers.train(work)
    assert waits.count(17.0) == 2 and waits.count(23.0) == 1


def test_an_empty_purse_is_told_at_once(work, account, waits):
    spent = {"message": "You exceeded your current quota", "type": "x", "param": None, "code": "insufficient_quota"}
    account.faults = [Fault("jobs.create", 1, 429, False, body=spent)]
    with pytest.raises(StageError, match="exceeded your current quota"):
        helpers.train(work)
    assert account.count("jobs.create") == 1 and set(waits) == {0.0}


def test_a_file_that_is_not_ready_is_waited_for(work, account):
    soon = {"message": "File is still being processed.", "type": "x", "param": None, "code": None}
    account.faults = [Fault("jobs.create", nth, 400, False, body=soon) for nth in (1, 2)]
    helpers.train(work)
    assert len(account.jobs) == 1


def test_a_refusal_is_told_in_the_service_s_words(work, account):
    with pytest.raises(StageError, match="(?s)create job.*status 404: The model gpt-x does not exist.*model_not_found"):
        helpers.base(work / "base", json.loads((work / "base/hosted.json").read_text())["base_url"], "gpt-x")
        helpers.train(work, prices=[{"model": "gpt-x", "dollars_per_million_tokens": 1.0}])


def test_ctrl_c_detaches_and_the_next_run_attaches(work, account, monkeypatch):
    def interrupted(_) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("stages.training.hosted.following.sleep", interrupted)
        with pytest.raises(
            StageError, match=r"(?s)job ftjob-0001.*goes on there.*affinage jobs cancel ftjob-0001 --base-url http"
        ):
            helpers.train(work)
    assert account.jobs["ftjob-0001"]["status"] != "succeeded" and not (work / "model").exists()
    assert helpers.train(work)["job"] == "ftjob-0001" and len(account.jobs) == 1


@pytest.mark.parametrize(
    ("call", "job_named"), [("files.create", "no job"), ("jobs.create", "no job"), ("jobs.events", "job ftjob")]
)
def test_a_real_ctrl_c_ends_with_a_message_and_no_traceback(tmp_path, service, call, job_named, waits):
    helpers.formatted(tmp_path / "formatted")
    helpers.base(tmp_path / "base", service.address("main"))
    account = service.account("main", tmp_path / "pid")
    account.faults = [Fault(call, 1, "interrupt", True)]
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom stages.common.errors import report\n"
        "from tests.training.hosted import helpers\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # what a shell starts in the background ignores it
        "w = Path(sys.argv[1])\n(w / 'pid').write_text(str(os.getpid()))\nreport(lambda: helpers.train(w))"
    )
    ended = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended.stderr
    assert job_named in ended.stderr and "the same command attaches to it again" in ended.stderr
    helpers.train(tmp_path)
    assert len(account.jobs) == 1 and sorted(account.uploads().values()) == [1, 1]


def test_each_event_is_shown_once(work, account, capsys):
    helpers.train(work)
    shown = capsys.readouterr().err
    for text in ("Created fine-tuning job", "Files validated", "successfully completed", "12/12 steps"):
        assert shown.count(text) == 1
    assert "tokens trained, $" in shown


# the key -------------------------------------------------------------------------------------------------------------


def parts(key: str) -> list[str]:
    return [key, key[:8], key[-4:]]


def test_the_key_is_in_no_file_no_log_and_no_error(work, account, monkeypatch, capfd):
    tell = account.tell
    account.tell = lambda id, message, *rest, **more: tell(id, f"{message} by {KEY}", *rest, **more)
    account.failure = BROKEN | {"message": f"bad key {KEY}"}
    with pytest.raises(StageError) as failed:
        helpers.train(work)
    account.failure = None
    helpers.train(work, attempt=2)
    monkeypatch.setenv("OPENAI_API_KEY", other := "sk-other-abcdefghijklmnopqrstuvwxyz")
    with pytest.raises(StageError, match=r"status 401: Incorrect API key provided: \[key\] \(\[key\]\)") as refused:
        helpers.train(work, attempt=3)
    said = "".join(map(str, [failed.value, refused.value, *capfd.readouterr()]))
    written = b"".join(tiny.contents(work).values())
    for part in parts(KEY) + parts(other):
        assert part not in said and part.encode() not in written


def test_only_the_first_of_several_launched_processes_trains(work, account, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    paths = stage.Paths(work / "formatted/train", work / "formatted", work / "base", *(work / out for out in "abcd"))
    stage.main("model", helpers.params(), paths)
    assert account.calls == []


def test_a_hosted_run_imports_no_torch_and_other_stages_no_openai(tmp_path, service, account):
    helpers.formatted(tmp_path / "formatted")
    helpers.base(tmp_path / "base", service.address("main"))
    script = (
        "import sys, json\nfrom pathlib import Path\nimport stages.train\nassert not {'openai', 'torch'} & sys.modules.keys()\n"
        "from stages.training.hosted import following\nfrom tests.training.hosted import helpers\n"
        "following.POLL, w = 0, Path(sys.argv[1])\n"
        "paths = {name: w / name for name in ('formatted', 'base', 'out', 'table', 'metrics', 'speed')}\n"
        "stages.train.main('m', helpers.params(), stages.train.Paths(rows=w / 'formatted' / 'train', **paths))\n"
        "print(sorted({'openai', 'torch', 'transformers'} & sys.modules.keys()))"
    )
    environment = {**os.environ, "AFFINAGE_SCRATCH": str(tmp_path / "scratch")}
    done = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "['openai']\n"), done.stderr


def test_rows_with_a_mark_of_a_model_are_left_out_and_counted(work, account, capsys):
    helpers.train(work)
    assert metrics(work)["rows"] == {"rows": 12}
    path = work / "formatted" / "train" / "000.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[3]["completion"] = "It is <|im_end|> 6."
    write_rows(path, rows)
    about = helpers.train(work)
    assert metrics(work)["rows"] == {"rows": 12, "refused": 1} and about["files"]["training"]["rows"] == 11
    assert not any(b"im_end" in content for content in account.contents.values())
    assert f"row {rows[3]['id']} is left out: <|im_end|>" in capsys.readouterr().err
