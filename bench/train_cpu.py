"""Speed of training on a CPU: our loop against Hugging Face's Trainer, grouped by length with dynamic padding.

    python bench/train_cpu.py [MODEL] [--steps 12]

The same base, rows, trainable parameters, learning rate and rows an optimizer step, in the same precision; both sides in turn,
twice, each in a process of its own. Useful tokens are those of the rows, padding not counted. The first step is left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def prepared(name: str, steps: int):
    """The parameters of a model, and what its training would start from, cut to some steps."""
    from stages.common.check_params import check
    from stages.common.params import read
    from stages.training.paths import Paths
    from stages.training.train_local import prepare

    os.chdir(ROOT)
    entry = check(read(), Path("params.yaml")).models[name]
    formatted, out = Path(f"data/{entry.dataset}/formatted"), Path(os.devnull)
    paths = Paths(formatted / entry.shards, formatted, Path(f"models/{entry.base}"), out, out, out, out)
    start = prepare(name, entry.train, paths)
    start.examples = start.examples[: steps * entry.train.batch_rows]
    return entry.train, start


def ours(name: str, steps: int) -> tuple[list[float], list[int]]:
    """When each step ended, and its tokens."""
    from stages.models import runtime
    from stages.training import loop
    from stages.training.checkpoint import Checkpoints

    params, start = prepared(name, steps)
    runtime.deterministic(params.deterministic)
    times, tokens = [], []

    class Clock:
        def log(self, row: dict) -> None:
            times.append(time.perf_counter())
            tokens.append(row["elapsed_tokens"] - sum(tokens))

    loop.CHECKPOINT_SECONDS = 1e9
    with tempfile.TemporaryDirectory() as folder:
        params = params.model_copy(update={"epochs": 1})
        loop.Run(start.model, start.task, params, Checkpoints(Path(folder)), Clock()).train(start.examples, [], "ours")
    return times, tokens


def peer(name: str, steps: int) -> tuple[list[float], list[int]]:
    """When each step ended, and its tokens: batches grouped by length are unlike."""
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from bench import train_peers
    from stages.models import runtime
    from stages.training import tune

    params, start = prepared(name, steps)
    start.model.set_attn_implementation("sdpa")  # transformers' own
    model = tune.prepare(start.model, params.tune, params.seed)
    times, tokens = [], []

    class Ticking(TrainerCallback):
        def on_step_end(self, *_, **__):
            times.append(time.perf_counter())

    def counted(some: list[dict]) -> dict:
        tokens.append(sum(len(example["row"]) for example in some))
        return train_peers.padded(some)

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=params.batch_rows,
            num_train_epochs=1,
            learning_rate=params.learning_rate,
            train_sampling_strategy="group_by_length",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            remove_unused_columns=False,
            disable_tqdm=True,
            use_cpu=True,
            bf16=runtime.training_precision(params.precision, model.device) is torch.bfloat16,
        )
        Trainer(model, arguments, counted, train_peers.items(start.examples), callbacks=[Ticking()]).train()
    return times, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", default="medical")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--side", choices=["ours", "peer"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        times, tokens = {"ours": ours, "peer": peer}[options.side](options.model, options.steps)
        print(json.dumps(sum(tokens[1:]) / (times[-1] - times[0])))
        return
    speeds = {"ours": [], "peer": []}
    for side in ("peer", "ours", "ours", "peer"):
        command = [sys.executable, __file__, options.model, "--steps", str(options.steps), "--side", side]
        process = subprocess.run(command, capture_output=True, text=True, check=True)
        speeds[side].append(float(process.stdout.splitlines()[-1]))
        print(f"{side}: {speeds[side][-1]:.0f} tok/s", flush=True)
    print(f"{options.model}: ours {sum(speeds['ours']) / sum(speeds['peer']):.2f} times the Trainer's speed")


if __name__ == "__main__":
    main()
