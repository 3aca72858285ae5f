"""What a stage spends before its work: the start of its process, the check of the parameters, and every import that the
work on `medical` needs.

Stages that load a model are compared with a bare import of what nobody who loads one can do without: torch, and of
transformers the classes of a model and of its tokenizer. The others are given in seconds. Each round runs everything, one
after the other; shown are medians of processor time, which other work on the machine hardly changes, of wall time, and of
the ratios within a round. pandas is hidden: it comes with what only tests need, and scikit-learn imports it if it is there.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
BARE = "import torch; from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM"
# a stage, an entry of params.yaml that it works on, and what it imports for the work
STAGES = [
    ("base", "bases", "smollm2", "stages.bases.wheel, stages.models.directory"),
    ("scrape", "datasets", "medical_qa", "stages.sources.local, stages.sources.json_rows"),
    ("label", "datasets", "medical_qa", "stages.labels.clean"),
    ("split", "datasets", "medical_qa", "stages.splits.near_duplicates"),
    ("format", "datasets", "medical_qa", "stages.prompts.alpaca"),
    ("train", "models", "medical", "stages.training.train_local"),
    ("generate", "models", "medical", "stages.decoding.text_answers"),
    ("judge", "models", "medical", "stages.judging.text_verdicts"),
]


def program(stage: str, kind: str, name: str, modules: str) -> str:
    """What a stage does before its work."""
    check = f"from stages.common.params import section; section({kind!r}, {name!r}, {stage!r})"
    return f"import sys; sys.modules['pandas'] = None; import stages.{stage}; {check}; import {modules}"


def measure(*arguments: str, **of_process) -> tuple[float, float]:
    """Seconds of processor time and of wall time of a fresh interpreter."""
    before, start = os.times(), time.monotonic()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, **of_process)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent, time.monotonic() - start


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    codes = {"bare import": BARE} | {stage: program(stage, *rest) for stage, *rest in STAGES}
    rounds = [{name: measure("-c", code) for name, code in codes.items()} for _ in range(options.rounds + 1)]
    del rounds[0]  # it warms the file system's cache
    print(f"{'':16} {'processor':>11} {'wall':>9}    processor time, to the bare import's")
    for name in codes:
        processor, wall = (statistics.median(seconds_of[name][i] for seconds_of in rounds) for i in (0, 1))
        ratio = statistics.median(seconds_of[name][0] / seconds_of["bare import"][0] for seconds_of in rounds)
        print(f"{name:16} {processor:9.2f} s {wall:7.2f} s    {ratio:5.2f}")


if __name__ == "__main__":
    main()
