"""The kernels that choose a token, against what the CPU chooses."""

import pytest
import torch

from stages.decoding.causal.sampling import choose
from tests import tiny
from tests.decoding.causal.graphs import DEVICE, HERE, TYPES

if not HERE:
    pytest.skip("no GPU, and no Triton in its interpreter", allow_module_level=True)
from stages.decoding.causal.graphs import drawing


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
    assert drawing.best(logits).tolist()[:4] == [2, words - 1, 0, 0]
    assert drawing.best(logits)[4:].tolist() == [line.tolist().index(line.max()) for line in logits[4:]]


@pytest.mark.parametrize("options", [{}, {"top_k": 5}, {"top_p": 0.7}, {"top_k": 40, "top_p": 0.9}], ids=str)
def test_tokens_are_drawn_as_on_the_cpu(options, monkeypatch):
    torch.manual_seed(0)
    logits = torch.randn(40, 9001) * 3
    options = tiny.generation(temperature=0.8, **options)
    draws = torch.rand(40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = choose(logits, options, draws)
    if DEVICE == "cuda":
        assert torch.equal(choose(logits.cuda(), options, draws).cpu(), expected)
    assert len(expected.unique()) > 20 or options.top_k
    if not options.top_k and options.top_p == 1:
        assert torch.equal(drawing.draw((logits / 0.8).to(DEVICE), draws.to(DEVICE)).cpu(), expected)


def test_what_cannot_be_said_is_never_drawn():
    scores = torch.full((4, 5000), -torch.inf, device=DEVICE)
    scores[:, [3, 4500]] = torch.tensor([0.0, 1.0], device=DEVICE)
    draws = torch.tensor([0.0, 0.2, 0.3, 1 - 2**-53], dtype=torch.float64, device=DEVICE)
    assert drawing.draw(scores, draws).tolist() == [3, 3, 4500, 4500]


def test_sums_are_cumulative_and_the_same_every_time():
    shares = torch.rand(3, 9001, device=DEVICE)[:, :9000]
    again = [drawing.sums(shares) for _ in range(2)]
    torch.testing.assert_close(again[0].double(), shares.double().cumsum(-1), atol=0, rtol=1e-5)
    assert torch.equal(*again)
