"""Training on this machine: from formatted rows and a base to a model directory, its table of steps and its metrics."""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.common import kept, sanity
from stages.common.errors import StageError
from stages.common.files import atomic_directory, read_json, read_rows, write_json
from stages.common.rows import FormattedRow
from stages.common.schema_models import LocalTraining
from stages.common.scratch import content_hash
from stages.common.speed import write_speed
from stages.common.tables import entry
from stages.models import directory, prompting, runtime
from stages.tasks import score
from stages.tasks.causal import Causal
from stages.tasks.classifier import Classifier
from stages.training import choosing, compiling, loop, memory, processes, selection, tune
from stages.training.checkpoint import Checkpoints
from stages.training.loggers import logger
from stages.training.paths import Paths
from stages.training.step_table import mean_of_last, write_table
from stages.training.subject import Subject

NOT_IN_RESULT = {"logger", "precision"}  # precision is taken as resolved
SUBJECTS = {  # by method of training
    "causal": "stages.training.causal.causal_subject:causal_subject",
    "classifier": "stages.training.classifier.classifier_subject:classifier_subject",
}


@dataclass
class Prepared:
    """A model, its task and its rows in tokens. `counts` says how many rows were read, cut and left out."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    task: Causal | Classifier
    examples: list
    validation: list
    counts: dict[str, int]
    labels: list[str]


def prepare(name: str, params: LocalTraining, paths: Paths) -> Prepared:
    """Load the base, choose the rows and encode them.

    Raises:
        StageError: if the rows do not fit the base.
    """
    parameter = f"models.{name}.train"
    tokenizer, context = directory.load_tokenizer(paths.base), directory.context_length(paths.base)
    if params.max_tokens > context:
        advice = f"at most {context}, the context of {paths.base}"
        raise StageError(f"{parameter}.max_tokens", str(params.max_tokens), advice, "lower it")
    chosen = selection.between(read_rows(paths.rows), params.rows, f"{parameter}.rows")
    again = selection.between(read_rows(paths.rows), params.wrong_rows, f"{parameter}.wrong_rows")
    subject = entry(SUBJECTS, params.method)(name, params, tokenizer, paths, chosen)
    validation, _ = subject.encode(read_rows(paths.formatted / "validation"))
    repeated = _wrong(subject, again, params, tokenizer) if again else []
    examples, counts = subject.encode(subject.rows + repeated)
    if again:
        counts["repeated"] = len(repeated)
    if not examples:
        refused = counts.get("refused", 0)
        problem = (
            f"no row that can be read ({counts})" if refused else f"no row shorter than {params.max_tokens} tokens ({counts})"
        )
        fix = "take the marks named above out of the texts, or choose another base or style" if refused else ""
        raise StageError(paths.rows, problem, "at least one", fix or f"raise {parameter}.max_tokens")
    for example in examples + validation:
        runtime.check_rows(subject.model, tokenizer, example.tokens, f"row {example.id}")
    return Prepared(subject.model, tokenizer, subject.task, examples, validation, counts, subject.labels)


def _wrong(
    subject: Subject, rows: list[FormattedRow], params: LocalTraining, tokenizer: PreTrainedTokenizerBase
) -> list[FormattedRow]:
    """The rows that the base gets wrong, each `wrong_times` times."""
    examples, _ = subject.encode(rows)
    for example in examples:
        runtime.check_rows(subject.model, tokenizer, example.tokens, f"row {example.id}")
    with memory.enough_memory("wrong_rows", params):
        right = [result.correct == result.tokens for result in score.score(subject.model, examples, subject.task)]
    right = processes.join().agreed(right)
    right_ids = {example.id for example, correct in zip(examples, right, strict=True) if correct}
    return selection.repeated(rows, [row["id"] in right_ids for row in rows], params.wrong_times)


def train_local(name: str, params: LocalTraining, paths: Paths) -> None:
    """Train on `rows`, choose the best state on formatted/validation."""
    start = time.monotonic()
    runtime.deterministic(params.deterministic)
    runtime.keep_memory()
    world = processes.join()
    prepared = prepare(name, params, paths)
    inputs = [
        paths.formatted / "prompt.json",
        paths.formatted / "labels.json",
        paths.rows,
        paths.formatted / "validation",
        paths.base,
    ]
    machine = runtime.machine(runtime.training_precision(params.precision, runtime.device()))
    before = kept.computed("training", __name__, inputs, params.model_dump(exclude=NOT_IN_RESULT), machine, name)
    fix = "give every host the same files (git pull, dvc pull), packages and kind of GPU"
    world.same(before.key, "other rows, base, parameters, code, packages or device", fix)
    checkpoints, watching = Checkpoints(before.folder), logger(params.logger if world.first else "none", name)
    began = time.monotonic()
    run = loop.Run(prepared.model, prepared.task, params, checkpoints, watching)
    stop = _contract(prepared, paths.formatted, paths.base)["stop"]
    run.figure = choosing.figure(f"models.{name}.train.choose_by", prepared.validation, prepared.tokenizer, stop, params)
    if params.micro_tokens == "auto":
        run.task = replace(prepared.task, micro_tokens=memory.fitting(run, prepared.examples))
    model, state = run.train(prepared.examples, prepared.validation, f"train {name}")
    seconds = time.monotonic() - began
    watching.close()
    learned = sum(parameter.numel() for parameter in tune.trainable(model).values())
    model = run.whole(lambda: _fresh(params, paths.base, prepared.labels, prepared.tokenizer))
    world.wait()  # a process that leaves early would close what another still receives
    if world.first:
        tune.require_numbers([tune.not_numbers(tune.trainable(model))], state.step)
        with atomic_directory(paths.out) as folder:
            _save(folder, model, prepared, params, paths.base, paths.formatted)
        write_table(paths.table, state.rows)
        figures = {"precision": runtime.short_name(run.dtype), **_metrics(state, prepared, params, learned)}
        write_json(paths.metrics, figures | sanity.raised("train", name, _alarms(state, prepared, figures["best_step"])))
        times = {"seconds": time.monotonic() - start, "training_seconds": seconds, "tokens_per_second": state.tokens / seconds}
        used = {"processes": world.size, "micro_tokens": run.task.micro_tokens}
        write_speed(paths.speed, times | used, runtime.environment())
        if run.device.type == "cuda" and (advice := compiling.advice(params.compile, run.first_seconds, seconds)):
            print(f"{name}: {advice}", file=sys.stderr)
        checkpoints.clear()
    processes.leave()


def _fresh(params: LocalTraining, base: Path, labels: list[str], tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The base once more, all of it in the machine's memory, to put the trained weights in for saving."""
    if params.method == "classifier":
        return directory.load_classifier(base, labels, params.seed)
    model = directory.load(base)
    prompting.end_at_turns(model, tokenizer)
    return model


