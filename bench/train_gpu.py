"""Speed and memory of training on one GPU: ours against TRL's SFTTrainer set up as an expert would, and Hugging Face's Trainer.

    python bench/train_gpu.py                                                  # GPT-2 medium, all of it tuned
    python bench/train_gpu.py --shape llama3-8b --tune lora --rows 32 --micro-tokens 4096
    python bench/train_gpu.py --shape llama3-8b --tune 4bit --rows 32 --micro-tokens 3072

The same rows, the same random weights, the same number of optimizer steps over the same examples, all in one run. Useful
tokens are those of the rows, padding not counted. MFU is the share of the matrix peak measured in the same run, of the
operations that training needs: 6 a weight and token where all is tuned, 4 where adapters are. TRL packs rows (best fit,
decreasing), uses Liger's kernels and the faster of two kinds of attention (`--attention`), with and without checkpointing.
"""

import argparse
import gc
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from bench.shapes import Shape, matrix_peak, rows, shapes, tokenizer
from stages.common.schema_models import CausalTraining
from stages.models import directory, runtime
from stages.tasks import batches, causal
from stages.training import loop, memory
from stages.training.causal import start
from stages.training.checkpoint import Checkpoints

PARTS = ["reference", "ours", "exact", "trl", "trainer"]
WARM = 4  # steps that are not timed
LORA = {"kind": "lora", "rank": 16, "alpha": 32, "dropout": 0.0, "save": "merged"}
TUNES = {"full": {"kind": "full"}, "lora": LORA | {"base": "plain"}, "4bit": LORA | {"base": "4bit"}}


class Clock:
    """Notes when each step ended, its loss, and of a peer the tokens of each batch."""

    def __init__(self):
        self.times, self.losses, self.seen, self.weights = [time.perf_counter()], [], [], ""

    def log(self, row: dict) -> None:
        self.times.append(time.perf_counter())
        self.losses.append(row["training_loss"])

    def close(self) -> None:
        pass


def params(asked: argparse.Namespace, **changes) -> CausalTraining:
    """What the stage would be handed."""
    options = {
        "method": "causal",
        "tune": TUNES[asked.tune],
        "rows": "all",
        "wrong_rows": "none",
        "wrong_times": 0,
        "shuffle_pairs": False,
        "epochs": 1,
        "max_tokens": 1024,
        "batch_rows": asked.rows,
        "micro_tokens": asked.micro_tokens,
        "packing": True,
        "learning_rate": 1e-4,
        "schedule": "constant",
        "warmup": 0.0,
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "dropout": "own",
        "precision": "bf16",
        "gradient_checkpointing": asked.checkpointing,
        "compile": True,
        "deterministic": False,
        "evaluations": 1,
        "patience": 0,
        "logger": "none",
        "seed": 1,
    }
    return CausalTraining(**options | changes)


def fresh() -> None:
    """A GPU as it was before."""
    gc.collect()
    torch._dynamo.reset()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def ours(base: Path, examples: list, options: CausalTraining) -> Clock:
    """Our loop, from a base on disk."""
    runtime.deterministic(options.deterministic)
    model = start.load("benchmark", base, options)
    task = causal.task(model, options.micro_tokens, options.packing, torch.bfloat16, memory.is_dear(options))
    clock, loop.CHECKPOINT_SECONDS = Clock(), 1e9
    with tempfile.TemporaryDirectory() as folder:
        run = loop.Run(model, task, options, Checkpoints(Path(folder)), clock)
        clock.times = [time.perf_counter()]
        trained, _ = run.train(examples, [], task.layout)
    clock.weights = content_of(trained)
    return clock


