"""What lies between the matrix products of a transformer, in one pass each: Triton kernels.

Every step rounds as transformers' own code does, so that the answers are the same. Sums are in a fixed order.
"""

import torch
import triton
import triton.language as tl


def norm(stream: torch.Tensor, added: torch.Tensor | None, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """RMS norm (arXiv 1910.07467) [tokens, width] of what goes from block to block, after something is added to it.

    Args:
        stream: [tokens, width] and contiguous. `added` is added in place.
        added: [tokens, width] and contiguous; None: nothing.
        weight: [width].
    """
    tokens, width = stream.shape
    normed, block = torch.empty_like(stream), triton.next_power_of_2(width)
    _norm[(tokens,)](
        *(stream, stream if added is None else added, weight, normed, width, eps),
        ADD=added is not None,
        BLOCK=block,
        num_warps=min(16, max(1, block // 512)),
    )
    return normed


@triton.jit
def _norm(stream, added, weight, target, width, eps, ADD: tl.constexpr, BLOCK: tl.constexpr):
    """One program for a token."""
    at = tl.arange(0, BLOCK)
    inside, row = at < width, tl.program_id(0).to(tl.int64) * width
    x = tl.load(stream + row + at, mask=inside, other=0.0)
    scales = tl.load(weight + at, mask=inside, other=0.0)
    if ADD:
        more = tl.load(added + row + at, mask=inside, other=0.0)
        x = (x.to(tl.float32) + more.to(tl.float32)).to(x.dtype)
        tl.store(stream + row + at, x, mask=inside)
    wide = x.to(tl.float32)
    normed = (wide * tl.rsqrt(tl.sum(wide * wide, 0) / width + eps)).to(x.dtype)
    tl.store(target + row + at, (normed.to(tl.float32) * scales.to(tl.float32)).to(x.dtype), mask=inside)


def gate(pair: torch.Tensor) -> torch.Tensor:
    """SiLU of the first half of each line times its second half (arXiv 2002.05202): [tokens, 2 inner] to [tokens, inner]."""
    tokens, inner = pair.shape[0], pair.shape[1] // 2
    gated = pair.new_empty(tokens, inner)
    _gate[(tokens, triton.cdiv(inner, 1024))](pair, gated, inner, BLOCK=1024)
    return gated


@triton.jit
def _gate(pair, target, inner, BLOCK: tl.constexpr):
    """One program for a part of a token's line."""
    row, at = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < inner
    x = tl.load(pair + row * 2 * inner + at, mask=inside, other=0.0)
    y = tl.load(pair + row * 2 * inner + inner + at, mask=inside, other=0.0)
    wide = x.to(tl.float32)
    silu = (wide / (1.0 + tl.exp(-wide))).to(x.dtype)
    tl.store(target + row * inner + at, (silu.to(tl.float32) * y.to(tl.float32)).to(x.dtype), mask=inside)
