"""Speed of training on one GPU: our loop against Hugging Face's Trainer, and TRL's where it is installed, on the same rows,
the same model (GPT-2 medium, random weights, no dropout) and the same number of optimizer steps over the same examples.

    python bench/train_gpu.py [--steps 12] [--rows 224] [--parts peers ours exact]

Useful tokens are those of the rows, padding not counted. MFU is the share of the matrix peak measured in the same run:
6 operations a parameter and token for what a token passes through (the output matrix for answer tokens only).
"""

import argparse
import hashlib
import os
import sys
import tempfile
import time
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

sys.path.insert(0, str(Path(__file__).parent.parent))
from stages.common.schema_models import CausalTraining
from stages.models import runtime
from stages.tasks import batches, causal
from stages.training import loop
from stages.training.checkpoint import Checkpoints

VOCABULARY = 50257
PEERS = {
    "trl": "TRL SFTTrainer, batch 32, padded",
    "padded": "Hugging Face Trainer, batch 32, padded",
    "grouped": "Hugging Face Trainer, batch 32, grouped by length",
}
PARTS = ["peers", "ours", "exact"]
PACKED = "ours, packed, compiled"
EXACT = "ours, packed, compiled, deterministic"
DEVICE = torch.device("cuda")


def model(layers: int) -> GPT2LMHeadModel:
    """GPT-2 medium with random weights."""
    torch.manual_seed(0)
    size = {"n_embd": 1024, "n_layer": layers, "n_head": 16, "attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(**size)).to(DEVICE)


def rows(count: int) -> list[batches.Example]:
    """Random tokens in rows with the lengths of Alpaca: 51 prompt and 151 answer tokens on average, long tails."""
    dice = np.random.default_rng(1)

    def lengths(mean: float, most: int) -> np.ndarray:
        drawn = np.clip(dice.lognormal(0, 0.7, count), 0.05, 6)
        return np.clip(drawn / drawn.mean() * mean, 4, most).astype(int)

    def tokens(size: int) -> list[int]:  # skewed, so that there is something to learn
        return (dice.zipf(1.3, size) % VOCABULARY).tolist()

    pairs = zip(lengths(51, 200), lengths(151, 700), strict=True)
    return [batches.Example(str(i), tokens(p), tokens(a)) for i, (p, a) in enumerate(pairs)]


def params(batch_rows: int, **changes) -> CausalTraining:
    options = {
        "method": "causal",
        "tune": {"kind": "full"},
        "rows": "all",
        "wrong_rows": "none",
        "wrong_times": 0,
        "shuffle_pairs": False,
        "epochs": 1,
        "max_tokens": 1024,
        "batch_rows": batch_rows,
        "micro_tokens": 65536,
        "packing": True,
        "learning_rate": 1e-4,
        "schedule": "constant",
        "warmup": 0.0,
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "dropout": "own",
        "precision": "bf16",
        "gradient_checkpointing": False,
        "compile": True,
        "deterministic": False,
        "evaluations": 1,
        "patience": 0,
        "logger": "none",
        "seed": 1,
    }
    return CausalTraining(**options | changes)


class Clock:
    """Notes when each step ended."""

    def __init__(self):
        self.times, self.losses, self.seen, self.weights = [time.perf_counter()], [], [], ""

    def log(self, row: dict) -> None:
        self.times.append(time.perf_counter())
        self.losses.append(row["training_loss"])

    def close(self) -> None:
        pass


def ours(examples: list, options: CausalTraining, layers: int) -> tuple[Clock, float]:
    """Our loop; times of steps, and the peak of memory in GiB."""
    torch._dynamo.reset()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    runtime.deterministic(options.deterministic)
    made = model(layers)
    task = causal.task(made, options.micro_tokens, options.packing, torch.bfloat16)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        loop.CHECKPOINT_SECONDS = 1e9
        trained, _ = loop.Run(made, task, options, Checkpoints(Path(folder)), clock).train(examples, [], task.layout)
    clock.weights = content_of(trained)
    return clock, torch.cuda.max_memory_allocated() / 2**30


def content_of(model: torch.nn.Module) -> str:
    """A hash of the weights."""
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def peer_rows(examples: list[batches.Example]) -> list[dict]:
    """The rows as the Trainer takes them; `input_ids` tell it their length."""
    return [{"row": e, "input_ids": e.prompt + e.completion} for e in examples]


def peer_batch(some: list[dict]) -> dict[str, torch.Tensor]:
    """[B, L], padded to the longest, with labels on the answers alone."""
    rows = [one["row"] for one in some]
    padded = batches.collate(rows, "padded", 0)
    labels = torch.full_like(padded.inputs["input_ids"], -100)
    for i, row in enumerate(rows):
        labels[i, len(row.prompt) : len(row)] = torch.tensor(row.completion)
    return {**{key: padded.inputs[key] for key in ("input_ids", "attention_mask")}, "labels": labels}


def peer(kind: str, examples: list, batch_rows: int, layers: int) -> tuple[Clock, float]:
    """Hugging Face's Trainer, or TRL's SFTTrainer: batches of 32 rows, accumulated, padded to their longest, bf16."""
    from transformers import Trainer, TrainingArguments

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    runtime.deterministic(False)
    clock = Clock()
    options = {
        "per_device_train_batch_size": 32,
        "gradient_accumulation_steps": batch_rows // 32,
        "num_train_epochs": 1,
        "bf16": True,
        "learning_rate": 1e-4,
        "optim": "adamw_torch_fused",
        "save_strategy": "no",
        "report_to": [],
        "logging_strategy": "no",
        "disable_tqdm": True,
        "dataloader_num_workers": 4,
        "gradient_checkpointing": False,
    }
    with tempfile.TemporaryDirectory() as folder:
        if kind == "trl":
            import pyarrow
            import trl
            from datasets import Dataset

            pairs = [(e.prompt, e.completion) for e in examples]
            labelled = pyarrow.Table.from_pylist([{"input_ids": p + c, "labels": [-100] * len(p) + c} for p, c in pairs])
            arguments = trl.SFTConfig(folder, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, **options)
            found = _counted(trl.SFTTrainer, clock)(
                model(layers), arguments, train_dataset=Dataset(labelled, fingerprint="rows"), processing_class=tokenizer()
            )
        else:
            group = {"train_sampling_strategy": "group_by_length"} if kind == "grouped" else {}
            arguments = TrainingArguments(folder, remove_unused_columns=False, **options, **group)
            found = _counted(Trainer, clock)(model(layers), arguments, peer_batch, peer_rows(examples))
        clock.times = [time.perf_counter()]
        found.train()
    return clock, torch.cuda.max_memory_allocated() / 2**30


def _counted(kind: type, clock: Clock) -> type:
    """A trainer that notes its tokens, and when each optimizer step ended."""

    class Counted(kind):
        def training_step(self, model, inputs, *others, **named):
            counts = torch.stack([inputs["attention_mask"].sum(), (inputs["labels"] != -100).sum()])
            found = super().training_step(model, inputs, *others, **named)
            clock.seen.append(counts)
            if len(clock.seen) % self.args.gradient_accumulation_steps == 0:
                torch.cuda.synchronize()  # the optimizer's own step, short, is counted with the next
                clock.times.append(time.perf_counter())
            return found

    return Counted


def tokenizer():
    """One that knows no words but how to pad."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    names = {"eos_token": "<end>", "pad_token": "<pad>", "unk_token": "<unk>"}
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(names.values())}, "<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)


def matrix_peak() -> float:
    """Operations a second of the best of some bf16 matrix products."""
    a, b = (torch.randn(8192, 8192, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        a @ b
    torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rows", type=int, default=224, help="rows an optimizer step, a multiple of 32")
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    peak, examples = matrix_peak(), rows(options.rows * options.steps)
    body = options.layers * 12 * 1024**2
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, matrix peak {peak / 1e12:.0f} TFLOP/s", flush=True)
    warm, speeds, losses, weights = 4, {}, {}, {}

    def measure(name: str, found: tuple[Clock, float]) -> None:
        clock, memory = found
        if clock.seen:  # a peer, whose batches may be unlike
            skipped = warm * options.rows // 32
            tokens, answers = torch.stack(clock.seen[skipped:]).sum(0).tolist()
        else:
            order = loop.order(len(examples), 1, 0)[warm * options.rows : (len(clock.times) - 1) * options.rows]
            tokens = sum(len(examples[i]) for i in order)
            answers = sum(len(examples[i].completion) for i in order)
        seconds = clock.times[-1] - clock.times[warm]
        mfu = 6 * (body * tokens + 1024 * VOCABULARY * answers) / seconds / peak
        speeds[name], losses[name], weights[name] = tokens / seconds, clock.losses, clock.weights
        first = clock.times[1] - clock.times[0]
        print(f"{name:52} {speeds[name]:9,.0f} tok/s  MFU {mfu:.1%}  {memory:5.1f} GiB  first step {first:.1f} s", flush=True)

    if "ours" in options.parts:
        eager = params(options.rows, packing=False, compile=False, micro_tokens=16384)
        measure("ours, padded, not compiled (reference)", ours(examples, eager, options.layers))
        measure(PACKED, ours(examples, params(options.rows), options.layers))
        pairs = zip(losses["ours, padded, not compiled (reference)"], losses[PACKED], strict=True)
        print(f"largest difference of a step's loss from the reference: {max(abs(b / a - 1) for a, b in pairs):.3%}")
    if "exact" in options.parts:
        exact = params(options.rows, deterministic=True)
        measure(EXACT, ours(examples, exact, options.layers))
        measure(f"{EXACT}, again", ours(examples, exact, options.layers))
        print(f"two deterministic runs give the same bytes: {weights[EXACT] == weights[f'{EXACT}, again']}")
    if "peers" in options.parts:
        for kind, name in PEERS.items():
            if kind != "trl" or find_spec("trl"):
                measure(name, peer(kind, examples, options.rows, options.layers))
    mine = [name for name in (PACKED, EXACT) if name in speeds]
    for one, other in product(mine, [name for name in PEERS.values() if name in speeds]):
        print(f"{one}: {speeds[one] / speeds[other]:.2f} times {other}")


if __name__ == "__main__":
    main()
