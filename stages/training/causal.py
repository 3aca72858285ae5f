"""Fine-tuning of causal language models on the answers alone, exact to resume.

A plain loop rather than a trainer class: the loss is a sum over answer tokens divided by their number in the whole
optimizer batch, so how a batch is cut into micro-batches cannot change the result, and every state that a resumed run
needs is in sight.
"""

import math
import random
import time
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel

from stages.common.errors import StageError
from stages.common.progress import Progress
from stages.common.schema_models import CausalTraining
from stages.models.runtime import autocast, precision
from stages.training.batches import Example, collate, micro_batches
from stages.training.checkpoint import Checkpoints
from stages.training.score import forward, per_row, score
from stages.training.tune import optimizer, prepare, schedule, trainable

CHECKPOINT_SECONDS = 60


@dataclass
class State:
    """Where a run stands. `rows` is the table of steps, `history` the validation losses."""

    step: int = 0
    tokens: int = 0
    examples: int = 0
    rows: list[dict] = field(default_factory=list)
    history: list[dict] = field(default_factory=list)
    best: dict | None = None
    waited: int = 0
    stopped: bool = False


def order(count: int, seed: int, epoch: int) -> list[int]:
    """The order of the rows in an epoch, by a generator of its own."""
    rows = list(range(count))
    random.Random(f"{seed}/{epoch}").shuffle(rows)
    return rows


def shuffled_pairs(rows: list[dict], seed: int) -> list[dict]:
    """Every answer moved to another question (one cycle through all rows): the same texts with nothing to learn but style."""
    turn = order(len(rows), seed, -1)
    after = {row: turn[(i + 1) % len(turn)] for i, row in enumerate(turn)}
    return [{**row, "completion": rows[after[i]]["completion"]} for i, row in enumerate(rows)]


def validate(model: PreTrainedModel, validation: list[Example], params: CausalTraining) -> dict[str, float]:
    """Mean loss in nats a token and token accuracy on the validation rows."""
    model.eval()
    with autocast(model.device, precision(params.precision, model.device)):
        scores = list(score(model, validation, params.micro_tokens, params.packing))
    model.train()
    tokens = sum(s.tokens for s in scores)
    if not math.isfinite(sum(s.nll for s in scores)):
        broken = [e.id for e, s in zip(validation, scores, strict=True) if not math.isfinite(s.nll)]
        raise StageError(
            "validation",
            f"a loss that is no number on rows {', '.join(broken)}",
            "a finite loss",
            "look at these rows, lower train.learning_rate, or set train.precision to fp32; the last good checkpoint is kept",
        )
    return {
        "validation_loss": sum(s.nll for s in scores) / tokens,
        "validation_token_accuracy": sum(s.correct for s in scores) / tokens,
    }


def train(
    model: PreTrainedModel,
    examples: list[Example],
    validation: list[Example],
    params: CausalTraining,
    checkpoints: Checkpoints,
    what: str,
) -> tuple[PreTrainedModel, State]:
    """Train and return the model (its best state by validation loss) and the table of steps.

    Raises:
        StageError: if the loss is not a number, with the step and the rows that made it so.
    """
    torch.manual_seed(params.seed)
    model = prepare(model, params.tune, params.seed)
    model.train()
    optim = optimizer(model, params.learning_rate, params.weight_decay)
    scaler = torch.amp.GradScaler(model.device.type, enabled=precision(params.precision, model.device) is torch.float16)
    an_epoch = math.ceil(len(examples) / params.batch_rows)
    steps = an_epoch * params.epochs
    evaluate_at = (
        {
            epoch * an_epoch + math.ceil(an_epoch * (i + 1) / params.evaluations)
            for epoch in range(params.epochs)
            for i in range(params.evaluations)
        }
        if validation
        else set()
    )
    state = _resume(checkpoints, model, optim, scaler) or State()
    if validation and not state.history:
        state.history.append({"step": 0, **validate(model, validation, params)})

    saved = time.monotonic()
    with Progress(steps, what, "step", done=state.step) as progress:
        while state.step < steps and not state.stopped:
            epoch, place = divmod(state.step, an_epoch)
            turn = order(len(examples), params.seed, epoch)
            batch = [examples[i] for i in turn[place * params.batch_rows : (place + 1) * params.batch_rows]]
            for group in optim.param_groups:
                group["lr"] = params.learning_rate * schedule(params.schedule, state.step, steps, params.warmup)
            row = _step(model, optim, scaler, batch, params, state)
            if state.step in evaluate_at:
                row |= validate(model, validation, params)
                state.history.append({"step": state.step, **{k: v for k, v in row.items() if k.startswith("validation")}})
                _keep_best(model, state, params)
            state.rows.append(row)
            progress.add(1, loss=f"{row['training_loss']:.3f}", tokens=state.tokens)
            if state.step in evaluate_at or time.monotonic() - saved > CHECKPOINT_SECONDS:
                _save(checkpoints, model, optim, scaler, state)
                saved = time.monotonic()
    if state.best is not None:
        _restore(model, state.best["weights"])
    return model, state


