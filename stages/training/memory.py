"""What fits a GPU: a base, by its weights, and how many tokens at once.

The second is tried, for no formula knows every model and kernel. The result of a training does not depend on it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from stages.common.errors import StageError
from stages.common.schema_models import LocalTraining
from stages.models import directory
from stages.models.runtime import autocast
from stages.training import processes
from stages.training.tune import trainable

PLAIN = 2048  # tokens on a CPU, where nothing is tried: more is no faster there
MOST = 65536
SHARE = 0.92  # of the memory may be taken, for it is never laid out without gaps
MOMENTS = 8  # bytes of AdamW's state for each weight that learns
LEARNING = 8 + MOMENTS  # bytes for each such weight: itself and its gradient in float32, and that state
FOUR_BITS = 0.55  # bytes a weight in four bits, its scales included


def first(micro_tokens: int | str) -> int:
    """The value of the parameter `micro_tokens`, or the number to begin with where it is `auto`."""
    return PLAIN if micro_tokens == "auto" else micro_tokens


def is_dear(params: LocalTraining) -> bool:
    """Whether a run is to spare memory.

    Adapters are chosen for models that hardly fit. Gradient checkpointing says it outright.
    """
    return params.tune.kind == "lora" or params.gradient_checkpointing


def require_room(parameter: str, base: Path, width: float, device: torch.device, loaded: float = 4) -> None:
    """Check that a base fits the GPU's free memory, before it is read. Activations need some more.

    Args:
        width: bytes that each of its weights takes while it is trained.
        loaded: bytes that each takes when it is loaded. With AFFINAGE_SHARD weights are shared out, but each process loads the
            whole base first.

    Raises:
        StageError: if it does not fit. It names what would.
    """
    if device.type != "cuda":
        return
    count, free = directory.weights(base), torch.cuda.mem_get_info(device)[0]
    shares = int(os.environ.get("WORLD_SIZE", 1)) if processes.sharded() else 1
    needed = count * (width if shares == 1 else max(loaded, width / shares))
    if needed > free:
        everything = "weights, gradients and AdamW's state" if width == LEARNING else "weights"
        narrow, quarter = (f"{count * size / 2**30:.1f} GiB" for size in (2, FOUR_BITS))
        raise StageError(
            parameter,
            f"{needed / 2**30:.1f} GiB of {everything} for the {count / 1e9:.2g} billion weights in {base}",
            f"at most the {free / 2**30:.1f} GiB that are free on {torch.cuda.get_device_name(device)}",
            f"set tune: {{kind: lora, …}} with base: plain (about {narrow} in bf16) or base: 4bit (about {quarter}), "
            "share the model out over several GPUs (AFFINAGE_SHARD, docs/training.md), or choose a smaller base",
        )


@contextmanager
def enough_memory(work: str, params: LocalTraining) -> Iterator[None]:
    """Run work that may run out of memory. Its error then names the parameters that would help."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise StageError(
            work,
            str(error).split(". ")[0],
            "a batch that fits in memory",
            f"lower train.micro_tokens ({params.micro_tokens}), or set train.gradient_checkpointing",
        ) from None


def fitting(run, examples: list) -> int:
    """The largest power of two of tokens that leaves room, tried on the longest rows; `PLAIN` on a CPU.

    Raises:
        StageError: if every process holds a share of the model: a try that fails would have to fail in all of them at once.
    """
    if run.device.type != "cuda":
        return PLAIN
    if run.sharded:
        raise StageError("train.micro_tokens", "auto with AFFINAGE_SHARD", "a number", "set it, 8192 to begin with")
    longest, tokens = sorted(examples, key=len, reverse=True), MOST
    while tokens > PLAIN and not _fits(run, longest, tokens):
        tokens //= 2
    return min(run.world.gather(tokens))


def _fits(run, longest: list, tokens: int) -> bool:
    """Whether a pass forward and back over `tokens` tokens leaves the optimizer its room.

    The state of the random numbers is put back afterwards.
    """
    random, learning = torch.cuda.get_rng_state(run.device), list(trainable(run.model).values())
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(run.device)
    try:
        _pass(run, longest, tokens)
    except torch.OutOfMemoryError:
        return False
    finally:
        for parameter in learning:
            parameter.grad = None
        torch.cuda.set_rng_state(random, run.device)
    taken = torch.cuda.max_memory_allocated(run.device) + MOMENTS * sum(p.numel() for p in learning)
    free, _ = torch.cuda.mem_get_info(run.device)
    return taken <= SHARE * (free + torch.cuda.memory_reserved(run.device))


def _pass(run, longest: list, tokens: int) -> None:
    rows, size = [], 0
    while size < tokens:  # the longest rows, again and again where there are few
        rows.append(longest[len(rows) % len(longest)])
        size += len(rows[-1])
    group = rows[:-1] or rows
    batch = run.task.collate(group).to(run.device)
    run.model.train()
    with autocast(run.device, run.dtype):
        losses, _ = run.forward(run.model, batch)
    losses.sum().backward()
