"""Speed and memory of training on GPUs: ours against TRL's SFTTrainer and Hugging Face's Trainer, set up as an expert would.

    python bench/train_gpu.py                        # GPT-2 medium, then SmolLM2-360M's shape, all of it tuned
    python bench/train_gpu.py --shape llama3-8b --tune lora --rows 32 --micro-tokens 8192 --checkpointing
    python bench/train_gpu.py --shape llama3-8b --tune 4bit --rows 32 --micro-tokens 8192 --checkpointing
    AFFINAGE_SHARD=1 torchrun --nproc-per-node 2 bench/train_gpu.py --shape yi-6b --rows 64 --parts plain   # ours alone

The same rows, the same random weights, the same number of optimizer steps, all in one run. Useful tokens are those of the
rows, padding not counted. MFU is the share of the matrix peak measured in the same run, of the operations that training needs:
6 a weight and token where all is tuned, 4 where adapters are. Peers: train_peers.py. The ratio is that to the fastest of them.
"""

import argparse
import gc
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
import torch._functorch.config

sys.path.insert(0, str(Path(__file__).parent.parent))
from bench import train_peers
from bench.shapes import Shape, matrix_peak, rows, shapes, tokenizer
from bench.train_peers import Clock
from stages.common.errors import StageError
from stages.common.schema_models import CausalTraining
from stages.models import directory, runtime
from stages.tasks import causal
from stages.training import loop, memory, processes
from stages.training.causal import start

PARTS = ["reference", "plain", "ours", "exact", "whole", "trainer", "trl"]
LORA = {"kind": "lora", "rank": 16, "alpha": 32, "dropout": 0.0, "save": "merged"}
TUNES = {"full": {"kind": "full"}, "lora": LORA | {"base": "plain"}, "4bit": LORA | {"base": "4bit"}}


class NoCheckpoints:
    """There are none: a run here is short."""

    def load(self) -> None:
        return None


class Run(loop.Run):
    """Ours, but nothing is saved: to put together what several GPUs share takes longer than the steps."""

    def _save(self) -> None:
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
    """A GPU, and PyTorch's settings, as they were before."""
    gc.collect()
    torch._dynamo.reset()
    runtime.deterministic(False)
    torch._functorch.config.activation_memory_budget = 1.0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def ours(base: Path, examples: list, options: CausalTraining) -> Clock:
    """Our loop, from a base on disk."""
    runtime.deterministic(options.deterministic)
    model = start.load("benchmark", base, options)
    task = causal.task(model, options.micro_tokens, options.packing, torch.bfloat16, memory.is_dear(options))
    clock = Clock()
    run = Run(model, task, options, NoCheckpoints(), clock)
    clock.start()
    trained, _ = run.train(examples, [], task.layout)
    clock.weights = "" if run.sharded else content_of(trained)
    return clock


def as_a_whole(base: Path, examples: list, options: CausalTraining) -> Clock:
    """Ours, with the whole model and its loss compiled as one graph, instead of one block that serves for all."""
    parts = loop.compiling.compiled
    loop.compiling.compiled = lambda model, task, sparing: torch.compile(task.forward, dynamic=True)
    try:
        return ours(base, examples, options)
    finally:
        loop.compiling.compiled = parts