def content_of(model: torch.nn.Module) -> str:
    """A hash of the weights that learned."""
    digest = hashlib.sha256()
    for parameter in model.parameters():
        if parameter.requires_grad:
            digest.update(parameter.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def peer_rows(examples: list[batches.Example]) -> list[dict]:
    """The rows as the Trainer takes them; `input_ids` tell it their length."""
    return [{"row": e, "input_ids": e.prompt + e.completion} for e in examples]


def peer_batch(some: list[dict]) -> dict[str, torch.Tensor]:
    """[B, L], padded to the longest, with labels on the answers alone."""
    examples = [item["row"] for item in some]
    padded = batches.collate(examples, "padded", 0)
    labels = torch.full_like(padded.inputs["input_ids"], -100)
    for i, row in enumerate(examples):
        labels[i, len(row.prompt) : len(row)] = torch.tensor(row.completion)
    return {**{key: padded.inputs[key] for key in ("input_ids", "attention_mask")}, "labels": labels}


OPTIONS = {
    "num_train_epochs": 1,
    "bf16": True,
    "learning_rate": 1e-4,
    "optim": "adamw_torch_fused",
    "save_strategy": "no",
    "report_to": [],
    "logging_strategy": "no",
    "disable_tqdm": True,
    "dataloader_num_workers": 4,
}


def trainer(base: Path, examples: list, asked: argparse.Namespace, grouped: bool) -> Clock:
    """Hugging Face's Trainer: batches of 32 rows, accumulated, padded to their longest."""
    from transformers import Trainer, TrainingArguments

    group = {"train_sampling_strategy": "group_by_length"} if grouped else {}
    size = {"per_device_train_batch_size": 32, "gradient_accumulation_steps": asked.rows // 32}
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, remove_unused_columns=False, **size, **OPTIONS, **group)
        model = directory.load(base, device=torch.device("cuda"))
        return timed(Trainer, model, arguments, data_collator=peer_batch, train_dataset=peer_rows(examples))


def trl(base: Path, examples: list, asked: argparse.Namespace, checkpointing: bool) -> Clock:
    """TRL's SFTTrainer: rows packed into lines of 1,024 tokens (the longest row fits), as many lines a pass as we take tokens,
    Liger's kernels, its own loss over the answers, and LoRA by peft."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    line = 1024
    lines = max(1, asked.micro_tokens // line)
    packed = sum(map(len, examples)) / len(examples) * asked.rows / line  # lines an optimizer step
    arguments = {
        "packing": True,
        "packing_strategy": "bfd",
        "max_length": line,
        "completion_only_loss": True,
        "use_liger_kernel": True,
        "per_device_train_batch_size": lines,
        "gradient_accumulation_steps": max(1, round(packed / lines)),
        "gradient_checkpointing": checkpointing,
    }
    kind = {"full": torch.float32}.get(asked.tune, torch.bfloat16)
    place = {"dtype": kind, "attn_implementation": asked.attention, "device_map": {"": 0}}
    if asked.tune == "4bit":
        place["quantization_config"] = start.four_bits(torch.bfloat16)
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, **place)
    adapters = None
    if asked.tune != "full":
        adapters = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    pairs = [(e.prompt, e.completion) for e in examples]
    made = Dataset.from_list([{"input_ids": p + c, "completion_mask": [0] * len(p) + [1] * len(c)} for p, c in pairs])
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(folder, **OPTIONS, **arguments)
        words = tokenizer()
        return timed(SFTTrainer, model, config, train_dataset=made, processing_class=words, peft_config=adapters)


def timed(kind: type, model, arguments, **given) -> Clock:
    """Train with a trainer that notes its useful tokens and when each optimizer step ended."""
    clock = Clock()

    class Timed(kind):
        def training_step(self, model, inputs, *others, **named):
            answers = (inputs["labels"] != -100).sum()
            mask = inputs.get("attention_mask")
            tokens = inputs["input_ids"].numel() if mask is None else mask.sum()
            clock.seen.append(torch.stack([torch.as_tensor(tokens, device=answers.device), answers]))
            loss = super().training_step(model, inputs, *others, **named)
            if len(clock.seen) % self.args.gradient_accumulation_steps == 0:
                torch.cuda.synchronize()  # the optimizer's own step, short, is counted with the next
                clock.times.append(time.perf_counter())
            return loss

    made = Timed(model=model, args=arguments, **given)
    clock.times = [time.perf_counter()]
    made.train()
    clock.passes = arguments.gradient_accumulation_steps
    return clock


def contestants(base: Path, examples: list, asked: argparse.Namespace) -> dict[str, Callable[[], Clock]]:
    """What is measured, by the name that the table gives it."""
    plain = partial(ours, base, examples)
    named = {
        "reference": {"ours, padded, not compiled": partial(plain, params(asked, packing=False, compile=False))},
        "ours": {"ours, packed, compiled": partial(plain, params(asked))},
        "exact": {
            name: partial(plain, params(asked, deterministic=True))
            for name in ("ours, packed, compiled, deterministic", "ours, packed, compiled, deterministic, again")
        },
        "trl": {
            f"TRL, packed, Liger, {asked.attention}{', checkpointed' if saving else ''}": partial(
                trl, base, examples, asked, saving
            )
            for saving in (False, True)
        },
        "trainer": {
            f"Hugging Face Trainer, batch 32, {'grouped by length' if grouped else 'padded'}": partial(
                trainer, base, examples, asked, grouped
            )
            for grouped in (False, True)
        },
    }
    if asked.tune != "full":
        del named["trainer"]
    if not find_spec("trl"):
        del named["trl"]
    return {name: work for part in asked.parts for name, work in named.get(part, {}).items()}


def figures(clock: Clock, examples: list, asked: argparse.Namespace) -> tuple[float, float, float]:
    """Useful tokens and answer tokens of the timed steps, and their seconds."""
    seconds = clock.times[-1] - clock.times[WARM]
    if clock.seen:  # a peer, whose batches may be unlike
        tokens, answers = torch.stack(clock.seen[WARM * clock.passes : (len(clock.times) - 1) * clock.passes]).sum(0).tolist()
        return tokens, answers, seconds
    order = loop.order(len(examples), 1, 0)[WARM * asked.rows : (len(clock.times) - 1) * asked.rows]
    return sum(len(examples[i]) for i in order), sum(len(examples[i].completion) for i in order), seconds


def measure(name: str, work: Callable[[], Clock], shape: Shape, examples: list, asked: argparse.Namespace) -> tuple:
    """Run one contestant and print its line; (tokens a second, its clock), or None where it fails or does not fit."""
    fresh()
    try:
        clock = work()
    except torch.OutOfMemoryError:
        print(f"{name:52} does not fit", flush=True)
        return None
    tokens, answers, seconds = figures(clock, examples, asked)
    needed = shape.operations(tokens, answers, 3 if asked.tune == "full" else 2)
    memory, first = torch.cuda.max_memory_allocated() / 2**30, clock.times[1] - clock.times[0]
    mfu = needed / seconds / asked.peak
    print(f"{name:52} {tokens / seconds:9,.0f} tok/s  MFU {mfu:.1%}  {memory:5.1f} GiB  first step {first:.1f} s", flush=True)
    return tokens / seconds, clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", choices=list(shapes()), default="gpt2-medium")
    parser.add_argument("--tune", choices=list(TUNES), default="full")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rows", type=int, default=224, help="rows an optimizer step, a multiple of 32")
    parser.add_argument("--micro-tokens", type=int, default=65536)
    parser.add_argument("--checkpointing", action="store_true", help="ours makes activations again in the backward pass")
    parser.add_argument("--attention", choices=["sdpa", "flex_attention"], default="sdpa", help="of TRL")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    shape, examples, asked.peak = shapes()[asked.shape], rows(asked.rows * asked.steps), matrix_peak()
    where = f"{torch.cuda.get_device_name()}, torch {torch.__version__}, matrix peak {asked.peak / 1e12:.0f} TFLOP/s"
    print(f"{where}; {asked.shape}, {asked.tune}, {asked.rows} rows a step, {asked.micro_tokens} tokens at once", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        directory.save(base, shape.model(torch.float32 if asked.tune == "full" else torch.bfloat16), tokenizer())
        done = {}
        for name, work in contestants(base, examples, asked).items():
            if result := measure(name, work, shape, examples, asked):
                done[name] = result
    compare(done)


def compare(done: dict[str, tuple[float, Clock]]) -> None:
    """Losses against the reference, bytes of two exact runs, and ratios to every peer."""
    mine = {name: result for name, result in done.items() if name.startswith("ours, packed")}
    reference = done.get("ours, padded, not compiled")
    for name, (speed, clock) in mine.items():
        if reference:
            pairs = zip(reference[1].losses, clock.losses, strict=True)
            print(f"{name}: largest difference of a step's loss from the reference {max(abs(b / a - 1) for a, b in pairs):.3%}")
        for peer, (other, _) in done.items():
            if not peer.startswith("ours"):
                print(f"{name}: {speed / other:.2f} times {peer}")
    exact = {clock.weights for name, (_, clock) in mine.items() if "deterministic" in name}
    if exact:
        print(f"deterministic runs give the same bytes: {len(exact) == 1}")


if __name__ == "__main__":
    main()
