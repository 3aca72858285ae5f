"""Llama's kind of model by its weights, against transformers' own code; kernels are in plain words here."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from stages.decoding.causal import caches
from stages.decoding.causal.graphs.llama import Llama, is_llama
from tests import tiny
from tests.varlen import instead_of_kernels

KIND, CONFIG, SIZES = tiny.ARCHITECTURES["llama"]
SCALED = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 8}


def qwen3(**options):
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=tiny.VOCABULARY, head_dim=8, **{**SIZES, **options})).eval()


def llama(**options):
    return LlamaForCausalLM(CONFIG(vocab_size=tiny.VOCABULARY, **{**SIZES, **options})).eval()


MODELS = {
    "llama": tiny.model,
    "mistral": lambda: tiny.model("mistral"),
    "windowed": lambda: tiny.windowed(3),
    "biases": lambda: tiny.model("qwen2"),
    "norms of heads": qwen3,
    "windows above": lambda: qwen3(use_sliding_window=True, sliding_window=3, max_window_layers=1),
    "every bias": lambda: llama(attention_bias=True, mlp_bias=True),
    "wide heads, own head": lambda: llama(head_dim=16, tie_word_embeddings=False),
    "llama3": lambda: llama(rope_parameters={**SCALED, "original_max_position_embeddings": 16}),
    "yarn": lambda: llama(rope_parameters=YARN),
}


@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_logits_are_those_of_transformers(monkeypatch, name):
    instead_of_kernels(monkeypatch)
    torch.manual_seed(0)
    model = MODELS[name]()
    for parameter in model.parameters():  # weights of norms and biases too
        parameter.add_(torch.randn_like(parameter) / 10)
    rows, more = torch.randint(3, 300, (2, 9)), torch.randint(3, 300, (2, 3))
    expected = model(torch.cat([rows, more], 1)).logits[:, 8:]
    assert is_llama(model)
    steps = caches.Graphed(model, 4)
    assert steps.llama
    logits = [steps.first(rows, torch.ones_like(rows))]
    for column in more.T:
        logits.append(steps._logits(column))
        steps.places += 1
    torch.testing.assert_close(torch.stack(logits, 1), expected, atol=2e-4, rtol=2e-4)


def test_weights_are_the_models_own(monkeypatch):
    instead_of_kernels(monkeypatch)
    model = tiny.model("qwen2")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = Llama(model), Llama(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    for one, other, layer in zip(first.blocks, second.blocks, model.model.layers, strict=True):
        places = [[part.data_ptr() for part in (*block.heads, block.pair[0])] for block in (one, other)]
        attention = layer.self_attn
        own = [attention.q_proj.weight, attention.q_proj.bias, layer.mlp.gate_proj.weight]
        assert places[0] == places[1] == [part.data_ptr() for part in own]
        assert torch.equal(one.heads[0], torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]))
    tiny_layer = model.model.layers[0].self_attn
    tiny_layer.k_proj.weight.data = tiny_layer.k_proj.weight.data + 1  # someone's new weights are read again
    assert torch.equal(Llama(model).blocks[0].heads[0][32:48], before["model.layers.0.self_attn.k_proj.weight"] + 1)


def hooked(model):
    model.model.layers[1].register_forward_hook(lambda *_: None)
    return model


def replaced(model):
    model.model.layers[1].mlp.forward = model.model.layers[1].mlp.forward
    return model


def mixed(model):
    model.model.norm.double()
    return model


class Longer(LlamaForCausalLM):
    """Someone's own class."""


OTHERS = {
    "gpt2": lambda: tiny.model("gpt2"),
    "phi": lambda: tiny.model("phi"),
    "gemma": lambda: tiny.model("gemma"),
    "gelu": lambda: llama(hidden_act="gelu"),
    "part of a head turned": lambda: tiny.model("phi"),
    "adapter": lambda: get_peft_model(tiny.model(), LoraConfig(target_modules=["q_proj"])).base_model.model,
    "hook": lambda: hooked(tiny.model()),
    "replaced": lambda: replaced(tiny.model()),
    "two types": lambda: mixed(tiny.model()),
    "own class": lambda: Longer(tiny.model().config),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_plainly_llama_goes_by_its_own_code(name):
    model = OTHERS[name]()
    assert not is_llama(model)
    assert caches.Graphed(model, 4).llama is None
