import pytest
import torch

from stages.tasks.score import score
from tests import tiny


def by_transformers(model, example):
    """Summed loss of the completion, as transformers computes it from labels."""
    ids = torch.tensor([[*example.prompt, *example.completion]])
    labels = ids.clone()
    labels[0, : len(example.prompt)] = -100
    with torch.no_grad():
        result = model(ids, labels=labels)
    right = result.logits[0, :-1].argmax(-1)[len(example.prompt) - 1 :] == ids[0, len(example.prompt) :]
    return result.loss.item() * len(example.completion), int(right.sum())


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_equals_the_loss_of_transformers(architecture):
    model, examples = tiny.model(architecture), tiny.examples(5)
    for own, example in zip(score(model, examples, tiny.scoring(256)), examples, strict=True):
        nll, correct = by_transformers(model, example)
        assert own.nll == pytest.approx(nll, rel=1e-5)
        assert (own.correct, own.tokens) == (correct, len(example.completion))


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("micro_tokens", [1, 100, 10_000])
def test_how_rows_are_batched_changes_nothing(micro_tokens, packing):
    examples = tiny.examples(7)
    scores = list(score(tiny.model(), examples, tiny.scoring(micro_tokens, packing)))
    whole = list(score(tiny.model(), examples, tiny.scoring(512)))
    assert [s.nll for s in scores] == pytest.approx([s.nll for s in whole], rel=1e-5)
    assert [(s.tokens, s.correct) for s in scores] == [(s.tokens, s.correct) for s in whole]


def test_scores_come_in_the_order_of_the_rows():
    examples = tiny.examples(7)
    forth, back = (
        list(score(tiny.model(), examples, tiny.scoring(64))),
        list(score(tiny.model(), examples[::-1], tiny.scoring(64))),
    )
    assert [s.nll for s in forth] == pytest.approx([s.nll for s in back[::-1]], rel=1e-5)
    assert list(score(tiny.model(), [], tiny.scoring(64))) == []


def test_a_sure_model_gets_every_token_right():
    model, example = tiny.model("phi"), tiny.examples(1)[0]
    with torch.no_grad():
        model.lm_head.bias[example.completion[0]] = 1e4
    own = next(score(model, [example], tiny.scoring(64)))
    assert own.correct == example.completion.count(example.completion[0])
