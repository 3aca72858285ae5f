"""Where and how models run: device, precision, determinism, and a record of it all."""

import inspect
import os
import platform
import resource
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version

import torch


def device() -> torch.device:
    """The GPU if there is one (in a multi-process run: this process's own), else the CPU."""
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")


def precision(name: str, where: torch.device) -> torch.dtype:
    """The torch type for fp32, bf16, fp16 or auto: bf16 on a GPU that computes in it (compute capability 8.0), else float32."""
    if name == "auto":
        name = "bf16" if where.type == "cuda" and torch.cuda.get_device_capability(where) >= (8, 0) else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def has_flash(model, dtype: torch.dtype) -> bool:
    """Whether flash attention's variable-length kernel computes what this transformers model means: half precision on a GPU
    of compute capability 8.0, and no cap on attention scores."""
    return (
        model.device.type == "cuda"
        and torch.cuda.get_device_capability(model.device) >= (8, 0)
        and dtype in (torch.bfloat16, torch.float16)
        and model._supports_flash_attn
        and not getattr(model.config.get_text_config(), "attn_logit_softcapping", None)
    )


def grouped(query: torch.Tensor, key: torch.Tensor) -> dict[str, bool]:
    """What varlen_attn must be told where several heads of `query` [tokens, H, D] share one of `key`. Before PyTorch 2.13 it
    sees that by itself and knows no such option."""
    from torch.nn.attention.varlen import varlen_attn

    asked = query.shape[1] != key.shape[1] and "enable_gqa" in inspect.signature(varlen_attn).parameters
    return {"enable_gqa": True} if asked else {}


def autocast(where: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Mixed precision: parameters stay float32, matrix products run in `dtype`."""
    return nullcontext() if dtype is torch.float32 else torch.autocast(where.type, dtype)


def deterministic(wanted: bool = True) -> None:
    """The same bytes from the same inputs on one kind of machine; if not wanted, what is fastest."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted)


def memory(where: torch.device) -> str:
    """The most that this process has held so far: of the GPU's memory, or of the machine's."""
    if where.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(where) / 2**30:.1f}GiB"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f}GiB"


def environment() -> dict:
    """What figures may depend on beside inputs and parameters; recorded beside timings, never in a stage's output."""
    where = device()
    return {
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "numpy")},
    }
