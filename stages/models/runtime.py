"""Where and how models run: device, precision, determinism, and a record of it all."""

import ctypes
import os
import platform
import resource
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.metadata import version

import torch
from torch.nn import functional

from stages.common.errors import StageError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h: bytes at the heap's end, and of a block, that go back to the system


def device() -> torch.device:
    """The GPU if there is one, else the CPU. In a run of several processes it is this process's own GPU."""
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")


def precision(name: str, device: torch.device) -> torch.dtype:
    """The torch type of fp32, bf16, fp16 or auto.

    auto is bf16 on a GPU that computes in it (compute capability 8.0), else float32.
    """
    if name == "auto":
        name = "bf16" if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def bf16_instructions() -> list[str]:
    """What the CPU has for products in bf16: avx512_bf16, amx_bf16, both or none. A torch that cannot say counts as none."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return [name for name in ("avx512_bf16", "amx_bf16") if capabilities.get(name)]


def training_precision(name: str, device: torch.device) -> torch.dtype:
    """The torch type of fp32, bf16, fp16 or auto, for training.

    auto is bf16 also on a CPU with instructions for it: matrix products take half the time there. A model that answers or is
    judged stays in float32 on a CPU.
    """
    if name == "auto" and device.type == "cpu" and bf16_instructions():
        return torch.bfloat16
    return precision(name, device)


def short_name(dtype: torch.dtype) -> str:
    """fp32, bf16 or fp16, as in params.yaml."""
    return {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]


def blocks(model: torch.nn.Module) -> torch.nn.ModuleList:
    """The transformer blocks, bottom to top.

    Raises:
        StageError: if the model has no list of them.
    """
    count = model.config.get_text_config().num_hidden_layers
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList) and len(module) == count]
    if not lists:
        raise StageError(
            type(model).__name__, "no list of transformer blocks", f"one of {count} blocks", "set tune: {kind: full}"
        )
    return lists[0]


def check_rows(model, tokenizer, ids: Iterable[int], where: str) -> None:
    """Check that the model has an embedding of every token. `where` says what is read.

    Raises:
        StageError: naming the token that is past the last row of the embeddings.
    """
    rows, highest = model.get_input_embeddings().num_embeddings, max(ids, default=0)
    if highest >= rows:
        raise StageError(
            where,
            f"token {tokenizer.convert_ids_to_tokens(highest)!r}, the number {highest}",
            f"a number below {rows}, the rows of the base's embeddings: its tokenizer has more tokens than the model",
            "choose another base, or one whose embeddings were resized",
        )


def in_forward(model, work: Callable):
    """`work()` as one forward pass of the model.

    Where each process holds a share of the parameters, PyTorch puts them together for the model's own forward pass alone.
    Work that calls parts of a model goes through here (`processes.shard`).
    """
    return model.in_forward(work) if hasattr(model, "in_forward") else work()


def widen_head(model) -> None:
    """On a GPU, make logits in rows of a multiple of 64, and return a view of them as wide as the vocabulary.

    A vocabulary of 50,257 gives logits whose rows begin at odd addresses. For these there are only slow matrix products, which
    take a tenth of a training step of GPT-2 medium.
    """
    head = model.get_output_embeddings()
    missing = -head.weight.shape[0] % 64
    if missing and model.device.type == "cuda" and head.bias is None:
        head.forward = partial(_wide, head, missing)


def _wide(head: torch.nn.Linear, missing: int, hidden: torch.Tensor) -> torch.Tensor:
    return functional.linear(hidden, functional.pad(head.weight, (0, 0, 0, missing)))[..., : head.weight.shape[0]]


def narrow_stream(blocks, dtype: torch.dtype) -> None:
    """Let what goes from block to block of a transformer be of `dtype`, as it is where weights are.

    Autocast alone would carry float32 there: norms would read and write twice as much.
    """

    def cast(_, arguments: tuple) -> tuple:
        return (arguments[0].to(dtype), *arguments[1:])

    blocks[0].register_forward_pre_hook(cast)


def fetched(tensor: torch.Tensor) -> Callable[[], list]:
    """Start to copy a tensor from a GPU. What is returned gives its numbers: it waits for them, not for work launched later."""
    if tensor.device.type != "cuda":
        return tensor.tolist
    copy, arrived = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True), torch.cuda.Event()
    copy.copy_(tensor, non_blocking=True)
    arrived.record()

    def numbers() -> list:
        arrived.synchronize()
        return copy.tolist()

    return numbers


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Mixed precision: parameters stay float32, matrix products run in `dtype`."""
    return nullcontext() if dtype is torch.float32 else torch.autocast(device.type, dtype)


def deterministic(wanted: bool = True) -> None:
    """Make the same bytes from the same inputs on one kind of machine. If that is not wanted, be as fast as possible."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted)
    torch.utils.deterministic.fill_uninitialized_memory = False  # it would write all memory once more, to find faulty kernels


def keep_memory() -> None:
    """Let the process keep the memory of tensors that it is done with. Nothing happens where the C library is not GNU's.

    Else it goes back to the system, which clears every page before lending it again. That takes a tenth of the time of judging.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, 2**28)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def memory(device: torch.device) -> str:
    """The most memory that this process has held so far, of the GPU or of the machine."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f}GiB"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f}GiB"


def machine(dtype: torch.dtype) -> dict[str, str]:
    """What bytes depend on beside inputs, parameters and code: the device, the CPU's instructions and the precision."""
    here = device()
    narrow = bf16_instructions() if dtype is torch.bfloat16 else []
    return {
        "device": torch.cuda.get_device_name(here) if here.type == "cuda" else here.type,
        "cpu": " ".join([torch.backends.cpu.get_cpu_capability(), *narrow]),
        "dtype": str(dtype),
    }


def environment() -> dict:
    """What figures may depend on beside inputs and parameters. It is recorded beside timings, never in a stage's output."""
    here = device()
    return {
        "device": torch.cuda.get_device_name(here) if here.type == "cuda" else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "numpy")},
    }
