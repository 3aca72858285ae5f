"""Attention over packed rows, one by one and by the GPU's kernel, which is replaced by the same attention in plain words."""

from types import SimpleNamespace

import pytest
import torch
from torch._dynamo.utils import counters
from torch.nn.attention import varlen

from stages.models import attention, runtime
from stages.tasks import causal
from stages.tasks.batches import collate
from tests import tiny
from tests.varlen import attend, traceable


@pytest.fixture(params=["kernel", "one by one"])
def way(request, monkeypatch):
    """How rows are attended to."""
    if request.param == "kernel":
        monkeypatch.setattr(varlen, "varlen_attn", attend)
        monkeypatch.setattr(attention, "has_flash", lambda *_: True)
    return request.param


MODELS = {name: (lambda name=name: tiny.model(name)) for name in tiny.ARCHITECTURES} | {"windowed": lambda: tiny.windowed(8)}


@pytest.mark.parametrize("name", MODELS)
def test_packed_rows_give_the_losses_and_gradients_of_padded_ones(way, name):
    examples, outputs = tiny.examples(6), []
    for packing in (False, True):
        model = MODELS[name]()
        batch = (task := causal.task(model, 10_000, packing)).collate(examples)
        assert ("attention_mask" in batch.inputs) == (not packing)
        loss, right = task.forward(model, batch)
        loss.sum().backward()
        outputs.append((loss.detach(), right, {name: p.grad for name, p in model.named_parameters()}))
    torch.testing.assert_close(outputs[0][0], outputs[1][0], atol=1e-4, rtol=1e-4)
    assert torch.equal(outputs[0][1], outputs[1][1])
    torch.testing.assert_close(outputs[0][2], outputs[1][2], atol=2e-3, rtol=1e-3)


def test_another_row_changes_nothing(way):
    model, (first, second, third) = tiny.model(), tiny.examples(3)
    model.set_attn_implementation(attention.NAME)
    with torch.no_grad():
        alone = model(**collate([second], "packed", tiny.PAD).inputs).logits[0]
        batch = collate([first, second, third], "packed", tiny.PAD)
        together = model(**batch.inputs).logits[0][batch.rows == 1]
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=0)


def test_no_mask_is_made(way):
    """A dense one of a packed line would take more memory than the model."""
    model, seen = tiny.model(), []
    model.set_attn_implementation(attention.NAME)
    for block in model.model.layers:
        block.self_attn.register_forward_pre_hook(
            lambda _, __, options: seen.append(options["attention_mask"]), with_kwargs=True
        )
    model(**collate(tiny.examples(3), "packed", tiny.PAD).inputs)
    assert seen == [None] * 3


def test_row_ends_are_named_as_transformers_names_them():
    examples = tiny.examples(3)
    inputs = collate(examples, "packed", tiny.PAD).inputs
    sizes = [len(e) for e in examples]
    assert (
        inputs["cu_seq_lens_q"].tolist() == inputs["cu_seq_lens_k"].tolist() == [0, sizes[0], sizes[0] + sizes[1], sum(sizes)]
    )
    assert inputs["cu_seq_lens_q"].dtype is torch.int32
    assert max(sizes) <= inputs["max_length_q"] and inputs["max_length_q"] % 128 == 0


@pytest.mark.parametrize(
    ("device", "dtype", "capability", "runs"),
    [
        ("cuda", torch.bfloat16, (8, 0), True),
        ("cuda", torch.float16, (9, 0), True),
        ("cuda", torch.float32, (9, 0), False),
        ("cuda", torch.bfloat16, (7, 5), False),
        ("cpu", torch.bfloat16, None, False),
    ],
)
def test_the_kernel_runs_on_a_gpu_in_half_precision(monkeypatch, device, dtype, capability, runs):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert attention.has_flash(torch.device(device), dtype) is runs


@pytest.mark.parametrize("dtype", attention.HALF)
def test_rows_in_half_precision_are_attended_to_in_float32_on_a_cpu(monkeypatch, dtype):
    seen, by_kernel = [], attention.one_by_one

    def watched(query, *others, **options):
        seen.append(query.dtype)
        return by_kernel(query, *others, **options)

    monkeypatch.setattr(attention, "one_by_one", watched)
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, 9, 8).to(dtype) for heads in (4, 2, 2))
    ends = torch.tensor([0, 5, 9], dtype=torch.int32)
    with torch.autocast("cpu", dtype):
        mixed, _ = attention.packed_rows(None, query, key, value, None, cu_seq_lens_q=ends)
    exact, _ = attention.packed_rows(None, query.float(), key.float(), value.float(), None, cu_seq_lens_q=ends)
    assert seen == [torch.float32] * 2
    assert torch.equal(mixed, exact.to(dtype))


