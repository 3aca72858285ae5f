import pytest
import torch

from stages.common.errors import StageError
from stages.training import loop, selection
from stages.training.checkpoint import Checkpoints
from stages.training.loggers import Silent
from stages.training.subject import set_dropout
from stages.training.tune import finish, trainable
from tests import tiny


@pytest.fixture
def train(tmp_path):
    """Trains a tiny model on 24 rows; returns it and how the run went."""

    def run(architecture="llama", rows=24, validation=6, model=None, **params):
        examples, held_back = tiny.examples(rows), tiny.examples(validation, rows)
        checkpoints = Checkpoints(tmp_path)
        model = model or tiny.model(architecture)
        options = tiny.training(**params)
        result = loop.Run(model, tiny.task(options), options, checkpoints, Silent()).train(examples, held_back, "train")
        checkpoints.clear()
        return result

    return run


@pytest.fixture
def gradients(train, monkeypatch):
    """The gradients of one step over eight rows, by name: the change that plain descent makes at a rate of 1."""
    monkeypatch.setattr(loop, "optimizer", lambda model, *_: torch.optim.SGD(trainable(model).values(), lr=1.0))

    def run(**params):
        start = dict(tiny.model().named_parameters())
        options = {"epochs": 1, "learning_rate": 1.0, "warmup": 0, "max_grad_norm": 1e9, **params}
        model, state = train(rows=8, validation=0, **options)
        return {name: start[name] - p.detach() for name, p in model.named_parameters()}, state.rows

    return run


@pytest.mark.parametrize(
    "change",
    [{"micro_tokens": 1}, {"micro_tokens": 90}, {"packing": False, "micro_tokens": 10_000}, {"packing": False}],
    ids=["one by one", "some at a time", "padded", "padded, some at a time"],
)
def test_how_a_batch_is_cut_changes_nothing(gradients, change):
    (whole, rows), (cut, same) = gradients(micro_tokens=10_000), gradients(**change)
    assert rows == [pytest.approx(row, rel=1e-5) for row in same]
    assert max(g.abs().max() for g in whole.values()) > 0.01
    torch.testing.assert_close(whole, cut, atol=1e-5, rtol=1e-4)


def test_weights_after_a_step_are_the_same_for_one_micro_batch_and_for_eight(train):
    options = {"rows": 8, "validation": 0, "epochs": 1, "learning_rate": 1e-4}
    (one_batch, _), (eight_batches, _) = train(micro_tokens=10_000, **options), train(micro_tokens=1, **options)
    torch.testing.assert_close(one_batch.state_dict(), eight_batches.state_dict(), atol=1e-5, rtol=0)


def test_the_gradient_is_that_of_the_mean_over_answer_tokens(gradients):
    by_name, (row,) = gradients()
    model, total = tiny.model(), 0
    for example in tiny.examples(8):
        ids = torch.tensor([[*example.prompt, *example.completion]])
        labels = ids.clone()
        labels[0, : len(example.prompt)] = -100
        total = total + model(ids, labels=labels).loss * len(example.completion)
    loss = total / sum(len(e.completion) for e in tiny.examples(8))
    loss.backward()
    assert row["training_loss"] == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(by_name, {name: p.grad for name, p in model.named_parameters()}, atol=1e-5, rtol=1e-4)


def test_long_gradients_are_clipped(gradients):
    by_name, _ = gradients(max_grad_norm=0.25)
    assert torch.stack([g.norm() for g in by_name.values()]).norm().item() == pytest.approx(0.25, rel=1e-3)


def changed(model, before) -> set[str]:
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize(
    ("tune", "asked"),
    [
        ({"kind": "full"}, lambda name: True),
        (
            {"kind": "top_layers", "layers": 1},
            lambda name: any(part in name for part in (".2.", "model.norm.", "transformer.ln_f.")),
        ),
        (
            {"kind": "lora", "rank": 2, "alpha": 4, "dropout": 0.0, "base": "plain", "save": "merged"},
            lambda name: any(part in name for part in ("proj.weight", "attn.c_attn.weight", "c_proj.weight", "c_fc.weight")),
        ),
    ],
    ids=["full", "top_layers", "lora"],
)
def test_only_what_is_asked_learns(train, architecture, tune, asked):
    before = tiny.model(architecture).state_dict()
    params = tiny.training(tune=tune)
    model, _ = train(architecture, tune=tune, epochs=1)
    model = finish(model, params.tune)
    assert changed(model, before) == {name for name in before if asked(name)}


def test_it_learns(train):
    _, state = train(epochs=6, learning_rate=1e-2)
    assert state.rows[-1]["training_loss"] < 0.6 * state.rows[0]["training_loss"]
    assert state.best["loss"] < 0.6 * state.history[0]["validation_loss"]


