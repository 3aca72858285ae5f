"""Norms that are computed at once are those of transformers, forward and back."""

import pytest
import torch

from stages.training.causal import norms
from tests import tiny

COUNTS = {"llama": 7, "mistral": 7, "qwen2": 7, "gpt2": 0, "phi": 0, "gemma": 0}  # Gemma adds 1 to its weights


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", COUNTS)
def test_a_model_learns_the_same_with_norms_of_its_own_and_ours(architecture, dtype):
    ids, results = torch.tensor([[5, 40, 41, 7, 300, 12]]), []
    for combine in (False, True):
        model = tiny.model(architecture)
        for name, parameter in model.named_parameters():
            if "norm" in name and parameter.ndim == 1:
                torch.nn.init.uniform_(parameter, 0.5, 1.5, generator=torch.Generator().manual_seed(len(name)))
        if combine:
            assert norms.combine(model) == COUNTS[architecture]
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            loss = model(ids, labels=ids).loss
        loss.backward()
        results.append((loss.detach(), {name: p.grad for name, p in model.named_parameters()}))
    near = {"atol": 1e-5, "rtol": 1e-4} if dtype is torch.float32 else {"atol": 0.05, "rtol": 0.05}
    torch.testing.assert_close(results[1], results[0], **near)


def test_its_gradients_are_those_of_its_formula():
    """Against PyTorch's own norm, for every input."""
    torch.manual_seed(1)
    states, weight, outer = torch.randn(2, 5, 16), torch.rand(16), torch.randn(2, 5, 16)
    results = []
    for norm in (norms._Norm.apply, lambda x, w, e: torch.nn.functional.rms_norm(x, (16,), w, e)):
        leaves = [states.clone().requires_grad_(), weight.clone().requires_grad_()]
        made = norm(*leaves, 1e-6)
        (made * outer).sum().backward()
        results.append([made.detach(), *(leaf.grad for leaf in leaves)])
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-5)


def test_a_frozen_narrow_weight_has_no_gradient_and_states_keep_their_width():
    norm = tiny.model().model.layers[0].input_layernorm.to(torch.bfloat16).requires_grad_(False)
    states = torch.randn(1, 3, norm.weight.numel(), dtype=torch.bfloat16, requires_grad=True)
    made = norms._forward(norm, states)
    made.float().sum().backward()
    assert made.dtype is states.grad.dtype is torch.bfloat16 and norm.weight.grad is None
