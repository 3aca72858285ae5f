"""Fine-tuning, exact to resume, for every task and for any number of processes.

This is a plain loop rather than a trainer class. Every state that a resumed run needs is in sight. What differs between tasks
is in stages/tasks.

The loss is a sum over targets, divided by their weight in the whole optimizer batch. So the result does not depend on how a
batch is cut into micro-batches, nor on how many processes share it.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Protocol

import torch
from transformers import PreTrainedModel

from stages.common.errors import StageError
from stages.common.progress import Progress
from stages.common.schema_models import LocalTraining
from stages.models.runtime import autocast, blocks, fetched, memory, training_precision
from stages.tasks.score import score
from stages.training import choosing, compiling, processes
from stages.training.checkpoint import Checkpoints, random_state, restore_random
from stages.training.loggers import Logger
from stages.training.memory import enough_memory
from stages.training.selection import order
from stages.training.tune import not_numbers, optimizer, prepare, require_numbers, schedule, trainable

CHECKPOINT_SECONDS = 60
STEPS_BETWEEN_ASKING = 10  # whether it is time for a checkpoint: processes must agree on it, and that takes time
ADVICE = "look at these rows, lower train.learning_rate, or set train.precision to fp32; the last good checkpoint is kept"


class Task(Protocol):
    """What a model learns: how examples become batches, and batches losses."""

    def groups(self, examples: list) -> list[list]:
        """Micro-batches of examples, in their order."""

    def collate(self, group: list):
        """A batch of tensors: `inputs` of the model, `rows` [n] (which example a target belongs to) and `examples`."""

    def forward(self, model: PreTrainedModel, batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss in nats [n], weighted, and whether the best guess was right [n], for every target."""

    def weight(self, examples: list) -> float:
        """What the summed losses of these examples are divided by."""

    def compiled(self) -> "Task":
        """The same task, its loss compiled where that pays."""


@dataclass
class State:
    """Where a run stands. `rows` is the table of steps, `history` the validation losses, `waited` looks since the best."""

    step: int = 0
    tokens: int = 0
    examples: int = 0
    rows: list[dict] = field(default_factory=list)
    history: list[dict] = field(default_factory=list)
    best: dict | None = None
    waited: int = 0
    stopped: bool = False


@dataclass(frozen=True)
class Launched:
    """A step that was launched. A GPU may still be computing what `sums` waits for: loss, targets right, rows right."""

    batch: list
    weight: float
    sums: Callable[[], list[float]]
    place: dict[str, int]

    def row(self) -> dict:
        """Its row of the table of steps."""
        loss, right, whole = self.sums()
        if not math.isfinite(loss):
            rows = ", ".join(e.id for e in self.batch)
            raise StageError(f"step {self.place['step']}", f"a loss of {loss} on rows {rows}", "a finite loss", ADVICE)
        return self.place | {
            "training_loss": loss / self.weight,
            "training_sequence_accuracy": whole / len(self.batch),
            "training_token_accuracy": right / sum(e.targets for e in self.batch),
        }


def evaluation_steps(an_epoch: int, params: LocalTraining) -> set[int]:
    """The steps after which the validation rows are measured."""
    places = [math.ceil(an_epoch * (i + 1) / params.evaluations) for i in range(params.evaluations)]
    return {epoch * an_epoch + place for epoch in range(params.epochs) for place in places}


def validate(model: PreTrainedModel, validation: list, task: Task, params: LocalTraining) -> dict[str, float]:
    """Mean loss in nats a target and the share of targets predicted right, on the validation rows."""
    model.eval()
    with enough_memory("validation", params), autocast(model.device, training_precision(params.precision, model.device)):
        scores = list(score(model, validation, task))
    model.train()
    if not math.isfinite(sum(s.nll for s in scores)):
        broken = [e.id for e, s in zip(validation, scores, strict=True) if not math.isfinite(s.nll)]
        raise StageError("validation", f"a loss that is no number on rows {', '.join(broken)}", "a finite loss", ADVICE)
    return {
        "validation_loss": sum(s.nll for s in scores) / task.weight(validation),
        "validation_token_accuracy": sum(s.correct for s in scores) / sum(s.tokens for s in scores),
    }