def content_of(model: torch.nn.Module) -> str:
    """A hash of the weights that learned."""
    digest = hashlib.sha256()
    for parameter in model.parameters():
        if parameter.requires_grad:
            digest.update(parameter.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def contestants(name: str, base: Path, examples: list, asked: argparse.Namespace) -> dict[str, Callable[[], Clock]]:
    """What is measured on the shape `name`, by name. Peers come last, for Liger changes transformers."""
    plain = partial(ours, base, examples)
    again = [] if asked.once else ["ours, packed, compiled, deterministic, again"]
    named = {
        "reference": {"ours, padded, not compiled": partial(plain, params(asked, packing=False, compile=False))},
        "plain": {"ours, packed, not compiled": partial(plain, params(asked, compile=False))},
        "ours": {"ours, packed, compiled": partial(plain, params(asked))},
        "exact": {
            title: partial(plain, params(asked, deterministic=True))
            for title in ["ours, packed, compiled, deterministic", *again]
        },
        "whole": {"ours, packed, compiled as a whole": partial(as_a_whole, base, examples, params(asked))},
        "trainer": {
            f"Hugging Face Trainer, batch 32, {'grouped by length' if grouped else 'padded'}": partial(
                train_peers.trainer, base, examples, asked.rows, grouped, asked.steps
            )
            for grouped in ([True] if asked.once else [True, False])
        },
        "trl": {
            peer.name: partial(train_peers.trl, base, examples, asked.rows, asked.tune, peer, asked.steps)
            for peer in train_peers.PEERS.get(name, [])
        },
    }
    if asked.tune != "full":
        del named["trainer"]
    if not find_spec("trl"):
        del named["trl"]
    return {title: work for part in PARTS if part in asked.parts for title, work in named.get(part, {}).items()}


def figures(clock: Clock, examples: list, asked: argparse.Namespace) -> tuple[float, float, float]:
    """Useful tokens and answer tokens of the timed steps, and their seconds.

    Ours notes a step once the next one is launched. So the last step, which no other follows, is not timed.
    """
    if clock.seen:  # a peer, whose batches may be unlike
        timed = clock.seen[asked.warm * clock.passes : (len(clock.times) - 1) * clock.passes]
        tokens, answers = torch.stack(timed).sum(0).tolist()
        return tokens, answers, clock.times[-1] - clock.times[asked.warm]
    last = len(clock.times) - 2
    order = loop.order(len(examples), 1, 0)[asked.warm * asked.rows : last * asked.rows]
    seconds = clock.times[last] - clock.times[asked.warm]
    return sum(len(examples[i]) for i in order), sum(len(examples[i].completion) for i in order), seconds


def measure(title: str, work: Callable[[], Clock], shape: Shape, examples: list, asked: argparse.Namespace) -> tuple | None:
    """Run one contestant and print its line; (tokens a second, its clock), or None where it fails or does not fit."""
    fresh()
    first = processes.join().first
    try:
        clock = work()
    except (torch.OutOfMemoryError, StageError) as error:
        print(f"{title:58} does not fit: {' '.join(str(error).split())[:300]}", flush=True)
        return None
    except Exception as error:  # whatever a peer stumbles over, the others are still to be measured
        if title.startswith("ours"):
            raise
        print(f"{title:58} fails: {type(error).__name__}: {next(iter(str(error).splitlines()), '')[:300]}", flush=True)
        return None
    if not first:
        return None
    tokens, answers, seconds = figures(clock, examples, asked)
    needed = shape.operations(tokens, answers, 3 if asked.tune == "full" else 2)
    gib, begun = torch.cuda.max_memory_allocated() / 2**30, clock.times[1] - clock.times[0]
    mfu = needed / seconds / asked.peak / processes.join().size
    print(f"{title:58} {tokens / seconds:9,.0f} tok/s  MFU {mfu:.1%}  {gib:5.1f} GiB  first step {begun:.1f} s", flush=True)
    return tokens / seconds, clock


def compare(done: dict[str, tuple[float, Clock]]) -> None:
    """Losses against the reference, bytes of two exact runs, and the ratio to the fastest peer."""
    mine = {title: result for title, result in done.items() if title.startswith("ours, packed")}
    reference = done.get("ours, padded, not compiled")
    peers = {title: speed for title, (speed, _) in done.items() if not title.startswith("ours")}
    for title, (speed, clock) in mine.items():
        if reference:
            pairs = zip(reference[1].losses, clock.losses, strict=True)
            difference = max(abs(b / a - 1) for a, b in pairs)
            print(f"{title}: largest difference of a step's loss from the reference {difference:.3%}")
        if peers:
            strongest = max(peers, key=peers.get)
            print(f"{title}: {speed / peers[strongest]:.2f} times the fastest peer ({strongest})")
    exact = [clock.weights for title, (_, clock) in mine.items() if "deterministic" in title]
    if len(exact) > 1:
        print(f"deterministic runs give the same bytes: {len({*exact}) == 1}")


def run(name: str, base: Path, asked: argparse.Namespace) -> None:
    """All contestants on one shape. The base is written to `base`, unless it lies there."""
    shape, examples, world = shapes()[name], rows(asked.rows * asked.steps), processes.join()
    if world.first:
        where = f"{world.size} x {torch.cuda.get_device_name()}, torch {torch.__version__}, matrix peak {asked.peak / 1e12:.0f}"
        size = f"{asked.rows} rows a step, {asked.micro_tokens} tokens at once"
        print(f"{where} TFLOP/s; {name}, {asked.tune}, {size}", flush=True)
        if not (base / "config.json").is_file():
            base.mkdir(parents=True, exist_ok=True)
            dtype = torch.float32 if asked.tune == "full" and not asked.narrow else torch.bfloat16
            directory.save(base, shape.model(dtype), tokenizer())
    world.wait()
    done = {}
    for title, work in contestants(name, base, examples, asked).items():
        if result := measure(title, work, shape, examples, asked):
            done[title] = result
    compare(done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=list(shapes()), default=["gpt2-medium", "smollm2-360m"])
    parser.add_argument("--tune", choices=list(TUNES), default="full")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--warm", type=int, default=4, help="of them, not timed")
    parser.add_argument("--rows", type=int, default=224, help="rows an optimizer step, a multiple of 32")
    parser.add_argument("--micro-tokens", type=int, default=65536)
    parser.add_argument("--checkpointing", action="store_true", help="ours makes activations again in the backward pass")
    parser.add_argument("--narrow", action="store_true", help="the base lies on disk in bf16, also where all is tuned")
    parser.add_argument("--once", action="store_true", help="leave out the second deterministic run and the ungrouped Trainer")
    parser.add_argument("--base", type=Path, help="keep the base in this folder, and take it from there the next time")
    default = ["reference", "ours", "exact", "trainer", "trl"]
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=default)
    asked = parser.parse_args()
    if asked.steps < asked.warm + 2:
        parser.error(f"--steps {asked.steps}: at least {asked.warm + 2}, two more than --warm")
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    processes.join()
    asked.peak = matrix_peak()
    for name in asked.shape:
        with nullcontext(asked.base) if asked.base else tempfile.TemporaryDirectory() as folder:
            run(name, Path(folder) / name, asked)
    processes.leave()


if __name__ == "__main__":
    main()
