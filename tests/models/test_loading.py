"""A model is read whole or refused: nothing is drawn at random where weights are missing, and no code of others runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, BertModel

from stages.common.errors import StageError
from stages.models import directory
from tests import tiny

HEAD, FC1 = "lm_head.weight", "model.layers.1.mlp.fc1.weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A base whose head is no copy of its embeddings."""
    return tiny.base(tmp_path_factory.mktemp("whole") / "base", "phi")


@pytest.fixture
def base(whole, tmp_path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(whole, tmp_path / "base"))


def change(folder: Path, name: str, to: Callable[[torch.Tensor], torch.Tensor | None], new: str | None = None) -> None:
    """Another tensor in the place of `name`, or none; `new` is another name for it."""
    for file in folder.glob("*.safetensors"):
        tensors = load_file(file)
        if name in tensors:
            tensor = to(tensors[name] if new else tensors.pop(name))
            save_file(tensors if tensor is None else tensors | {new or name: tensor}, file, metadata={"format": "pt"})
            index = folder / "model.safetensors.index.json"
            known = json.loads(index.read_text())
            known["weight_map"] = {
                key: at for key, at in known["weight_map"].items() if key != name or new or tensor is not None
            }
            known["weight_map"] |= {new: file.name} if new else {}
            index.write_text(json.dumps(known))
            return
    raise AssertionError(f"no {name}")


def configure(folder: Path, **settings) -> None:
    """Other settings in config.json."""
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))


def third(folder: Path) -> Path:
    """One of several files of weights."""
    return sorted(folder.glob("*.safetensors"))[2]


BROKEN = {
    "block": (lambda f: change(f, FC1, lambda _: None), FC1),
    "head": (lambda f: change(f, HEAD, lambda _: None), "no weights for lm_head.weight"),
    "shape": (lambda f: change(f, FC1, lambda t: t[:16]), r"fc1.weight of shape \[16, 32\]"),
    "fewer words": (lambda f: configure(f, vocab_size=300), r"of shape \[336"),
    "more words": (lambda f: configure(f, vocab_size=400), r"of shape \[336"),
    "fewer blocks": (lambda f: configure(f, num_hidden_layers=2), "config.json has no place for: model.layers.2"),
    "more blocks": (lambda f: configure(f, num_hidden_layers=4), "no weights for model.layers.3"),
    "more in a block": (lambda f: change(f, FC1, torch.clone, FC1.replace("fc1", "fc3")), "no place for: .*fc3"),
    "cut off": (lambda f: third(f).write_bytes(third(f).read_bytes()[:2000]), "SafetensorError"),
    "no file": (lambda f: third(f).unlink(), "No such file.*00003-of"),
    "quantized": (lambda f: configure(f, quantization_config={"quant_method": "fp8"}), "weights quantized by fp8"),
    "unknown": (lambda f: configure(f, model_type="newest"), "model type `newest`"),
    "code": (lambda f: configure(f, model_type="own", auto_map={"AutoConfig": "own.Config"}), "custom code"),
    "no json": (lambda f: (f / "config.json").write_text("{"), "not a valid JSON"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_not_whole_is_refused_with_the_reason(base, kind, capsys):
    breaks, reason = BROKEN[kind]
    breaks(base)
    with pytest.raises(StageError, match=f"(?s){reason}"):
        directory.load(base)
    with pytest.raises(StageError, match=f"(?s){reason}"):
        directory.load_fetched(base, "causal")
    assert "[y/N]" not in capsys.readouterr().out  # nobody is asked whether code may run


def test_a_base_with_weights_that_are_no_numbers_is_refused(base):
    change(base, FC1, lambda tensor: tensor.index_fill(0, torch.tensor([3]), torch.nan))
    with pytest.raises(StageError, match=f"no numbers: {FC1}"):
        directory.load_fetched(base, "causal")


def test_a_base_without_a_tokenizer_is_refused(base):
    for file in base.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(StageError, match="tokenizer"):
        directory.load_fetched(base, "causal")


def test_weights_beside_the_blocks_that_the_model_lacks_are_told(base, capsys):
    change(base, "model.final_layernorm.weight", torch.clone, "vision.weight")
    directory.load_fetched(base, "causal")
    assert "read without: vision.weight" in capsys.readouterr().err


@pytest.mark.parametrize("pooler", [True, False])
def test_an_encoder_has_the_pooler_that_it_came_with_or_none(tmp_path, pooler):
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = BertModel(BertConfig(vocab_size=tiny.VOCABULARY, **small), add_pooling_layer=pooler)
    directory.save(tmp_path, model, tiny._reader())
    weights = directory.load_fetched(tmp_path, "encoder")[0].state_dict()
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())


def test_a_trained_classifier_without_its_head_is_refused_and_a_base_gets_a_new_one(tmp_path):
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = BertForSequenceClassification(BertConfig(vocab_size=tiny.VOCABULARY, **small, num_labels=3))
    directory.save(tmp_path, model, tiny._reader())
    change(tmp_path, "classifier.weight", lambda _: None)
    with pytest.raises(StageError, match=r"no weights for classifier\.weight"):
        directory.load(tmp_path, "classifier")
    configure(tmp_path, architectures=["BertModel"])
    assert directory.load(tmp_path, "classifier").classifier.weight.shape == (3, 32)


def test_rows_of_longrope_are_no_longer_than_what_it_turns_alike(base):
    scaled = {"rope_type": "longrope", "original_max_position_embeddings": 64, "rope_theta": 1e4, "factor": 4.0}
    factors = {"short_factor": [1.0, 1.1], "long_factor": [2.0, 2.1], "partial_rotary_factor": 0.5}
    assert directory.context_length(base) == tiny.CONTEXT
    configure(base, rope_parameters=scaled | factors)
    assert directory.context_length(base) == 64
