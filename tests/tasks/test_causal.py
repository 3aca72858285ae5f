"""The loss over answers: whole, or piece by piece where a large vocabulary would fill the memory."""

import pytest
import torch

from stages.tasks import causal
from stages.tasks.batches import encode_all
from tests import tiny


def losses(model, batch, task) -> tuple[torch.Tensor, torch.Tensor, dict]:
    """Losses, hits, and the gradients of everything that learns."""
    model.zero_grad()
    loss, hits = task.forward(model, batch)
    loss.sum().backward()
    return loss.detach(), hits, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "phi"])
def test_pieces_give_the_loss_and_the_gradients_of_the_whole(monkeypatch, architecture, packing):
    model = tiny.model(architecture)
    examples, _ = encode_all(tiny.rows(8, 24), tiny.tokenizer(), 128)
    task = causal.task(model, 512, packing, sparing=True)
    batch = task.collate(task.groups(examples)[0])
    whole = losses(model, batch, task)
    monkeypatch.setattr(causal, "LOGITS", 7 * model.config.vocab_size)  # seven targets at once
    assert task.pieces and len(batch.targets) > 7
    pieces = losses(model, batch, task)
    torch.testing.assert_close(pieces[0], whole[0], atol=1e-5, rtol=1e-5)
    assert torch.equal(pieces[1], whole[1]) and pieces[2].keys() == whole[2].keys()
    for name, gradient in pieces[2].items():
        torch.testing.assert_close(gradient, whole[2][name], atol=1e-4, rtol=1e-4)


def test_logits_that_are_more_than_a_product_stay_whole():
    model = tiny.model()
    plain = model.forward

    def scaled(*inputs, **named):
        result = plain(*inputs, **named)
        result.logits = result.logits / 2  # as some families do after their output matrix
        return result

    assert causal.task(model, 512, sparing=True).pieces
    model.forward = scaled
    assert not causal.task(model, 512, sparing=True).pieces
