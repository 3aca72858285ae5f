"""One compiled block serves for all of them, whatever the sizes of batches, and gives what the model gives."""

import copy

import pytest
import torch
from torch._dynamo.utils import counters

from stages.models import attention, runtime
from stages.tasks import causal
from stages.training import compiling, tune
from tests import tiny
from tests.varlen import traceable

ADAPTERS = {"kind": "lora", "rank": 2, "alpha": 4, "dropout": 0.0, "base": "plain", "save": "merged"}


@pytest.mark.slow
@pytest.mark.parametrize("adapters", [False, True])
def test_a_compiled_block_serves_for_all_blocks(monkeypatch, adapters):
    varlen = pytest.importorskip("torch.nn.attention.varlen")
    monkeypatch.setattr(varlen, "varlen_attn", traceable)
    monkeypatch.setattr(attention, "has_flash", lambda *_: True)
    kind = torch.compile
    monkeypatch.setattr(torch, "compile", lambda work, **options: kind(work, backend="aot_eager", **options))
    torch._dynamo.reset()
    plain = tiny.model("llama").train()
    model = copy.deepcopy(plain)
    task = causal.task(model, 10_000)
    causal.task(plain, 10_000)
    if adapters:
        model, plain = (tune.prepare(m, tiny.training(tune=ADAPTERS).tune, 1) for m in (model, plain))
    counters.clear()
    forward = compiling.compiled(model, task, sparing=False)
    for count, first in ((4, 0), (5, 4), (7, 9)):
        batch = task.collate(tiny.examples(count, first))
        loss, right = forward(model, batch)
        expected, same = task.forward(plain, batch)
        torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-4)
        assert torch.equal(right, same)
        loss.sum().backward()
    # the block once with its scale as a number of its own and once with it fixed, and the loss
    assert len(runtime.blocks(model)) > 1 and counters["stats"]["unique_graphs"] <= 3


@pytest.mark.parametrize(
    ("is_compiled", "first", "seconds", "said"),
    [
        (True, 40, 60, "compiling took about 40 of 60 s"),
        (True, 40, 600, ""),
        (False, 1, 60, ""),
        (False, 1, 900, "train.compile: true"),
    ],
)
def test_it_is_said_when_compiling_pays(is_compiled, first, seconds, said):
    advice = compiling.advice(is_compiled, first, seconds)
    assert said in advice and bool(advice) == bool(said)
