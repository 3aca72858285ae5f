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
