"""What the stages train and generate cost beside a bare loop that does the same work with the same libraries.

    python bench/wall.py [model]

The bare loop is what a notebook would do: the same rows in the same batches, padded, full logits, AdamW on the same
layers in the same precision, then for the tuned model and for the base under both prompts the likelihood of the expected
answers and `generate`, in batches. Both sides run alone, one after the other, each in a process of its own, imports and
loading included. Prints the ratio.
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


def stages(name: str, entry, folder: Path) -> float:
    """Seconds of the two stages as processes, nothing cached."""
    data = f"data/{entry.dataset}/formatted"
    commands = [
        [
            "train",
            name,
            "--rows",
            f"{data}/{entry.shards}",
            "--formatted",
            data,
            "--base",
            f"models/{entry.base}",
            "--out",
            f"{folder}/model",
            "--table",
            f"{folder}/results.csv",
            "--metrics",
            f"{folder}/train.json",
            "--speed",
            f"{folder}/speed.json",
        ],
        [
            "generate",
            name,
            "--formatted",
            data,
            "--model",
            f"{folder}/model",
            "--base",
            f"models/{entry.base}",
            "--root",
            f"models/{entry.root}",
            "--out",
            f"{folder}/answers.jsonl",
            "--speed",
            f"{folder}/speed.json",
        ],
    ]
    start = time.perf_counter()
    for stage, *arguments in commands:
        subprocess.run(
            [sys.executable, "-m", f"stages.{stage}", *arguments],
            cwd=ROOT,
            check=True,
            env=os.environ | {"AFFINAGE_SCRATCH": str(folder / "scratch")},
            stderr=subprocess.DEVNULL,
        )
    return time.perf_counter() - start


def bare(name: str) -> None:
    """The loop itself; runs in a process of its own."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from stages.common.check_params import check
    from stages.common.files import read_rows
    from stages.common.params import read
    from stages.models import runtime

    entry = check(read(), Path("params.yaml")).models[name]
    data, train = Path(f"data/{entry.dataset}/formatted"), entry.train
    tokenizer = AutoTokenizer.from_pretrained(f"models/{entry.base}", padding_side="right")
    own = tokenizer.chat_template
    tokenizer.chat_template = json.loads((data / "prompt.json").read_text())["chat_template"]
    model = AutoModelForCausalLM.from_pretrained(f"models/{entry.base}")

    def prompt(row):
        return tokenizer.apply_chat_template(row["messages"], add_generation_prompt=True, tokenize=False)

    def finished(batch):
        """Texts with their answers, and labels for the answers alone."""
        ended = [prompt(row) + row["completion"] + tokenizer.eos_token for row in batch]
        texts = tokenizer(ended, padding=True, padding_side="right", return_tensors="pt", add_special_tokens=False)
        labels = texts["input_ids"].masked_fill(texts["attention_mask"] == 0, -100)
        for line, row in enumerate(batch):
            labels[line, : len(tokenizer(prompt(row), add_special_tokens=False)["input_ids"])] = -100
        return {**texts, "labels": labels}

    model.requires_grad_(train.tune.kind == "full")
    if train.tune.kind == "top_layers":
        model.model.layers[-train.tune.layers :].requires_grad_(True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=train.learning_rate)
    rows, precision = list(read_rows(data / "train")), runtime.training_precision(train.precision, model.device)
    for _ in range(train.epochs):
        for start in range(0, len(rows), train.batch_rows):
            batch = rows[start : start + train.batch_rows]
            with runtime.autocast(model.device, precision):
                loss = model(**finished(batch)).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    tests = list(read_rows(data / "test"))
    base = AutoModelForCausalLM.from_pretrained(f"models/{entry.base}")
    tokenizer.padding_side = "left"
    for answering, template in ((model, tokenizer.chat_template), (base, tokenizer.chat_template), (base, own)):
        tokenizer.chat_template = template
        for start in range(0, len(tests), 32):
            with torch.no_grad():
                answering(**finished(tests[start : start + 32]))
            prompts = [prompt(row) for row in tests[start : start + 32]]
            texts = tokenizer(prompts, padding=True, return_tensors="pt", add_special_tokens=False)
            answering.generate(**texts, max_new_tokens=entry.generate.max_new_tokens, do_sample=False)


def main() -> None:
    from stages.common.check_params import check
    from stages.common.params import read

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", default="medical")
    name = parser.parse_args().model
    entry = check(read(), Path("params.yaml")).models[name]
    with tempfile.TemporaryDirectory() as folder:
        ours = stages(name, entry, Path(folder))
    start = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--bare", name], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    loop = time.perf_counter() - start
    print(f"{name}: train and generate {ours:.0f} s, bare loop {loop:.0f} s, ratio {ours / loop:.2f}")


if __name__ == "__main__":
    bare(sys.argv[2]) if sys.argv[1:2] == ["--bare"] else main()
