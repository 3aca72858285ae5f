import pytest
import torch
from transformers import RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from stages.decoding.causal.sampling import choose, narrow, penalize, random_numbers, stream
from tests import tiny


def logits(rows: int = 20, width: int = 50) -> torch.Tensor:
    return torch.randn((rows, width), generator=torch.Generator().manual_seed(3)) * 3


def survivors(values: torch.Tensor) -> torch.Tensor:
    return values.isfinite()


@pytest.mark.parametrize("top_k", [1, 5, 49, 50, 1000])
def test_top_k_keeps_what_transformers_keeps(top_k):
    assert torch.equal(survivors(narrow(logits(), top_k, 1.0)), survivors(TopKLogitsWarper(top_k)(None, logits())))


def test_top_k_keeps_ties():
    assert survivors(narrow(torch.tensor([[1.0, 3.0, 2.0, 2.0]]), 2, 1.0)).tolist() == [[False, True, True, True]]


@pytest.mark.parametrize("top_p", [0.01, 0.3, 0.9, 0.999])
def test_top_p_keeps_what_transformers_keeps(top_p):
    assert torch.equal(survivors(narrow(logits(), 0, top_p)), survivors(TopPLogitsWarper(top_p)(None, logits())))


def test_top_p_keeps_the_first_of_ties():
    line = torch.tensor([[1.0, 3.0, 2.0, 2.0, 2.0]])  # 0.06, 0.44 and three times 0.16
    assert survivors(narrow(line, 0, 0.7)).tolist() == [[False, True, True, True, False]]


def test_both_as_transformers_in_this_order():
    theirs = TopPLogitsWarper(0.8)(None, TopKLogitsWarper(6)(None, logits()))
    assert torch.equal(survivors(narrow(logits(), 6, 0.8)), survivors(theirs))


def test_off_keeps_everything():
    assert torch.equal(narrow(logits(), 0, 1.0), logits())


@pytest.mark.parametrize("penalty", [0.5, 1.3])
def test_repetition_penalty_equals_transformers(penalty):
    ids = torch.randint(0, 50, (20, 7), generator=torch.Generator().manual_seed(4))
    seen = torch.zeros((20, 50), dtype=torch.bool).scatter_(1, ids, True)
    theirs = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits().clone())
    assert torch.equal(penalize(logits(), seen, penalty), theirs)


def test_greedy_takes_the_best():
    options = tiny.generation(temperature=0, top_k=3, top_p=0.5)
    assert torch.equal(choose(logits(), options, None), logits().argmax(-1))


def drawn(options, count: int = 4000) -> torch.Tensor:
    """How often each of eight tokens is drawn."""
    line = logits(1, 8) / 3
    (draws,) = random_numbers(options.model_copy(update={"max_new_tokens": 1}), [[i] for i in range(count)])
    tokens = choose(line.repeat(count, 1), options, draws)
    return torch.bincount(tokens, minlength=8) / count


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_distribution(temperature):
    expected = TemperatureLogitsWarper(temperature)(None, logits(1, 8) / 3).softmax(-1)[0]
    torch.testing.assert_close(drawn(tiny.generation(temperature=temperature)), expected, atol=0.03, rtol=0)


def test_what_is_narrowed_away_is_never_drawn():
    counts = drawn(tiny.generation(temperature=1.0, top_k=3))
    assert set(counts.nonzero().flatten().tolist()) == set((logits(1, 8)).topk(3).indices[0].tolist())


def test_a_stream_belongs_to_its_prompt_and_seed():
    first, same, text, seed = (torch.rand(4, generator=stream(*key)) for key in ((1, "a"), (1, "a"), (1, "b"), (2, "a")))
    assert torch.equal(first, same)
    assert not torch.equal(first, text) and not torch.equal(first, seed)
    assert stream(1, "\ud800") is not None
