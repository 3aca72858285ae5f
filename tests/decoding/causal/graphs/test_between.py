"""The kernels between the matrix products, against the same in plain words."""

import pytest
import torch

from tests import varlen
from tests.decoding.causal.graphs import DEVICE, HERE, TYPES

if not HERE:
    pytest.skip("no GPU, and no Triton in its interpreter", allow_module_level=True)
from stages.decoding.causal.graphs import between


def close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, **dict.fromkeys(("atol", "rtol"), 2 * torch.finfo(one.dtype).eps))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("width", [32, 960, 1100])
def test_a_norm_adds_what_a_block_has_to_say(dtype, width):
    torch.manual_seed(0)
    stream, added = torch.randn(2, 5, width, device=DEVICE).to(dtype)
    weight = torch.rand(width, device=DEVICE).to(dtype)
    close(between.norm(stream.clone(), None, weight, 1e-5), varlen.norm(stream.clone(), None, weight, 1e-5))
    ours, theirs = stream.clone(), stream.clone()
    close(between.norm(ours, added, weight, 1e-5), varlen.norm(theirs, added, weight, 1e-5))
    assert torch.equal(ours, theirs) and not torch.equal(ours, stream)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("inner", [64, 1100, 2560])
def test_a_gate_is_silu_of_one_half_times_the_other(dtype, inner):
    torch.manual_seed(0)
    pair = 3 * torch.randn(3, 2 * inner, device=DEVICE).to(dtype)
    close(between.gate(pair), varlen.gate(pair))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("words", [7, 4096, 9001])
def test_the_best_token_is_the_first_of_the_highest(dtype, words):
    torch.manual_seed(0)
    logits = torch.randn(6, words + 3, device=DEVICE).to(dtype)[:, :words]  # as wide as the vocabulary, its lines wider
    top = logits.max() + 1
    logits[0, [2, words - 1]] = top
    logits[1, words - 1] = top
    logits[2] = -torch.inf
    logits[3, 1:] = -torch.inf
    assert between.best(logits).tolist()[:4] == [2, words - 1, 0, 0]
    assert between.best(logits)[4:].tolist() == [line.tolist().index(line.max()) for line in logits[4:]]
