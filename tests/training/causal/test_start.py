"""The base that training starts from: how wide its frozen weights are, on what machine, and whether they fit."""

import pytest
import torch

from stages.common.errors import StageError
from stages.models import directory
from stages.training.causal import start
from tests import tiny

LORA = {"kind": "lora", "rank": 2, "alpha": 4, "dropout": 0.0, "save": "merged"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.base(tmp_path_factory.mktemp("start") / "base")


def four_bits() -> object:
    return tiny.training(tune=LORA | {"base": "4bit"})


@pytest.mark.parametrize(
    ("tune", "precision", "dtype"),
    [
        (LORA | {"base": "plain"}, "fp32", torch.float32),
        (LORA | {"base": "plain"}, "bf16", torch.bfloat16),
        ({"kind": "full"}, "bf16", torch.float32),  # what learns is never narrowed
        ({"kind": "top_layers", "layers": 1}, "bf16", torch.float32),
    ],
)
def test_weights_that_adapters_are_put_on_are_as_wide_as_products(base, tune, precision, dtype):
    model = start.load("medical", base, tiny.training(tune=tune, precision=precision))
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}


@pytest.mark.parametrize(
    ("change", "dtype"),
    [
        ({}, torch.bfloat16),
        ({"wrong_rows": [0, 4], "wrong_times": 1}, torch.float32),
        ({"tune": {"kind": "top_layers", "layers": 1}}, torch.float32),
    ],
)
def test_a_base_that_is_shared_out_is_loaded_as_it_is_stored_where_that_changes_nothing(tmp_path, monkeypatch, change, dtype):
    directory.save(tmp_path, tiny.model().to(torch.bfloat16), tiny.tokenizer())
    assert {p.dtype for p in start.load("medical", tmp_path, tiny.training(**change)).parameters()} == {torch.float32}
    monkeypatch.setenv("AFFINAGE_SHARD", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    model = start.load("medical", tmp_path, tiny.training(**change))
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert {b.dtype for b in model.buffers()} == {torch.float32}


def test_a_base_whose_own_constants_would_be_rounded_is_loaded_wide(tmp_path, monkeypatch):
    directory.save(tmp_path, tiny.model().to(torch.bfloat16), tiny.tokenizer())
    monkeypatch.setenv("AFFINAGE_SHARD", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(start, "_is_exact", lambda model: False)
    assert {p.dtype for p in start.load("medical", tmp_path, tiny.training()).parameters()} == {torch.float32}


def test_four_bits_without_a_gpu_name_the_parameter_and_the_fix(base):
    with pytest.raises(StageError) as error:
        start.load("medical", base, four_bits())
    text = str(error.value)
    assert "models.medical.train.tune.base" in text and "without a GPU" in text and "plain" in text


def test_four_bits_without_the_package_name_it(base, monkeypatch):
    monkeypatch.setattr(start.runtime, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(start, "find_spec", lambda _: None)
    with pytest.raises(StageError, match="pip install bitsandbytes"):
        start.load("medical", base, four_bits())


def test_four_bits_that_would_be_shared_out_are_refused(base, monkeypatch):
    monkeypatch.setenv("AFFINAGE_SHARD", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(StageError, match="4bit with AFFINAGE_SHARD(.|\n)*plain, or unset AFFINAGE_SHARD"):
        start.load("medical", base, four_bits())


def test_four_bits_on_an_adapter_alone_are_refused(base, monkeypatch, tmp_path):
    (tmp_path / "adapter").mkdir()
    monkeypatch.setattr(start.runtime, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(start, "find_spec", lambda _: object())
    with pytest.raises(StageError, match="save: merged"):
        start.load("medical", tmp_path, four_bits())