def test_dropout_in_attention_takes_the_rows_one_by_one(monkeypatch):
    monkeypatch.setattr(attention, "has_flash", lambda *_: True)
    monkeypatch.setattr(attention, "flash", None)
    model = tiny.model("gpt2").train()
    model.transformer.h[0].attn.attn_dropout.p = 0.5
    task = causal.task(model, 10_000)
    for block in model.transformer.h[1:]:
        block.attn.attn_dropout.p = 0.5
    batch, outputs = task.collate(tiny.examples(3)), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        outputs.append(task.forward(model, batch)[0])
    assert torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[0], outputs[2])


def test_a_cap_on_scores_keeps_rows_padded():
    assert causal.task(tiny.model("gemma"), 512).layout == "packed"
    model = tiny.model("gemma")
    model.config.attn_logit_softcapping = 50.0
    assert causal.task(model, 512).layout == "padded"


def test_a_wide_head_gives_the_same_logits_and_gradients():
    heads = [tiny.model().get_output_embeddings() for _ in range(2)]
    assert heads[0].weight.shape[0] == tiny.VOCABULARY and tiny.VOCABULARY % 64
    model = SimpleNamespace(device=torch.device("cuda"), get_output_embeddings=lambda: heads[1])
    runtime.widen_head(model)
    hidden = torch.randn(5, 32)
    plain, wide = (head(hidden) for head in heads)
    assert wide.shape == plain.shape and wide.stride()[-2] % 64 == 0 and plain.stride()[-2] % 64
    torch.testing.assert_close(plain, wide)
    for logits in (plain, wide):
        torch.nn.functional.cross_entropy(logits, torch.arange(5)).backward()
    torch.testing.assert_close(heads[0].weight.grad, heads[1].weight.grad)


@pytest.mark.parametrize("architecture", ["llama", "phi"])  # phi's head has a bias
def test_heads_that_need_no_widening_are_left_alone(architecture):
    model = tiny.model(architecture)
    runtime.widen_head(model)
    assert "forward" not in vars(model.get_output_embeddings())


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_a_half_precision_stream_keeps_the_logits(architecture):
    plain, cast, ids = tiny.model(architecture), tiny.model(architecture), torch.tensor([[5, 40, 41, 7, 300, 12]])
    runtime.narrow_stream(runtime.blocks(cast), torch.float32)
    assert torch.equal(plain(ids).logits, cast(ids).logits)
    streamed, seen = tiny.model(architecture), []
    runtime.narrow_stream(runtime.blocks(streamed), torch.bfloat16)
    last = runtime.blocks(streamed)[-1]
    last.register_forward_pre_hook(lambda _, options: seen.append(options[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        logits = streamed(ids).logits.float()
    assert seen == [torch.bfloat16]
    expected = plain(ids).logits
    assert (logits - expected).norm() < 0.05 * expected.norm()
    logits.sum().backward()
    assert all(
        torch.isfinite(p.grad).all() and p.grad.dtype is torch.float32 for p in streamed.parameters() if p.grad is not None
    )


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "layout"), [("gpt2", "packed"), ("llama", "packed"), ("llama", "padded")])
def test_the_whole_loss_compiles_as_one_graph(monkeypatch, architecture, layout):
    """fullgraph refuses any break; batches of other sizes must not compile it anew each time."""
    monkeypatch.setattr(varlen, "varlen_attn", traceable)
    monkeypatch.setattr(attention, "has_flash", lambda *_: True)
    torch._dynamo.reset()
    counters.clear()
    model = tiny.model(architecture).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    task = causal.task(model, 10_000, layout == "packed")
    compiled = torch.compile(task.forward, dynamic=True, fullgraph=True, backend="aot_eager")
    for count, first in ((4, 0), (5, 4), (7, 9)):
        batch = task.collate(tiny.examples(count, first))
        torch.manual_seed(0)
        loss, right = compiled(model, batch)
        expected, same = task.forward(model, batch)
        torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-4)
        assert torch.equal(right, same)
        loss.sum().backward()
    assert counters["stats"]["unique_graphs"] == 1