def test_the_table_counts_what_went_by(train):
    _, state = train(rows=20)
    assert [row["step"] for row in state.rows] == [1, 2, 3, 4, 5, 6]
    assert [row["elapsed_examples"] for row in state.rows] == [8, 16, 20, 28, 36, 40]
    assert state.rows[2]["elapsed_tokens"] == sum(map(len, tiny.examples(20)))
    assert state.rows[-1]["elapsed_tokens"] == state.tokens == 2 * state.rows[2]["elapsed_tokens"]
    assert [row["step"] for row in state.rows if "validation_loss" in row] == [3, 6]
    assert [point["step"] for point in state.history] == [0, 3, 6]


def test_accuracies_are_shares(train):
    model = tiny.model("phi")
    only = tiny.examples(1)[0].completion[0]
    with torch.no_grad():
        model.lm_head.bias[only] = 1e4
    _, state = train(model=model, epochs=1, rows=8)
    tokens = [token for e in tiny.examples(8) for token in e.completion]
    assert state.rows[0]["training_token_accuracy"] == pytest.approx(tokens.count(only) / len(tokens))
    assert state.rows[0]["training_sequence_accuracy"] == 0


def test_a_row_all_right_counts_as_a_whole(train):
    _, state = train(rows=2, validation=0, epochs=60, batch_rows=2, learning_rate=1e-2)
    assert state.rows[-1]["training_sequence_accuracy"] == state.rows[-1]["training_token_accuracy"] == 1


@pytest.mark.parametrize(("evaluations", "steps"), [(1, [0, 3, 6]), (2, [0, 2, 3, 5, 6]), (9, [0, 1, 2, 3, 4, 5, 6])])
def test_evaluations_an_epoch(train, evaluations, steps):
    assert [point["step"] for point in train(evaluations=evaluations)[1].history] == steps


def test_the_best_state_is_returned(train):
    params = {"epochs": 8, "rows": 8, "batch_rows": 4, "learning_rate": 0.03, "evaluations": 2, "schedule": "constant"}
    model, state = train(**params)
    losses = [point["validation_loss"] for point in state.history[1:]]
    assert min(losses) < losses[-1] - 0.01  # else this shows nothing
    assert state.best["loss"] == min(losses)
    measured = loop.validate(model, tiny.examples(6, 8), tiny.task(tiny.training()), tiny.training())
    assert measured["validation_loss"] == pytest.approx(min(losses), abs=1e-5)


def test_without_validation_rows_the_last_state_is_returned(train):
    _, state = train(validation=0)
    assert state.best is None and state.history == [] and state.step == 6


@pytest.mark.parametrize(("patience", "steps"), [(0, 6), (1, 2), (3, 4)])
def test_patience(train, monkeypatch, patience, steps):
    losses = iter(range(1, 100))
    monkeypatch.setattr(loop, "validate", lambda *_: {"validation_loss": next(losses), "validation_token_accuracy": 0})
    _, state = train(evaluations=3, patience=patience)
    assert state.step == steps and state.best["step"] == 1


@pytest.mark.parametrize(
    ("seconds", "patience", "saved"),
    [(1e9, 0, [6]), (-1, 0, [1, 2, 3, 4, 5, 6]), (1e9, 1, [2])],
    ids=["calm", "late", "stopped"],
)
def test_a_checkpoint_is_written_when_its_time_is_over_and_at_the_end(train, monkeypatch, seconds, patience, saved):
    losses, steps = iter(range(1, 100)), []
    monkeypatch.setattr(loop, "validate", lambda *_: {"validation_loss": next(losses), "validation_token_accuracy": 0})
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", seconds)
    monkeypatch.setattr(Checkpoints, "save", lambda self, state: steps.append(state["state"]["step"]))
    train(evaluations=3, patience=patience)
    assert steps == saved


def test_a_loss_that_is_no_number_names_the_step_and_the_rows(train):
    model = tiny.model()
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] = torch.nan
    with pytest.raises(StageError, match="step 1\n") as error:
        train(model=model, validation=0)
    first = {tiny.examples(24)[i].id for i in selection.order(24, 1, 0)[:8]}
    assert set(error.value.found.split(" on rows ")[1].split(", ")) == first


def test_training_twice_gives_the_same_weights(train):
    (first, rows), (second, again) = train("gpt2"), train("gpt2")
    assert rows.rows == again.rows
    assert changed(first, second.state_dict()) == set()


def test_the_seed_has_a_say(train):
    assert train(seed=1)[1].rows != train(seed=2)[1].rows


