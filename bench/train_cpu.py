"""Speed of training on a CPU: our loop against Hugging Face's Trainer with its best settings.

    python bench/train_cpu.py [MODEL] [--steps 12] [--clock processor]

The Trainer groups rows by length, pads to the longest of a batch and has the fused AdamW. It runs in fp32, its default, and
in the precision of ours. The same base, rows, trainable parameters, learning rate and rows an optimizer step. All sides in
turn, twice, each in a process of its own. Useful tokens are those of the rows, padding not counted. The first step is left out.

`--clock processor` counts seconds of the processor, for a machine that others use too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
Clock = Callable[[], float]  # seconds


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


def ours(name: str, steps: int, clock: Clock) -> tuple[list[float], list[int]]:
    """When each step ended, and its tokens."""
    from stages.models import runtime
    from stages.training import loop
    from stages.training.checkpoint import Checkpoints
    from stages.training.loggers import Silent

    params, start = prepared(name, steps)
    runtime.deterministic(params.deterministic)
    times, tokens = [], []

    class Timed(loop.Run):
        def step(self, batch: list, ready: list) -> loop.Launched:
            launched = super().step(batch, ready)
            times.append(clock())  # not where a step is logged, which is one step later
            tokens.append(sum(map(len, batch)))
            return launched

    loop.CHECKPOINT_SECONDS = 1e9
    with tempfile.TemporaryDirectory() as folder:
        params = params.model_copy(update={"epochs": 1})
        run = Timed(start.model, start.task, params, Checkpoints(Path(folder)), Silent())
        run.train(start.examples, [], "ours")
    return times, tokens


def peer(name: str, steps: int, clock: Clock, precision: str = "auto") -> tuple[list[float], list[int]]:
    """When each step ended, and its tokens: batches grouped by length are unlike. `auto` is the precision of ours."""
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from bench import train_peers
    from stages.models import runtime
    from stages.training import tune

    params, start = prepared(name, steps)
    precision = runtime.training_precision(params.precision if precision == "auto" else precision, start.model.device)
    start.model.set_attn_implementation("sdpa")
    for module in start.model.modules():  # all as transformers has it
        vars(module).pop("forward", None)
        module._forward_pre_hooks.clear()
    model = tune.prepare(start.model, params.tune, params.seed)
    times, tokens = [], []

    class Ticking(TrainerCallback):
        def on_step_end(self, *_, **__):
            times.append(clock())

    def counted(some: list[dict]) -> dict:
        tokens.append(sum(len(example["row"]) for example in some))
        return train_peers.padded(some)

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=params.batch_rows,
            num_train_epochs=1,
            learning_rate=params.learning_rate,
            optim="adamw_torch_fused",
            train_sampling_strategy="group_by_length",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            remove_unused_columns=False,
            disable_tqdm=True,
            use_cpu=True,
            bf16=precision is torch.bfloat16,
        )
        Trainer(model, arguments, counted, train_peers.items(start.examples), callbacks=[Ticking()]).train()
    return times, tokens


SIDES = {"ours": ours, "Trainer, fp32": partial(peer, precision="fp32"), "Trainer, in our precision": peer}
TURNS = ("Trainer, fp32", "Trainer, in our precision", "ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", default="medical")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        times, tokens = SIDES[options.side](options.model, options.steps, CLOCKS[options.clock])
        print(json.dumps(sum(tokens[1:]) / (times[-1] - times[0])))
        return
    speeds = {side: [] for side in SIDES}
    for side in (*TURNS, *reversed(TURNS)):
        command = [
            sys.executable,
            __file__,
            options.model,
            "--steps",
            str(options.steps),
            "--clock",
            options.clock,
            "--side",
            side,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        speeds[side].append(float(done.stdout.splitlines()[-1]))
        print(f"{side}: {speeds[side][-1]:.0f} tok/s", flush=True)
    for side in TURNS[:-1]:
        print(f"{options.model}: ours {sum(speeds['ours']) / sum(speeds[side]):.2f} times the speed of: {side}")


if __name__ == "__main__":
    main()
