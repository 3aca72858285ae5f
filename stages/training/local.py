"""Training on this machine: from formatted rows and a base to a model directory, its table of steps and its metrics."""

import time
from pathlib import Path

from stages.common.errors import StageError
from stages.common.files import atomic_directory, read_json, read_rows, write_json
from stages.common.schema_models import CausalTraining
from stages.common.scratch import code_hash, content_hash, fingerprint, scratch
from stages.models import directory, prompting, runtime
from stages.training import batches, causal, score, tune
from stages.training.checkpoint import Checkpoints
from stages.training.table import mean_of_last, write_table


def train_local(
    name: str, params: CausalTraining, formatted: Path, base: Path, out: Path, table: Path, metrics: Path, speed: Path
) -> None:
    """Train on formatted/train, choose the best state on formatted/validation."""
    start = time.monotonic()
    runtime.deterministic()
    tokenizer, context = directory.load_tokenizer(base), directory.context_length(base)
    if params.max_tokens > context:
        raise StageError(
            f"models.{name}.train.max_tokens", str(params.max_tokens), f"at most {context}, the context of {base}", "lower it"
        )
    contract = read_json(formatted / "prompt.json")
    prompting.adopt_template(tokenizer, contract["chat_template"])
    rows = list(read_rows(formatted / "train"))
    if params.shuffle_pairs:
        rows = causal.shuffled_pairs(rows, params.seed)
    examples, counts = batches.encode_all(rows, tokenizer, params.max_tokens)
    validation, _ = batches.encode_all(read_rows(formatted / "validation"), tokenizer, params.max_tokens)
    if not examples:
        raise StageError(
            formatted / "train",
            f"no row shorter than {params.max_tokens} tokens ({counts})",
            "at least one",
            f"raise models.{name}.train.max_tokens",
        )
    model = directory.load(base).to(runtime.device())
    inputs = [formatted / "prompt.json", formatted / "train", formatted / "validation", base]
    code = code_hash(prompting, batches, causal, score, tune)
    checkpoints = Checkpoints(scratch("train", name, fingerprint([*map(content_hash, inputs)], params.model_dump(), code)))
    began = time.monotonic()
    model, state = causal.train(model, examples, validation, params, checkpoints, f"train {name}")
    seconds = time.monotonic() - began

    learned = sum(parameter.numel() for parameter in tune.trainable(model).values())
    with atomic_directory(out) as folder:
        directory.save(folder, tune.finish(model, params.tune), tokenizer)
        prompting.write_prompt(folder, contract)
        write_json(folder / "parent.json", {"base": base.name, "sha256": content_hash(base)})
    write_table(table, state.rows)
    write_json(
        metrics,
        {
            "rows": counts,
            "validation_rows": len(validation),
            "steps": state.step,
            "tokens": state.tokens,
            "trained_parameters": learned,
            "best_step": state.best["step"] if state.best else state.step,
            "validation_loss_start": state.history[0]["validation_loss"] if state.history else None,
            "validation_loss": state.best["loss"] if state.best else None,
            "training_loss": mean_of_last(state.rows, -(-len(examples) // params.batch_rows)),
        },
    )
    write_json(
        speed,
        {
            "seconds": time.monotonic() - start,
            "training_seconds": seconds,
            "tokens_per_second": state.tokens / seconds,
            **runtime.environment(),
        },
    )
    checkpoints.clear()
