"""Where kernels are tried: on a GPU, or in Triton's interpreter (`TRITON_INTERPRET=1` and the package `triton`)."""

import os
from importlib.util import find_spec

import torch

from stages.decoding.causal.graphs.turn import Turn

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HERE = find_spec("triton") is not None and (DEVICE == "cuda" or os.environ.get("TRITON_INTERPRET") == "1")
TYPES = [torch.float16, torch.float32] + [torch.bfloat16] * (DEVICE == "cuda")  # the interpreter rounds bf16 towards zero


def turns(columns: int, size: int, dtype: torch.dtype) -> dict[str, Turn | None]:
    """No turn, rotary embedding alone, and after the norm of a head."""
    angles = torch.arange(columns)[:, None] * 100 ** -(torch.arange(0, size, 2) / size)
    cos, sin = (torch.cat([part, part], 1).to(DEVICE, dtype) for part in (angles.cos(), angles.sin()))
    norms = (1 + torch.randn(2, size) / 4).to(DEVICE, dtype)
    return {"as they are": None, "turned": Turn(cos, sin, None, None, 0.0), "normed": Turn(cos, sin, *norms, 1e-6)}