def _contract(prepared: Prepared, formatted: Path, base: Path) -> dict:
    """The prompt contract that lies with the model."""
    contract = read_json(formatted / "prompt.json")
    return contract if prepared.labels else prompting.contract(contract, prepared.tokenizer, base)


def _save(folder: Path, model: PreTrainedModel, prepared: Prepared, params: LocalTraining, base: Path, formatted: Path) -> None:
    """Write the model directory.

    Weights that learned are written in float32, the others as the base has them. Weights that an adapter was merged into are
    written as the base has them too.
    """
    if params.tune.kind == "lora" and params.tune.save == "adapter":
        directory.save_adapter(folder, model, prepared.tokenizer)
    else:
        learned = {} if params.tune.kind == "lora" else tune.trainable(model)
        widths = {name: dtype for name, dtype in directory.stored_types(base).items() if name not in learned}
        directory.save(folder, tune.finish(model, params.tune), prepared.tokenizer, widths)
    prompting.write_prompt(folder, _contract(prepared, formatted, base))
    if prepared.labels:
        write_json(folder / "labels.json", read_json(formatted / "labels.json"))
    write_json(folder / "parent.json", {"base": base.name, "sha256": content_hash(base)})


def _alarms(state: loop.State, prepared: Prepared, best_step: int) -> sanity.Alarms:
    """Alarms on the rows and the losses. A classifier may be sure of every label: its losses raise `same_as_base` alone."""
    counts = prepared.counts
    dropped = sanity.mostly_dropped(counts["rows"], {"prompt too long": counts.get("prompt_too_long", 0)})
    measured = sanity.training(state.history, best_step)
    if prepared.labels:
        measured = {alarm: reason for alarm, reason in measured.items() if alarm == "same_as_base"}
    return dropped | sanity.mostly_cut(counts["rows"], counts.get("cut", 0)) | measured


def _metrics(state: loop.State, prepared: Prepared, params: LocalTraining, learned: int) -> dict:
    chosen = {}
    if state.best and params.choose_by != choosing.LOSS:
        chosen = {"chosen_by": params.choose_by, f"validation_{params.choose_by}": state.best["rank"][0]}
    return chosen | {
        "rows": prepared.counts,
        "validation_rows": len(prepared.validation),
        "steps": state.step,
        "tokens": state.tokens,
        "trained_parameters": learned,
        "best_step": state.best["step"] if state.best else state.step,
        "validation_loss_start": state.history[0]["validation_loss"] if state.history else None,
        "validation_loss": state.best["loss"] if state.best else None,
        "training_loss": mean_of_last(state.rows, -(-len(prepared.examples) // params.batch_rows)),
    }
