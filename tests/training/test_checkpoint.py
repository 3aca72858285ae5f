import json
import os
import pickle
import signal
import subprocess
import sys

import pytest
import torch

from stages.common.errors import StageError
from stages.training.checkpoint import Checkpoints
from tests import tiny

STATE = {"weights": {"a": torch.arange(3.0)}, "rows": [{"step": 1, "loss": 0.5}], "best": None}


def test_what_was_saved_is_loaded(tmp_path):
    assert Checkpoints(tmp_path).load() is None
    Checkpoints(tmp_path).save(STATE)
    loaded = Checkpoints(tmp_path).load()
    assert loaded["rows"] == STATE["rows"] and loaded["best"] is None
    assert torch.equal(loaded["weights"]["a"], STATE["weights"]["a"])


def test_half_a_checkpoint_is_no_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(STATE)
    checkpoints.partial.write_bytes(checkpoints.path.read_bytes()[:100])
    assert checkpoints.load()["rows"] == STATE["rows"]
    assert not checkpoints.partial.exists()


def test_clear_leaves_nothing(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(STATE)
    checkpoints.partial.touch()
    checkpoints.clear()
    checkpoints.clear()
    assert list(tmp_path.iterdir()) == []


def test_what_dead_processes_left_is_removed_and_what_living_ones_write_is_not(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process in (dead.pid, os.getppid()):
        (tmp_path / f"checkpoint.{process}.partial").touch()
    Checkpoints(tmp_path).save(STATE)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt", f"checkpoint.{os.getppid()}.partial"}


class Code:
    def __reduce__(self):
        return print, ("opened",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys):
    Checkpoints(tmp_path).path.write_bytes(pickle.dumps(Code()))
    with pytest.raises(StageError, match="starts anew"):
        Checkpoints(tmp_path).load()
    assert "opened" not in capsys.readouterr().out


@pytest.mark.parametrize("size", [0, 100, 1000])
def test_a_damaged_checkpoint_is_named(tmp_path, size):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(STATE)
    os.truncate(checkpoints.path, size)
    with pytest.raises(StageError, match="starts anew"):
        checkpoints.load()


KILLS = [["before_step", 1], ["in_save", 2], ["before_step", 5], ["in_save", 1], ["in_model", 2], ["before_table", 0]]
RUNS = {
    "full": {"tune": {"kind": "full"}},
    "lora": {"tune": {"kind": "lora", "rank": 2, "alpha": 4, "dropout": 0.1, "base": "plain", "save": "merged"}},
    "top_layers": {"tune": {"kind": "top_layers", "layers": 1}, "evaluations": 3, "patience": 9, "learning_rate": 0.3},
}


@pytest.mark.slow
def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path):
    """gpt2 has dropout: the state of the random generator counts as well."""
    tiny.base(tmp_path / "base", "gpt2")
    tiny.formatted(tmp_path / "formatted")
    plan = {
        f"{name}_{how}": {"params": params, "kills": kills}
        for name, params in RUNS.items()
        for how, kills in (("calm", []), ("killed", KILLS))
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    subprocess.run([sys.executable, "-m", "tests.killed", tmp_path], check=True, timeout=300)
    for name in RUNS:
        calm, killed = tmp_path / f"{name}_calm", tmp_path / f"{name}_killed"
        ends = json.loads((killed / "ends.json").read_text())
        assert ends[-1] == 0 and set(ends[:-1]) == {-signal.SIGKILL}
        for output in ("model", "results.csv", "train.json"):
            assert tiny.contents(calm / output) == tiny.contents(killed / output), (name, output)
        steps = [[int(step) for step in (folder / "steps.txt").read_text().split()] for folder in (calm, killed)]
        assert sorted(set(steps[1])) == steps[0]
        assert len(steps[1]) - len(steps[0]) == 2  # only those whose checkpoint was cut in the middle are done again
        assert not any(path.is_file() for path in (killed / "scratch").rglob("*"))
        assert not list(killed.glob(".*"))
