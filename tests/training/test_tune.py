import copy

import pytest
import torch

from stages.common.errors import StageError
from stages.common.schema_models import Full, Lora, TopLayers
from stages.training.tune import finish, optimizer, prepare, schedule, trainable
from tests import kinds, tiny

IDS = torch.tensor([[5, 40, 41, 7, 300, 12]])
TOP = TopLayers(kind="top_layers", layers=1)
LORA = Lora(kind="lora", rank=4, alpha=8, dropout=0.0, base="plain", save="merged")


def test_full_tunes_everything():
    model = tiny.model()
    assert len(trainable(prepare(model.requires_grad_(False), Full(kind="full"), 1))) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("architecture", "block", "norm"),
    [("llama", "model.layers.2.", "model.norm."), ("gpt2", "transformer.h.2.", "transformer.ln_f.")],
)
def test_top_layers_are_the_last_blocks_and_the_final_norm(architecture, block, norm):
    model = tiny.model(architecture)
    asked = {name for name, _ in model.named_parameters() if name.startswith((block, norm))}
    assert set(trainable(prepare(model, TOP, 1))) == asked


def test_more_layers_than_there_are_is_an_error():
    with pytest.raises(StageError, match="at most 3"):
        prepare(tiny.model(), TopLayers(kind="top_layers", layers=4), 1)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_adapters_start_as_nothing_and_are_merged_in_the_end(architecture):
    model = prepare(tiny.model(architecture), LORA, 1).eval()
    torch.testing.assert_close(model(IDS).logits, tiny.model(architecture)(IDS).logits)
    assert all("lora_" in name for name in trainable(model))
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter.normal_(std=0.1)
    tuned = model(IDS).logits
    assert not torch.allclose(tuned, tiny.model(architecture)(IDS).logits, atol=1e-2)
    plain = finish(model, LORA)
    assert type(plain) is type(tiny.model(architecture))
    assert plain.state_dict().keys() == tiny.model(architecture).state_dict().keys()
    torch.testing.assert_close(plain(IDS).logits, tuned, atol=1e-3, rtol=1e-4)


def test_adapters_start_by_the_seed():
    first, same, other = (prepare(tiny.model(), LORA, seed) for seed in (1, 1, 2))
    name = next(name for name in trainable(first) if "lora_A" in name)
    assert torch.equal(trainable(first)[name], trainable(same)[name])
    assert not torch.equal(trainable(first)[name], trainable(other)[name])


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_norms_and_biases_do_not_decay(architecture):
    model = tiny.model(architecture).requires_grad_(True)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optim = optimizer(model, 0.5)
    for group in optim.param_groups:
        group["lr"] = 1e-2
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optim.step()
    for name, parameter in model.named_parameters():
        expected = before[name] * (1 if parameter.ndim == 1 else 1 - 1e-2 * 0.5)
        torch.testing.assert_close(parameter.detach(), expected)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("linear", [0.5, 1, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1, 1, 0.853553, 0.5, 0.146447]),
        ("constant", [0.5, 1, 1, 1, 1, 1]),
    ],
)
def test_schedule(kind, values):
    assert [schedule(kind, step, 6, 1 / 3) for step in range(6)] == pytest.approx(values, abs=1e-6)


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0, 0.1, 1])
def test_every_step_of_a_schedule_learns(kind, warmup):
    for steps in (1, 2, 7, 100):
        values = [schedule(kind, step, steps, warmup) for step in range(steps)]
        assert all(0 < value <= 1 for value in values) and max(values) == 1


@pytest.mark.parametrize("tune", [TOP, LORA], ids=["top_layers", "lora"])
def test_frozen_weights_are_narrow_and_learning_ones_are_not(tune):
    model = prepare(tiny.model(), tune, 1, torch.bfloat16)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}


@pytest.mark.parametrize("kind", ["mamba", "llama4_text", "gpt_oss", "glm", "falcon"])
def test_adapters_are_put_on_what_they_fit_and_the_rest_is_told(kind, capsys):
    model, lora = copy.deepcopy(kinds.model(kind)), Lora(kind="lora", rank=2, alpha=4, dropout=0.0, base="plain", save="merged")
    if kind == "mamba":
        with pytest.raises(StageError, match="incompatible with Mamba"):
            prepare(model, lora, 1)
        return
    adapted = prepare(model, lora, 1)
    adapted(input_ids=torch.tensor([[5, 6, 7]])).logits.sum().backward()  # routers give more than a product
    assert ("get no adapter" in capsys.readouterr().err) == (kind not in ("glm", "falcon"))
