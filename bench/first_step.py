"""From the start of `train` to the end of its first optimizer step, against the least that anyone needs for one:
`from_pretrained`, a batch of rows, one step.

    python bench/first_step.py [MODEL] [--rounds 3]

Both sides in turn, each in a process of its own, imports included; medians of processor time. The stage also hashes its
inputs, encodes all rows and measures the validation rows before it learns; the last is shown apart.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.start import measure


def ended() -> None:
    """The end of this process: what it took is known by whoever started it."""
    os._exit(0)


def stage(name: str, folder: str, validated: bool) -> None:
    """The stage itself, up to the end of its first step."""
    from stages.common.check_params import check
    from stages.common.params import read
    from stages.training import loop
    from stages.training.paths import Paths
    from stages.training.train_local import train_local

    entry, out, step = check(read(), Path("params.yaml")).models[name], Path(folder), loop.Run.step
    loop.Run.step = lambda *arguments: (step(*arguments), ended())
    if not validated:
        loop.validate = lambda *_: {"validation_loss": 0.0, "validation_token_accuracy": 0.0}
    data = Path("data", entry.dataset, "formatted")
    written = [out / part for part in ("model", "results.csv", "train.json", "speed.json")]
    train_local(name, entry.train, Paths(data / entry.shards, data, Path("models", entry.base), *written))


def bare(name: str) -> None:
    """The least: the same model, as many rows, the same layers and precision."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from stages.common.check_params import check
    from stages.common.params import read
    from stages.models import runtime

    entry = check(read(), Path("params.yaml")).models[name]
    path = Path("data", entry.dataset, "formatted", entry.shards)
    path = sorted(path.iterdir())[0] if path.is_dir() else path
    rows = [json.loads(line) for line in path.read_text().splitlines()[: entry.train.batch_rows]]
    tokenizer = AutoTokenizer.from_pretrained(f"models/{entry.base}", padding_side="right")
    model = AutoModelForCausalLM.from_pretrained(f"models/{entry.base}").train()
    model.requires_grad_(entry.train.tune.kind == "full")
    if entry.train.tune.kind == "top_layers":
        model.model.layers[-entry.train.tune.layers :].requires_grad_(True)
    texts = tokenizer([r["messages"][-1]["content"] + r["completion"] for r in rows], padding=True, return_tensors="pt")
    labels = texts["input_ids"].masked_fill(texts["attention_mask"] == 0, -100)
    with runtime.autocast(model.device, runtime.training_precision(entry.train.precision, model.device)):
        loss = model(**texts, labels=labels).loss
    loss.backward()
    torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5).step()
    ended()


def seconds(*command: str) -> float:
    """Processor time of this program, run again with `command`."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = os.environ | {"AFFINAGE_SCRATCH": f"{folder}/scratch"}
        return measure(__file__, *command, "--folder", folder, env=scratch, stderr=subprocess.DEVNULL)[0]


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", default="medical")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=["stage", "unvalidated", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        return bare(options.model) if options.side == "bare" else stage(options.model, options.folder, options.side == "stage")
    sides = ["bare", "stage", "unvalidated"]
    start, rounds = time.monotonic(), []
    for _ in range(options.rounds):
        rounds.append({side: seconds(options.model, "--side", side) for side in sides})
    for side in sides:
        ratio = statistics.median(seconds_of[side] / seconds_of["bare"] for seconds_of in rounds)
        print(f"{side:12} {statistics.median(seconds_of[side] for seconds_of in rounds):6.1f} s of processor time  {ratio:.2f}")
    print(f"{options.rounds} rounds in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
