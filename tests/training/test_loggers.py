"""Watching live: what each package is told, by stand-ins that record it."""

import sys
from types import ModuleType

import pytest

from stages.common.errors import StageError
from stages.training import loggers
from tests import tiny, trained

ROWS = [{"step": 1, "training_loss": 2.5, "elapsed_tokens": 90}, {"step": 2, "training_loss": 2.0, "elapsed_tokens": 180}]


@pytest.fixture
def told(monkeypatch):
    """What the three packages were told, in order."""
    calls = []

    class Told:
        def __init__(self, *args, **options):
            calls.append(("start", args, options))

        def __getattr__(self, name):
            return lambda *args, **options: calls.append((name, args, options))

        def __setattr__(self, name, value):
            calls.append((name, (value,), {}))

    def module(name, **members):
        fake = ModuleType(name)
        vars(fake).update(members)
        monkeypatch.setitem(sys.modules, name, fake)

    module("torch.utils.tensorboard", SummaryWriter=Told)
    module("dvclive", Live=Told)
    module("wandb", init=Told)
    return calls


def follow(kind: str) -> None:
    watching = loggers.logger(kind, "medical")
    for row in ROWS:
        watching.log(row)
    watching.close()


def test_tensorboard(told):
    follow("tensorboard")
    assert told == [
        ("start", (".cache/tensorboard/medical",), {}),
        *[("add_scalar", (key, row[key], row["step"]), {}) for row in ROWS for key in ("training_loss", "elapsed_tokens")],
        ("close", (), {}),
    ]


def test_dvclive_makes_no_experiment_and_no_file_of_the_pipeline(told):
    follow("dvclive")
    name, (folder,), options = told[0]
    assert (name, folder) == ("start", ".cache/dvclive/medical")
    assert options["save_dvc_exp"] is False and options["dvcyaml"] is None
    steps = [
        [("step", (r["step"],), {}), *[("log_metric", (k, r[k]), {}) for k in list(r)[1:]], ("make_summary", (), {})]
        for r in ROWS
    ]
    assert told[1:] == [*steps[0], *steps[1], ("end", (), {})]


def test_weights_and_biases(told):
    follow("wandb")
    assert told[0] == ("start", (), {"project": "affinage", "name": "medical", "dir": ".cache"})
    assert told[1:-1] == [
        ("log", ({"training_loss": r["training_loss"], "elapsed_tokens": r["elapsed_tokens"]},), {"step": r["step"]})
        for r in ROWS
    ]
    assert told[-1] == ("finish", (), {})


def test_none_tells_no_one(told):
    follow("none")
    assert told == []


@pytest.mark.parametrize(
    ("kind", "module"), [("tensorboard", "torch.utils.tensorboard"), ("dvclive", "dvclive"), ("wandb", "wandb")]
)
def test_a_package_that_is_missing_is_named(monkeypatch, kind, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StageError, match=f"models.medical.train.logger(.|\n)*pip install {kind}"):
        loggers.logger(kind, "medical")


def test_a_training_tells_every_step_and_its_outputs_stay_the_same(told, tmp_path):
    tiny.base(tmp_path / "base")
    tiny.formatted(tmp_path / "formatted")
    for out, kind in (("model", "wandb"), ("plain", "none")):
        trained.run(tmp_path, tiny.training(logger=kind), out=out)
    logged = [(options["step"], args[0]["training_loss"]) for name, args, options in told if name == "log"]
    table = trained.table(tmp_path)
    assert logged == [(int(row["step"]), pytest.approx(float(row["training_loss"]), rel=1e-4)) for row in table]
    assert told[-1][0] == "finish"
    outputs = (tiny.contents(*trained.outputs(tmp_path, out)) for out in ("model", "plain"))
    first, second = ([*outcome.values()] for outcome in outputs)
    assert first == second


def test_a_training_without_the_package_fails_before_its_first_step(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)
    tiny.base(tmp_path / "base")
    tiny.formatted(tmp_path / "formatted")
    with pytest.raises(StageError, match="pip install wandb"):
        trained.run(tmp_path, tiny.training(logger="wandb"))
    assert not (tmp_path / "model").exists()