class Run:
    """One training of one model: its optimizer, its place in the data and its checkpoints."""

    def __init__(self, model: PreTrainedModel, task: Task, params: LocalTraining, checkpoints: Checkpoints, logger: Logger):
        torch.manual_seed(params.seed)
        self.task, self.params, self.checkpoints, self.logger = task, params, checkpoints, logger
        self.figure: choosing.Figure | None = None  # by which the best state is chosen, where it is not the loss
        self.world, self.device = processes.join(), model.device
        self.dtype = training_precision(params.precision, self.device)
        self.model = prepare(model, params.tune, params.seed, self.dtype)
        if self.world.rank:  # every process has a dropout of its own; that of the first is as it would be alone
            torch.manual_seed(params.seed + self.world.rank)
        compiled = params.compile and self.device.type == "cuda"
        if params.gradient_checkpointing and not compiled:  # compiled blocks do it more sparingly
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
            self.model.enable_input_require_grads()  # else nothing flows back through frozen blocks
        self.sharded = processes.sharded()
        if self.sharded:
            processes.shard(self.model, blocks(self.model), self.dtype)
        self.optim = optimizer(self.model, params.weight_decay)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)
        self.forward = compiling.compiled(self.model, task, params.gradient_checkpointing) if compiled else task.forward
        self.state = self._resume() or State()

    def train(self, examples: list, validation: list, title: str) -> tuple[PreTrainedModel, State]:
        """Train to the end, under `title`. Returns the model in its best state (choosing.py), and where the run stands.

        Raises:
            StageError: if the loss is not a number, with the step and the rows that made it so, or memory runs out.
        """
        params, state = self.params, self.state
        an_epoch = math.ceil(len(examples) / params.batch_rows)
        steps = an_epoch * params.epochs
        evaluate_at = evaluation_steps(an_epoch, params) if validation else set()
        turn = lru_cache(2)(partial(order, len(examples), params.seed))  # of this epoch, and of the next, which begins early

        def chosen(step: int) -> list:
            epoch, place = divmod(step, an_epoch)
            return [examples[i] for i in turn(epoch)[place * params.batch_rows : (place + 1) * params.batch_rows]]

        self.model.train()
        if validation and not state.history:
            state.history.append({"step": 0, **validate(self.model, validation, self.task, params)})
        saved, self.began, self.first_seconds = time.monotonic(), time.monotonic(), 0.0
        self.tokens_before = state.tokens  # not 0 where this run goes on from a checkpoint
        bar = Progress(steps, title, "step", done=state.step) if self.world.first else Progress(None, title, quiet=True)
        with bar as progress, ThreadPoolExecutor(1) as ahead:
            batches, waiting = ahead.submit(self._batches, chosen(state.step % steps)), None
            while state.step < steps and not state.stopped:
                batch, ready = chosen(state.step), batches.result()
                if state.step + 1 < steps:  # the next batch is made while this one is computed
                    batches = ahead.submit(self._batches, chosen(state.step + 1))
                for group in self.optim.param_groups:
                    group["lr"] = params.learning_rate * schedule(params.schedule, state.step, steps, params.warmup)
                with self.world.watched(f"step {state.step + 1}"):
                    launched, waiting = waiting, self.step(batch, ready)
                    self._note(launched, progress)  # a step late: a GPU computes while the next step is launched
                    looks, saves = state.step in evaluate_at, state.step == steps or self._minute_over(saved)
                    if looks or saves:
                        self._note(waiting, progress)
                        waiting = None
                if looks:
                    self._look(validation)
                if saves or state.stopped:
                    self._save()
                    saved = time.monotonic()
        if state.best is not None:
            self._restore(state.best["weights"])
        return self.model, state

    def whole(self, fresh: Callable[[], PreTrainedModel]) -> PreTrainedModel | None:
        """The trained model with all its parameters, none of them narrowed. Where they are shared out or were narrowed, `fresh`
        loads a model to hold them, in process 0 alone. Adapters that are saved alone need none: they were never narrowed."""
        alone = getattr(self.params.tune, "save", "") == "adapter"
        if not self.sharded and (alone or all(p.dtype is torch.float32 for p in self.model.parameters())):
            return self.model
        weights = self._weights()
        if not self.world.first:
            return None
        self.model = prepare(fresh(), self.params.tune, self.params.seed)
        self._restore(weights)
        return self.model

    def _batches(self, batch: list) -> list[tuple]:
        """This process's micro-batches of an optimizer batch, and whether each counts. Where parameters are shared out, every
        process must take part in every pass: one with fewer micro-batches adds a row that does not count."""
        groups = self.task.groups(self.world.share(batch))
        most = max(len(self.task.groups(share)) for share in self.world.shares(batch)) if self.sharded else len(groups)
        batches = [self.task.collate(group) for group in groups + [[min(batch, key=len)]] * (most - len(groups))]
        ready = [batch.pinned() for batch in batches] if self.device.type == "cuda" else batches
        return [(part, i < len(groups)) for i, part in enumerate(ready)]

    def step(self, batch: list, ready: list) -> Launched:
        """One optimizer step over the examples of `batch`, whose tensors are `ready`."""
        weight = self.task.weight(batch)
        sums = torch.zeros(3, dtype=torch.float64, device=self.device)  # loss, targets right, rows right
        with enough_memory(f"step {self.state.step + 1}", self.params):
            for part, counts in ready:
                part = part.to(self.device)
                with autocast(self.device, self.dtype):
                    losses, correct = self.forward(self.model, part)
                self.scaler.scale(losses.sum() / weight * float(counts)).backward()
                sums += torch.stack([losses.detach().double().sum(), correct.sum(), _whole(correct, part)]) * float(counts)
            learning = list(trainable(self.model).values())
            if self.world.size > 1 and not self.sharded:
                processes.sum_gradients(learning)
            self.scaler.unscale_(self.optim)
            clip = processes.clip if self.sharded else torch.nn.utils.clip_grad_norm_
            clip(learning, self.params.max_grad_norm)
            self.scaler.step(self.optim)
        self.scaler.update()
        self.optim.zero_grad(set_to_none=True)
        self.state.step += 1
        self.state.tokens += sum(map(len, batch))
        self.state.examples += len(batch)
        place = {"step": self.state.step, "elapsed_tokens": self.state.tokens, "elapsed_examples": self.state.examples}
        return Launched(batch, weight, fetched(self.world.total(sums)), place)

    def _note(self, launched: Launched | None, progress: Progress) -> None:
        """Put a step into the table once its figures are there."""
        if launched is None:
            return
        row = launched.row()
        self.state.rows.append(row)
        self.first_seconds = self.first_seconds or time.monotonic() - self.began
        if self.world.first:
            self.logger.log(dict(row))  # a copy: what is told changes nothing
        speed = (row["elapsed_tokens"] - self.tokens_before) / (time.monotonic() - self.began)
        progress.add(1, loss=f"{row['training_loss']:.3f}", speed=f"{speed:.0f} tok/s", memory=memory(self.device))

    def _look(self, validation: list) -> None:
        """Measure the validation rows, and keep this state if it is the best so far."""
        measured = self.world.agreed(validate(self.model, validation, self.task, self.params))
        self.state.rows[-1] |= measured
        if self.figure:
            measured = measured | {f"validation_{self.params.choose_by}": self.world.agreed(self.figure(self.model))}
        self.state.history.append({"step": self.state.step, **measured})
        self._keep_best()

    def _minute_over(self, saved: float) -> bool:
        over = time.monotonic() - saved > CHECKPOINT_SECONDS
        if self.world.size == 1:
            return over
        return self.state.step % STEPS_BETWEEN_ASKING == 0 and any(self.world.gather(over))

    def _keep_best(self) -> None:
        state, latest = self.state, self.state.history[-1]
        rank = choosing.rank(latest, self.params.choose_by)
        if state.best is None or rank > state.best["rank"]:
            best = {"loss": latest["validation_loss"], "rank": rank, "step": state.step, "weights": self._weights()}
            state.best, state.waited = best, 0
        else:
            state.waited += 1
            state.stopped = bool(self.params.patience) and state.waited >= self.params.patience

    def _weights(self) -> dict[str, torch.Tensor | None]:
        return {name: processes.whole(p.detach()) for name, p in trainable(self.model).items()}

    def _restore(self, weights: dict[str, torch.Tensor | None]) -> None:
        for name, parameter in trainable(self.model).items():
            processes.fill(parameter, weights[name])

    def _save(self) -> None:
        require_numbers(self.world.gather(not_numbers(trainable(self.model))), self.state.step)  # else a good one is replaced
        states = self.world.gather(random_state(self.device))
        tensors = {"weights": self._weights(), "optimizer": processes.optimizer_state(self.optim), "random": states}
        if self.world.first:
            self.checkpoints.save(tensors | {"scaler": self.scaler.state_dict(), "state": vars(self.state)})
        self.world.wait()

    def _resume(self) -> State | None:
        saved = self.checkpoints.load()
        step = saved["state"]["step"] if saved else 0
        self.world.same(step, f"step {step} in its last checkpoint", "set AFFINAGE_SCRATCH to a folder that all hosts share")
        if saved is None:
            return None
        self._restore(saved["weights"])
        processes.load_optimizer(self.optim, saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        restore_random(saved["random"][self.world.rank % len(saved["random"])], self.device)
        return State(**saved["state"])


def _whole(correct: torch.Tensor, batch) -> torch.Tensor:
    """How many examples have every target right."""
    wrong = torch.zeros(len(batch.examples), dtype=torch.long, device=correct.device)
    return (wrong.index_add_(0, batch.rows, (~correct).long()) == 0).sum()
