"""Modules that are no dependency of a stage, shown to change nothing of what it writes (stages/common/closure.py).

The rows' types have a test of their own (tests/common/test_rows.py).
"""

import sys

import pytest

from stages import generate
from stages.common import errors, progress
from stages.common.closure import ON_THE_WIRE, ROOT, WITHOUT_EFFECT
from stages.training import loggers
from tests import tiny, trained


def outputs(folder, logger: str = "none") -> dict[str, bytes]:
    """All that training a tiny model, and answering with it, leaves."""
    trained.run(folder, tiny.training(epochs=1, logger=logger))
    places = {name: folder / where for name, where in (("formatted", "formatted"), ("model", "model"), ("base", "base"))}
    paths = generate.Paths(**places, root=folder / "base", out=folder / "answers.jsonl", speed=folder / "speed.json")
    generate.main("model", tiny.generation(temperature=1.0), paths)
    return tiny.contents(*trained.outputs(folder), folder / "answers.jsonl")


@pytest.fixture
def work(tmp_path):
    tiny.base(tmp_path / "base")
    tiny.formatted(tmp_path / "formatted", train=8, validation=4, test=3)
    return tmp_path


@pytest.fixture
def plain(work, monkeypatch):
    """What is left where nothing was replaced; what comes after it finds no kept work."""
    left = outputs(work)
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(work / "another"))
    return left


def test_progress_changes_nothing(work, plain, monkeypatch):
    def nonsense(self, *count, **figures):
        self.total, self.done, self.figures = -1, "many", figures.clear()
        print("half past seven", file=sys.stderr)

    monkeypatch.setattr(progress.Progress, "add", nonsense)
    monkeypatch.setattr(progress.Progress, "_line", nonsense)
    assert outputs(work) == plain


def test_loggers_change_nothing(work, plain, monkeypatch):
    class Vandal(loggers.Silent):
        def log(self, row: dict) -> None:
            row.clear()

    monkeypatch.setattr(loggers, "Silent", Vandal)
    monkeypatch.setitem(loggers.KINDS, "wandb", lambda name: Vandal())
    assert outputs(work, logger="wandb") == plain


def test_the_wording_of_errors_changes_nothing(work, plain, monkeypatch):
    monkeypatch.setattr(errors.StageError, "__init__", lambda self, *words: Exception.__init__(self, "no"))
    monkeypatch.setattr(errors, "report", None)
    monkeypatch.setattr(errors, "shorten", None)
    monkeypatch.setattr(errors, "wording", None)
    assert outputs(work) == plain


def test_a_local_model_needs_nothing_of_what_hosted_ones_use(work, plain, monkeypatch):
    """These modules cannot even be imported here."""
    hosted = [*(ROOT / "stages").glob("*/hosted/*.py"), *(ROOT / "stages/servers").glob("*.py"), ROOT / "stages/common/http.py"]
    assert len(hosted) > 15 and all((ROOT / path).exists() for path in ON_THE_WIRE)
    for path in hosted:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        monkeypatch.setitem(sys.modules, name, None)
    assert outputs(work) == plain


def test_each_such_module_is_among_those_shown():
    shown = {"errors", "progress", "loggers", "rows"}
    shown |= {"schema", "schema_bases", "schema_data", "schema_models", "schema_sources", "sections"}
    shown |= {"check_params", "wiring"}  # these refuse parameters: tests/common/test_params.py
    shown |= {"locks"}  # tests/common/test_locks.py
    assert {path.rsplit("/", 1)[1].removesuffix(".py") for path in WITHOUT_EFFECT} == shown
