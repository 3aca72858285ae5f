"""What fits a GPU: a base is weighed before it is read, and `micro_tokens: auto` is tried from large to small."""

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from stages.common.errors import StageError
from stages.models import directory
from stages.training import memory
from stages.training.causal import start
from stages.training.classifier import classifier_subject
from tests import tiny

ADAPTERS = {"kind": "lora", "rank": 2, "alpha": 4, "dropout": 0.0, "save": "merged"}


def run(**changes) -> SimpleNamespace:
    world = SimpleNamespace(gather=lambda value: [value, 8192])
    return SimpleNamespace(**{"device": torch.device("cuda"), "sharded": False, "world": world} | changes)


def test_a_processor_takes_the_plain_number():
    assert memory.fitting(run(device=torch.device("cpu")), []) == memory.first("auto") == memory.PLAIN
    assert memory.first(512) == 512


@pytest.mark.parametrize(("room", "taken"), [(1 << 30, 8192), (5000, 4096), (100, memory.PLAIN)])
def test_the_largest_that_fits_every_process_is_taken(monkeypatch, room, taken):
    tried = []
    monkeypatch.setattr(memory, "_fits", lambda _, rows, tokens: (tried.append((rows, tokens)), tokens <= room)[1])
    assert memory.fitting(run(), ["a", "longest"]) == taken  # another process had room for 8192
    assert all(rows[0] == "longest" for rows, _ in tried)


def test_shared_parameters_need_a_number():
    with pytest.raises(StageError, match="8192 to begin with"):
        memory.fitting(run(sharded=True), [])


@pytest.fixture
def card(monkeypatch):
    """A GPU with as much free memory as is asked for."""

    def of(free: float) -> torch.device:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, free))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a small card")
        return torch.device("cuda")

    return of


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.base(tmp_path_factory.mktemp("memory") / "base")


def refused(device: torch.device, base, width: float) -> str:
    """What is said of the base, or nothing if it is taken."""
    try:
        memory.require_room("models.medical.train.tune", base, width, device)
    except StageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("width", [memory.LEARNING, 4, 2, memory.FOUR_BITS])
def test_a_base_larger_than_the_card_says_how_much_is_needed_and_what_would_fit(card, base, width):
    needed = directory.weights(base) * width
    assert not refused(card(needed), base, width) and not refused(torch.device("cpu"), base, width)
    said = refused(card(needed - 1), base, width)
    assert "models.medical.train.tune" in said and "a small card" in said and str(base) in said
    assert "base: plain" in said and "base: 4bit" in said and "AFFINAGE_SHARD" in said
    assert ("AdamW's state" in said) == (width == memory.LEARNING)


def test_processes_share_what_is_trained_but_each_loads_the_base(card, base, monkeypatch):
    monkeypatch.setenv("AFFINAGE_SHARD", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    count = directory.weights(base)
    assert not refused(card(count * 8), base, memory.LEARNING)
    assert refused(card(count * 8 - 1), base, memory.LEARNING)
    monkeypatch.setenv("WORLD_SIZE", "64")
    assert refused(card(count * 4 - 1), base, memory.LEARNING)
    memory.require_room("", base, memory.LEARNING, card(count * 2), loaded=2)


@pytest.mark.parametrize(
    ("tune", "bytes_each"),
    [
        ({"kind": "full"}, 16),
        ({"kind": "top_layers", "layers": 1}, 4),
        (ADAPTERS | {"base": "plain"}, 2),
        (ADAPTERS | {"base": "4bit"}, 0.55),
    ],
)
def test_what_is_weighed_follows_from_what_learns(base, monkeypatch, tune, bytes_each):
    asked = []
    monkeypatch.setattr(memory, "require_room", lambda parameter, _, width, *__: asked.append((parameter, width)))
    monkeypatch.setattr(start, "_can_quantize", lambda *_: None)
    monkeypatch.setattr(start.directory, "load", lambda *_, **__: torch.nn.Module())
    start.load("medical", base, tiny.training(tune=tune, precision="bf16"))
    assert asked == [("models.medical.train.tune", bytes_each)]


def test_a_classifier_is_weighed_before_it_is_read(tmp_path, monkeypatch):
    tiny.labelled(tmp_path / "formatted")

    def too_large(parameter: str, base, width: float, _) -> None:
        raise StageError(parameter, str(width), str(base), "")

    monkeypatch.setattr(memory, "require_room", too_large)
    paths = SimpleNamespace(formatted=tmp_path / "formatted", base=tmp_path / "missing")
    with pytest.raises(StageError, match="models.invoices.train.tune(.|\n)*16"):
        classifier_subject.classifier_subject("invoices", tiny.classifying(), None, paths, [])


def test_four_bits_are_refused_for_a_classifier():
    with pytest.raises(ValidationError, match="4bit is for method causal"):
        tiny.classifying(tune=ADAPTERS | {"base": "4bit"})