def _step(model, optim, scaler, batch: list[Example], params: CausalTraining, state: State) -> dict:
    """One optimizer step over `batch`; returns its row of the table."""
    tokens = sum(len(e.completion) for e in batch)
    loss, right, whole = 0.0, 0, 0
    for group in micro_batches(batch, params.micro_tokens, params.packing):
        part = collate(group, params.packing, model.config.pad_token_id or 0, model.device)
        with autocast(model.device, precision(params.precision, model.device)):
            losses, correct = forward(model, part)
        scaler.scale(losses.sum() / tokens).backward()
        loss += losses.detach().double().sum().item()
        right += int(correct.sum())
        whole += sum(hits == len(e.completion) for hits, e in zip(per_row(correct, part), group, strict=True))
    if not math.isfinite(loss):
        raise StageError(
            f"step {state.step + 1}",
            f"a loss of {loss} on rows {', '.join(e.id for e in batch)}",
            "a finite loss",
            "look at these rows, lower train.learning_rate, or set train.precision to fp32; the last good checkpoint is kept",
        )
    scaler.unscale_(optim)
    torch.nn.utils.clip_grad_norm_(trainable(model).values(), params.max_grad_norm)
    scaler.step(optim)
    scaler.update()
    optim.zero_grad(set_to_none=True)
    state.step += 1
    state.tokens += sum(map(len, batch))
    state.examples += len(batch)
    return {
        "step": state.step,
        "elapsed_tokens": state.tokens,
        "elapsed_examples": state.examples,
        "training_loss": loss / tokens,
        "training_sequence_accuracy": whole / len(batch),
        "training_token_accuracy": right / tokens,
    }


def _keep_best(model, state: State, params: CausalTraining) -> None:
    latest = state.history[-1]["validation_loss"]
    if state.best is None or latest < state.best["loss"]:
        weights = {name: parameter.detach().to("cpu", copy=True) for name, parameter in trainable(model).items()}
        state.best, state.waited = {"loss": latest, "step": state.step, "weights": weights}, 0
    else:
        state.waited += 1
        state.stopped = bool(params.patience) and state.waited >= params.patience


def _restore(model, weights: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in trainable(model).items():
            parameter.copy_(weights[name])


def _save(checkpoints: Checkpoints, model, optim, scaler, state: State) -> None:
    checkpoints.save(
        {
            "weights": {name: parameter.detach() for name, parameter in trainable(model).items()},
            "optimizer": optim.state_dict(),
            "scaler": scaler.state_dict(),
            "state": vars(state),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(model.device) if model.device.type == "cuda" else None,
        }
    )


def _resume(checkpoints: Checkpoints, model, optim, scaler) -> State | None:
    saved = checkpoints.load()
    if saved is None:
        return None
    _restore(model, saved["weights"])
    optim.load_state_dict(saved["optimizer"])
    scaler.load_state_dict(saved["scaler"])
    torch.set_rng_state(saved["random"])
    if saved["random_cuda"] is not None:
        torch.cuda.set_rng_state(saved["random_cuda"], model.device)
    return State(**saved["state"])