def test_order_mixes_and_differs_by_epoch_and_seed():
    orders = [selection.order(100, seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert all(sum(i == row for i, row in enumerate(order)) < 10 for order in orders)  # few stay in their place
    assert all(sum(a + 1 == b for a, b in zip(order, order[1:], strict=False)) < 10 for order in orders)
    assert len(set(map(tuple, orders))) == 4
    assert selection.order(100, 1, 0) == orders[0]


@pytest.mark.parametrize("count", [2, 3, 24])
def test_shuffled_pairs_leave_no_answer_in_its_place(count):
    rows = [{"id": str(i), "messages": [i], "completion": f"answer {i}"} for i in range(count)]
    moved = selection.shuffled_pairs(rows, 1)
    assert [(row["id"], row["messages"]) for row in moved] == [(row["id"], row["messages"]) for row in rows]
    assert sorted(row["completion"] for row in moved) == sorted(row["completion"] for row in rows)
    assert all(after["completion"] != before["completion"] for after, before in zip(moved, rows, strict=True))


LORA = {"kind": "lora", "rank": 2, "alpha": 4, "dropout": 0.0, "base": "plain", "save": "merged"}


@pytest.mark.parametrize("tune", [{"kind": "full"}, {"kind": "top_layers", "layers": 1}, LORA], ids=lambda tune: tune["kind"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_gradient_checkpointing_changes_nothing(train, architecture, tune):
    """Dropout too: the random state of the forward pass is brought back when it is made again."""
    (plain, rows), (saving, same) = (train(architecture, tune=tune, gradient_checkpointing=choice) for choice in (False, True))
    assert [row["training_loss"] for row in rows.rows] == pytest.approx([row["training_loss"] for row in same.rows], rel=1e-5)
    torch.testing.assert_close(plain.state_dict(), saving.state_dict(), atol=1e-5, rtol=0)


def test_gradient_checkpointing_makes_blocks_again(train):
    calls = []
    for choice in (False, True):
        model = tiny.model()
        model.model.layers[0].input_layernorm.register_forward_hook(lambda *_: calls.append(1))
        train(model=model, validation=0, epochs=1, rows=8, gradient_checkpointing=choice)
    assert len(calls) == 3


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_the_same(train, precision):
    (exact, rows), (half, close) = (train(precision=choice, learning_rate=1e-3) for choice in ("fp32", precision))
    assert [row["training_loss"] for row in close.rows] == pytest.approx([row["training_loss"] for row in rows.rows], rel=0.02)
    assert close.rows != rows.rows
    assert all(p.dtype is torch.float32 for p in half.parameters())


def test_losses_are_scaled_in_fp16_alone(train, monkeypatch):
    scales, whole = [], torch.amp.GradScaler.scale
    monkeypatch.setattr(torch.amp.GradScaler, "scale", lambda self, loss: scales.append(self.get_scale()) or whole(self, loss))
    for precision, scaled in (("fp32", False), ("bf16", False), ("fp16", True)):
        scales.clear()
        train(precision=precision, epochs=1)
        assert scales and all((scale > 1) is scaled for scale in scales)


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
def test_every_step_has_the_learning_rate_of_its_schedule(train, monkeypatch, kind):
    rates = []

    class Noting(torch.optim.SGD):
        def step(self, *args):
            rates.append(self.param_groups[0]["lr"])
            return super().step(*args)

    monkeypatch.setattr(loop, "optimizer", lambda model, rate, *_: Noting(trainable(model).values(), lr=rate))
    train(schedule=kind, warmup=1 / 3, learning_rate=1e-3)
    assert rates == pytest.approx([1e-3 * loop.schedule(kind, step, 6, 1 / 3) for step in range(6)])
    assert rates[0] == pytest.approx(5e-4) and rates[1] == pytest.approx(1e-3)


def test_too_little_memory_names_what_to_lower(train, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total of …")

    monkeypatch.setattr("stages.tasks.causal.Causal.forward", full)
    with pytest.raises(StageError, match="step 1\n(.|\n)*micro_tokens \\(512\\)(.|\n)*gradient_checkpointing") as error:
        train(validation=0)
    assert error.value.found == "CUDA out of memory"


def test_too_little_memory_for_the_optimizer_does_too(train, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(torch.optim.AdamW, "step", full)
    with pytest.raises(StageError, match="step 1\n(.|\n)*gradient_checkpointing"):
        train(validation=0)


def test_too_little_memory_for_the_validation_rows_does_too(train, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr("stages.tasks.causal.Causal.forward", full)
    with pytest.raises(StageError, match="validation\n(.|\n)*micro_tokens"):
        train()


def rates(model) -> set[float]:
    return {float(m.p) for m in model.modules() if "Dropout" in type(m).__name__} | {
        float(m.attention_dropout) for m in model.modules() if isinstance(getattr(m, "attention_dropout", None), float)
    }


@pytest.mark.parametrize(("dropout", "expected"), [("own", {0.1}), (0.0, {0.0}), (0.25, {0.25})])
def test_dropout_is_the_base_s_own_or_what_is_asked(dropout, expected):
    model = tiny.model("gpt2")
    before = model.config.to_dict()
    set_dropout(model, dropout)
    assert rates(model) == expected and model.config.to_dict() == before


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "phi"])
def test_a_dropout_that_is_asked_for_acts(architecture):
    """Inside attention too, where it is a number and no module."""
    model, ids = tiny.model(architecture).train(), torch.tensor([[5, 40, 41, 7, 300, 12]])
    set_dropout(model, 0.0)
    assert torch.equal(model(ids).logits, model(ids).logits)
    set_dropout(model, 0.5)
    assert not torch.equal(model(ids).logits, model(ids).logits)
    assert torch.equal(model.eval()(ids).logits, tiny.model(architecture)(ids).logits)
