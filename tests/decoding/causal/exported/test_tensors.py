"""Weights one at a time, an adapter's merged as peft merges them."""

import gc
import json
import weakref

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.common.errors import StageError
from stages.common.files import write_json
from stages.decoding.causal.exported import gguf_file
from stages.decoding.causal.exported.gguf_file import write_gguf
from stages.decoding.causal.exported.tensors import shapes, tensors
from stages.models import directory
from tests import tiny, trained

LORA = {"kind": "lora", "rank": 3, "alpha": 7, "dropout": 0.0, "base": "plain", "save": "adapter"}


@pytest.fixture(params=["llama", "gpt2"])
def adapter(request, tmp_path):
    """A trained adapter beside its base, which has half precision."""
    tiny.base(tmp_path / "base", request.param)
    tokenizer = directory.load_tokenizer(tmp_path / "base")
    half = directory.load(tmp_path / "base", dtype=torch.bfloat16)
    (tmp_path / "half").mkdir()
    directory.save(tmp_path / "half", half, tokenizer)
    tiny.formatted(tmp_path / "formatted")
    trained.run(tmp_path, tiny.training(tune=LORA, epochs=1, learning_rate=1e-2), base="half")
    return tmp_path / "model"


def test_an_adapter_is_merged_as_peft_merges_it(adapter):
    expected = directory.load(adapter).state_dict()
    merged = dict(tensors(adapter))
    assert shapes(adapter) == {name: list(tensor.shape) for name, tensor in merged.items()}
    assert all(torch.equal(tensor, expected[name]) for name, tensor in merged.items())
    base = dict(tensors(adapter.parent / "half"))
    assert any(not torch.equal(tensor, base[name]) for name, tensor in merged.items())


def test_an_adapter_is_exported_to_the_bytes_of_the_merged_model(adapter, tmp_path):
    (tmp_path / "merged").mkdir()
    directory.save(tmp_path / "merged", directory.load(adapter), directory.load_tokenizer(adapter))
    files = [write_gguf(folder, tmp_path / "out" / folder.name, "m", "f16") for folder in (adapter, tmp_path / "merged")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_another_base_is_refused(adapter):
    write_json(adapter.parent / "half" / "extra.json", {})
    with pytest.raises(StageError, match="the base of the adapter"):
        dict(tensors(adapter))


@pytest.mark.parametrize(("key", "value"), [("use_rslora", True), ("rank_pattern", {"q_proj": 2})])
def test_an_adapter_of_another_kind_is_refused(adapter, key, value):
    file = adapter / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(StageError, match=key):
        dict(tensors(adapter))


def test_a_change_of_what_the_base_has_not_is_refused(adapter):
    file = adapter / "adapter" / "adapter_model.safetensors"
    save_file(load_file(file) | {"base_model.model.nothing.lora_A.weight": torch.zeros(1, 1)}, file)
    with pytest.raises(StageError, match=r"nothing\.lora_A"):
        dict(tensors(adapter))


def test_no_more_than_a_tensor_and_the_one_before_are_in_memory(tmp_path, monkeypatch):
    folder, alive = tiny.base(tmp_path / "model"), []

    def counted(folder):
        for name, tensor in tensors(folder):
            gc.collect()
            assert sum(reference() is not None for reference in alive) <= 1
            alive.append(weakref.ref(tensor))
            yield name, tensor
            del tensor

    monkeypatch.setattr(gguf_file, "tensors", counted)
    write_gguf(folder, tmp_path / "gguf", "m", "f32")
    assert len(alive) > 20
