"""Two processes on this machine do what one does: the same table, the same weights, whatever is killed on the way."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import StageError
from stages.common.files import write_json
from stages.common.params import read
from stages.models import directory
from stages.training import processes
from tests import tiny, trained
from tests.imports import ROOT

# seven rows a step and 22 rows: shares of unlike size, and a last batch with fewer rows than processes
UNEVEN = {"batch_rows": 7, "micro_tokens": 150, "learning_rate": 1e-3}
LORA = {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.0, "base": "plain", "save": "merged"}
PIECES = {"gradient_checkpointing": True, "epochs": 1}
NARROW = {"precision": "bf16", "gradient_checkpointing": True, "epochs": 1}
FEW_LOGITS = 20_000  # of 59 targets: one process makes them piece by piece, or the other, or both
LABELS = {"batch_rows": 5, "dropout": 0.0, "class_weights": "balanced", "epochs": 1, "learning_rate": 1e-3}
RUNS = {
    "full": {"params": UNEVEN},
    "padded": {"params": UNEVEN | {"packing": False, "gradient_checkpointing": True, "epochs": 1}},
    "lora": {"params": UNEVEN | {"tune": LORA, "epochs": 1}},
    "top_layers": {"params": UNEVEN | {"tune": {"kind": "top_layers", "layers": 1}, "epochs": 1}},
    "pieces_tied": {"params": UNEVEN | PIECES, "logits": FEW_LOGITS},
    "pieces_untied": {"params": UNEVEN | PIECES, "logits": FEW_LOGITS, "folder": "qwen2"},
    "pieces_lora": {"params": UNEVEN | PIECES | {"tune": LORA}, "logits": FEW_LOGITS, "folder": "phi"},
    "labels": {"params": LABELS, "kind": "classifying", "folder": "labelled"},
    "narrow": {"params": UNEVEN | NARROW},
    "narrow_lora": {"params": UNEVEN | NARROW | {"tune": LORA}},
    "narrow_top_layers": {"params": UNEVEN | NARROW | {"tune": {"kind": "top_layers", "layers": 1}}},
}
WAYS = {"one": {}, "two": {"processes": 2}, "shard": {"processes": 2, "shard": True}}
KILLS = [["before_step", 1], ["in_save", 2], ["before_step", 5], ["in_model", 2], ["before_table", 0]]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Every run in every way, and some that were killed."""
    folder = tmp_path_factory.mktemp("parallel")
    tiny.base(folder / "base")
    tiny.formatted(folder / "formatted", train=22)
    for untied in ("qwen2", "phi"):
        tiny.base(folder / untied / "base", untied)
        tiny.formatted(folder / untied / "formatted", train=22)
    tiny.headless(folder / "labelled" / "base", "bert")
    tiny.labelled(folder / "labelled" / "formatted", train=16)
    plan = {f"{run}_{way}": plan | how | {"kills": []} for run, plan in RUNS.items() for way, how in WAYS.items()}
    plan |= {f"full_{way}_killed": RUNS["full"] | WAYS[way] | {"kills": KILLS} for way in ("two", "shard")}
    write_json(folder / "plan.json", plan)
    subprocess.run([sys.executable, "-m", "tests.killed", folder], check=True, timeout=500)
    return folder


def steps(folder) -> list[dict]:
    return trained.table(folder, "results")


def weights(folder, run) -> dict:
    """All but the biases of keys: they move every score of a query alike, which changes no attention, so that their gradients
    are rounding and nothing else, and AdamW takes steps of full length by them."""
    model = directory.load(folder / "model", "classifier" if run == "labels" else "causal")
    return {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("key.bias")}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["two", "shard"])
@pytest.mark.parametrize("run", RUNS)
def test_two_processes_give_the_table_and_the_weights_of_one(work, run, way):
    alone, together = work / f"{run}_one", work / f"{run}_{way}"
    assert json.loads((together / "ends.json").read_text()) == [[0, 0]]
    assert len(steps(alone)) == len(steps(together)) > 2
    near = {"abs": 0.02 if run.startswith("narrow") else 1e-4}
    for step, step_together in zip(steps(alone), steps(together), strict=True):
        for name in step:
            assert float(step[name] or 0) == pytest.approx(float(step_together[name] or 0), **near), (step["step"], name)
    torch.testing.assert_close(weights(alone, run), weights(together, run), atol=near["abs"] / 4, rtol=0)
    for name, value in json.loads((alone / "train.json").read_text()).items():
        assert json.loads((together / "train.json").read_text())[name] == pytest.approx(value, **near), name
    assert json.loads((together / "speed.json").read_text())["processes"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("way", ["two", "shard"])
def test_killed_processes_end_as_undisturbed_ones(work, way):
    calm, killed = work / f"full_{way}", work / f"full_{way}_killed"
    ends = json.loads((killed / "ends.json").read_text())
    assert ends[-1] == [0, 0] and [first for first, _ in ends[:-1]] == [-signal.SIGKILL] * len(KILLS)
    for output in ("model", "results.csv", "train.json"):
        assert tiny.contents(calm / output) == tiny.contents(killed / output), output
    assert not any(path.is_file() for path in (killed / "scratch").rglob("*"))
    assert not list(killed.glob(".*"))


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 6))
def test_shares_are_disjoint_and_whole_in_order_and_about_as_long(lengths, size):
    rows = [(place,) * length for place, length in enumerate(lengths)]
    shares = processes.World(0, size).shares(rows)
    assert shares == [processes.World(rank, size).share(rows) for rank in range(size)]
    assert sorted(row for share in shares for row in share) == rows and all(share == sorted(share) for share in shares)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    tokens = [sum(map(len, share)) for share in shares]
    assert max(tokens) - min(tokens) <= max(lengths, default=0)


