"""The loss over answers: whole, or piece by piece where a large vocabulary would fill the memory."""

from dataclasses import replace

import pytest
import torch

from stages.models import prompting, runtime
from stages.tasks import causal
from stages.tasks.batches import encode_all
from stages.tasks.score import score
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


@pytest.mark.parametrize("kind", ["llama", "gpt2", "phi", "window"])
def test_a_head_of_all_prompts_is_read_once_a_batch_and_changes_no_score(kind):
    model = tiny.windowed(6) if kind == "window" else tiny.model(kind)
    head = [*range(3, 3 + 2 * prompting.HEAD)]
    examples = [replace(example, prompt=[*head, *example.prompt]) for example in tiny.examples(8)]
    whole = causal.task(model, 256)
    task, rest = causal.headed(whole, examples)
    assert [len(e) - len(r) for e, r in zip(examples, rest, strict=True)] == [len(task.head)] * 8
    assert list(task.head)[: len(head)] == head and len(task.groups(rest)) > 1
    for one, other in zip(score(model, rest, task), score(model, examples, whole), strict=True):
        assert (one.tokens, one.correct) == (other.tokens, other.correct) and one.nll == pytest.approx(other.nll, rel=1e-5)
    read = sum(task.collate(group).inputs["input_ids"].numel() for group in task.groups(rest))
    assert read == sum(map(len, rest)) + len(task.head) * len(task.groups(rest))


def test_there_is_no_head_where_it_is_short_or_rows_are_padded():
    model, examples = tiny.model(), tiny.examples(8)
    same = [replace(example, prompt=[*range(3, 3 + prompting.HEAD)]) for example in examples]
    assert causal.headed(causal.task(model, 256, packing=False), same)[1] == same
    assert causal.headed(causal.task(model, 256), same)[1] == same  # a token of each prompt stays
    assert causal.headed(causal.task(model, 256), same[:1])[1] == same[:1]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "phi", "window"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_the_prompts_of_a_batch_begin_with_is_learned_from_as_if_each_row_had_read_it(kind, dtype):
    model = tiny.windowed(6) if kind == "window" else tiny.model(kind)
    head = [*range(3, 3 + 2 * prompting.HEAD)]
    examples = [replace(example, prompt=[*head, *example.prompt]) for example in tiny.examples(4)]
    apart = causal.task(model, 1024)
    shared = replace(apart, shares_head=True)
    alike = shared.collate(examples)
    assert alike.examples == examples and alike.inputs["headed"]
    assert alike.inputs["input_ids"].numel() <= sum(map(len, examples)) - 3 * len(head)
    with runtime.autocast(torch.device("cpu"), dtype):
        results = [losses(model, task.collate(examples), task) for task in (apart, shared)]
    near = {"atol": 1e-4, "rtol": 1e-4} if dtype is torch.float32 else {"atol": 0.1, "rtol": 0.1}
    torch.testing.assert_close(results[1][0], results[0][0], **near)
    assert results[1][2].keys() == results[0][2].keys()
    for name, gradient in results[1][2].items():
        torch.testing.assert_close(gradient, results[0][2][name], **near)


def test_rows_of_a_batch_that_begin_in_their_own_ways_are_packed_as_ever():
    task = causal.task(tiny.model(), 1024)
    examples = tiny.examples(4)
    some, others = (t.collate(examples).inputs for t in (task, replace(task, shares_head=True)))
    assert some.keys() == others.keys() and torch.equal(some["input_ids"], others["input_ids"])
