"""`affinage check`: the alarms of a run, and the status that CI goes by."""

import os

import pytest
from typer.testing import CliRunner

from affinage.command_line import app
from affinage.commands.check import check
from affinage.commands.table import Run, table
from affinage.history.alarms import behind, raised
from stages.common.errors import StageError
from stages.common.files import write_json
from tests.affinage.running import affinage

CUT = "tuned, 20 rows"
WIRES = {f"models.one.{wire}": "root" for wire in ("base", "root", "judge_base")}
PARAMS = {"models.one.dataset": "rows", "models.one.train.epochs": 1, **WIRES}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A folder with the metrics of a run, one of them with an alarm."""
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "metrics/rows/label.json", {"rows": 9, "kept": 9, "dropped": {}})
    write_json(tmp_path / "metrics/one/scores.json", {"chrf": {"tuned": 4.0}, "alarms": {"cut_answers": CUT}})
    (tmp_path / "metrics/one/results.csv").write_text("step\n")
    (tmp_path / "metrics/one/broken.json").write_text("{")
    (tmp_path / "metrics/one/number.json").write_text("1")
    return tmp_path


def test_an_alarm_is_told_with_where_to_look_and_the_status_is_1(run):
    lines, count = check(None, set())
    assert count == 1 and lines[0] == f"ALARM: one/scores.json: cut_answers ({CUT})"
    assert "models.one.generate.max_new_tokens" in lines[1]
    assert CliRunner().invoke(app, ["check"]).exit_code == 1


def test_an_alarm_that_is_allowed_is_told_and_passes(run):
    said = affinage("check", "--allow", "cut_answers")
    assert said.startswith(f"allowed: one/scores.json: cut_answers ({CUT})")


def test_a_run_without_alarms_passes(run):
    write_json(run / "metrics/one/scores.json", {"chrf": {"tuned": 4.0}})
    assert affinage("check") == "no alarm\n"


def test_no_metrics_are_no_pass(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageError, match="no metrics"):
        check(None, set())


def test_an_unknown_alarm_is_told(run):
    with pytest.raises(StageError, match="no alarm 'cut'"):
        check(None, {"cut"})


def test_a_revision_is_checked_as_it_was(run):
    for command in ("git init -q .", "git add metrics", "git -c user.name=a -c user.email=a@b.c commit -qm x"):
        assert os.system(command) == 0
    write_json(run / "metrics/one/scores.json", {"chrf": {"tuned": 4.0}})
    assert check("HEAD", set())[1] == 1 and check(None, set())[1] == 0


def test_alarms_of_a_models_dataset_are_its_own_too(run):
    paths = behind("one", "rows")
    assert "metrics/rows/label.json" in paths and "metrics/one/scores.json" in paths
    assert [alarm.alarm for alarm in raised(dict.fromkeys(paths[:1], b'{"alarms": {"markup": "x"}}'))] == ["markup"]


def test_the_table_shows_the_alarms_of_each_run():
    scores = {"one": {"chrf": 4.0}}
    head = Run("HEAD", PARAMS, scores)
    loud = Run("loud-name", PARAMS | {"models.one.train.epochs": 2}, scores, {"one": ["one/scores.json: cut_answers (x)"]})
    shown = table(head, [loud], [], 80)
    assert "      ALARM: one/scores.json: cut_answers (x)" in shown.splitlines()
    assert "ALARM" not in table(head, [], [], 80)
