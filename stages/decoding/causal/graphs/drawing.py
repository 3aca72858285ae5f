"""The next token of a row by its scores, best or drawn: Triton kernels.

PyTorch's cumulative sums on a GPU are not deterministic. These add in a fixed order. A row's program reads its scores from the
cache of the GPU a few times over, which is faster than several programs a row that wait for each other.
"""

import torch
import triton
import triton.language as tl

LEAST = {"BLOCK": 4096, "num_warps": 8}


def best(scores: torch.Tensor) -> torch.Tensor:
    """The token [B] of the highest of `scores` [B, V], the first where several are. A line of `scores` is contiguous."""
    tokens = torch.empty(len(scores), dtype=torch.long, device=scores.device)
    _best[(len(scores),)](scores, tokens, scores.stride(0), scores.shape[1], **LEAST)
    return tokens


def draw(scores: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """The first token [B] at which the probabilities of a row, the softmax of `scores` [B, V], add up to more than its draw.

    Args:
        scores: a line is contiguous. A token of minus infinity is never drawn.
        draws: float64 [B], from 0 to below 1.
    """
    tokens = torch.empty(len(scores), dtype=torch.long, device=scores.device)
    _draw[(len(scores),)](scores, draws, tokens, scores.stride(0), scores.shape[1], **LEAST)
    return tokens


def sums(shares: torch.Tensor) -> torch.Tensor:
    """Cumulative sums of each line [B, V]; a line is contiguous."""
    added = torch.empty_like(shares)
    _sums[(len(shares),)](shares, added, shares.stride(0), added.stride(0), shares.shape[1], **LEAST)
    return added


@triton.jit
def _best(scores, target, stride, words, BLOCK: tl.constexpr):
    row, at = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    top, word = tl.full([BLOCK], -float("inf"), tl.float32), at
    for start in range(0, words, BLOCK):
        x = tl.load(scores + row * stride + start + at, mask=start + at < words, other=-float("inf")).to(tl.float32)
        word = tl.where(x > top, start + at, word)
        top = tl.maximum(top, x)
    first = tl.min(tl.where(top == tl.max(top, 0), word, words), 0)
    tl.store(target + row, tl.minimum(first, words - 1).to(tl.int64))


@triton.jit
def _draw(scores, draws, target, stride, words, BLOCK: tl.constexpr):
    row, at = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    line = scores + row * stride
    top = tl.full([BLOCK], -float("inf"), tl.float32)
    for start in range(0, words, BLOCK):
        top = tl.maximum(top, tl.load(line + start + at, mask=start + at < words, other=-float("inf")).to(tl.float32))
    highest = tl.max(top, 0)
    total = tl.zeros([BLOCK], tl.float64)
    for start in range(0, words, BLOCK):
        x = tl.load(line + start + at, mask=start + at < words, other=-float("inf")).to(tl.float32)
        total += tl.exp(x - highest).to(tl.float64)
    wanted = tl.load(draws + row) * tl.sum(total, 0)
    below = wanted * 0.0  # what the blocks before this one add up to
    chosen, last = words, words * 0  # the first token above the draw, and the last that can be drawn at all
    for start in range(0, words, BLOCK):
        x = tl.load(line + start + at, mask=start + at < words, other=-float("inf")).to(tl.float32)
        share = tl.exp(x - highest).to(tl.float64)
        above = (share > 0) & (below + tl.cumsum(share, 0) > wanted)
        chosen = tl.minimum(chosen, tl.min(tl.where(above, start + at, words), 0))
        last = tl.maximum(last, tl.max(tl.where(share > 0, start + at, 0), 0))
        below += tl.sum(share, 0)
    tl.store(target + row, tl.where(chosen < words, chosen, last).to(tl.int64))


@triton.jit
def _sums(shares, target, stride, target_stride, words, BLOCK: tl.constexpr):
    row, at = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    below = tl.sum(tl.zeros([BLOCK], tl.float32), 0)
    for start in range(0, words, BLOCK):
        share = tl.load(shares + row * stride + start + at, mask=start + at < words, other=0.0).to(tl.float32)
        added = below + tl.cumsum(share, 0)
        tl.store(target + row * target_stride + start + at, added, mask=start + at < words)
        below += tl.sum(share, 0)