def test_one_process_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    world = processes.join()
    assert world == processes.World(0, 1) and world.first and not dist.is_initialized()
    assert world.gather("x") == ["x"] and world.agreed("x") == "x"
    world.same(1, "", "")
    assert torch.equal(world.total(torch.ones(2)), torch.ones(2))


def test_what_differs_between_processes_is_an_error(monkeypatch):
    world = processes.World(1, 2)
    monkeypatch.setattr(processes.World, "gather", lambda self, value: [8, value])
    world.same(8, "", "")
    with pytest.raises(StageError, match="process 1 of 2(.|\n)*step 4(.|\n)*share a folder"):
        world.same(4, "step 4", "share a folder")


STUCK = """
from datetime import timedelta
from threading import Event
from stages.training import processes

def waits_for_ever():
    Event().wait()

processes.PATIENCE = timedelta(seconds=0.2)
with processes.World(1, 2).watched("step 7"):
    waits_for_ever()
"""


def test_a_process_that_waits_in_vain_says_where_it_stands_and_ends():
    stuck = subprocess.run([sys.executable, "-c", STUCK], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert stuck.returncode == 1
    for words in ("process 1 of 2, step 7", "no end of it for 0:00:00.2", "last checkpoint", "waits_for_ever"):
        assert words in stuck.stderr


def test_work_that_ends_leaves_no_alarm_behind():
    before = threading.active_count()
    with processes.World(1, 2).watched("step 7"):
        assert threading.active_count() == before + 1
    assert [
        thread for thread in threading.enumerate() if isinstance(thread, threading.Timer) and not thread.finished.is_set()
    ] == []


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(StageError, match="LOCAL_RANK(.|\n)*2(.|\n)*0 to 1(.|\n)*--nproc-per-node 2"):
        processes.join()


def test_sharing_is_asked_for_in_one_way(monkeypatch):
    monkeypatch.setenv("AFFINAGE_SHARD", "false")
    with pytest.raises(StageError, match="AFFINAGE_SHARD(.|\n)*false(.|\n)*0 or 1"):
        processes.sharded()


@pytest.mark.parametrize(("value", "count", "asked"), [("", 2, False), ("0", 2, False), ("1", 2, True), ("1", 1, False)])
def test_sharing_is_asked_for_by_the_environment(monkeypatch, value, count, asked):
    monkeypatch.setenv("AFFINAGE_SHARD", value)
    monkeypatch.setenv("WORLD_SIZE", str(count))
    assert processes.sharded() is asked


def parameters(training: dict) -> dict:
    """This repository's own, with one model that trains by `training`."""
    whole = read(ROOT / "params.yaml")
    return whole | {"models": {"medical": whole["models"]["medical"] | {"train": training}}}


@pytest.mark.slow
def test_the_stage_starts_itself_under_a_launcher(tmp_path):
    """As `AFFINAGE_LAUNCH='torchrun --nproc-per-node 2' dvc repro` runs it."""
    tiny.base(tmp_path / "base")
    tiny.formatted(tmp_path / "formatted", train=8)
    params = parameters(tiny.training(epochs=1).model_dump(mode="json"))
    write_json(tmp_path / "params.yaml", params)  # JSON is YAML
    places = {"rows": "formatted/train", "formatted": "formatted", "base": "base", "out": "model", "table": "results.csv"}
    places |= {"metrics": "train.json", "speed": "speed.json"}
    command = [sys.executable, "-m", "stages.train", "medical", *(w for k, v in places.items() for w in (f"--{k}", v))]
    launch = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node 2"
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    environment |= {"AFFINAGE_LAUNCH": launch, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "speed.json").read_text())["processes"] == 2
    trained.run(tmp_path, tiny.training(epochs=1), out="alone")
    together, alone = steps(tmp_path), trained.table(tmp_path, "alone")
    assert [float(row["training_loss"]) for row in together] == pytest.approx(
        [float(row["training_loss"]) for row in alone], abs=1e-4
    )
