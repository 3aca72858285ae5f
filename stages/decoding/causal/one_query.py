"""Attention of one new token a row to the keys and values kept of that row: a Triton kernel.

Flash attention's own kernels are made for many queries; with one a row they take as long as the rest of a step of GPT-2
medium. This one reads the keys and values that a row has, once, adds the new ones to them, and keeps a running softmax
(arXiv 2205.14135). Triton comes with PyTorch's builds for GPUs. Sums are in a fixed order: the same bytes every time.
"""

import torch
import triton
import triton.language as tl


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    kept: tuple[torch.Tensor, torch.Tensor],
    places: torch.Tensor,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    """Attention [B, H, D], and `key` and `value` kept.

    Args:
        query: [B, H, D], the last dimension contiguous, as those of `key` and `value` [B, G, D]; H is a multiple of G.
        kept: the keys and the values kept of the rows, both [B, G, columns, D] and contiguous.
        places: [B], how many columns of each row are filled: the new ones go there.
        scale: of the scores; None: 1 / sqrt(D).
        window: how many tokens are seen, the new one counted; None: all.
    """
    rows, heads, size = query.shape
    groups, columns = kept[0].shape[1:3]
    found = torch.empty_like(query, memory_format=torch.contiguous_format)
    _kernel[(rows, groups)](
        *(query, key, value, *kept, places, found),
        *(query.stride(0), query.stride(1), key.stride(0), key.stride(1), value.stride(0), value.stride(1)),
        *(columns, window or 0, size**-0.5 if scale is None else scale),
        HEADS=heads // groups,
        LINES=max(16, triton.next_power_of_2(heads // groups)),  # the least that a matrix product takes
        SIZE=size,
        WIDE=max(16, triton.next_power_of_2(size)),
        BLOCK=64,
    )
    return found


@triton.jit(do_not_specialize=["columns", "window"])
def _kernel(
    query,
    key,
    value,
    keys,
    values,
    places,
    found,
    query_row,
    query_head,
    key_row,
    key_head,
    value_row,
    value_head,
    columns,
    window,
    scale,
    HEADS: tl.constexpr,
    LINES: tl.constexpr,
    SIZE: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One program for a row and the heads of `query` that share a head of `key`."""
    row, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    place = tl.load(places + row).to(tl.int32)
    at, line = tl.arange(0, WIDE), tl.arange(0, LINES)
    heads, inside = group * HEADS + line, at < SIZE
    mine = (line < HEADS)[:, None] & inside[None, :]
    q = tl.load(query + row * query_row + heads[:, None] * query_head + at[None, :], mask=mine, other=0.0)
    k = tl.load(key + row * key_row + group * key_head + at, mask=inside, other=0.0)
    v = tl.load(value + row * value_row + group * value_head + at, mask=inside, other=0.0)
    kept = (row * tl.num_programs(1) + group) * columns * SIZE
    tl.store(keys + kept + place.to(tl.int64) * SIZE + at, k, mask=inside)
    tl.store(values + kept + place.to(tl.int64) * SIZE + at, v, mask=inside)
    best = tl.sum(q.to(tl.float32) * k.to(tl.float32)[None, :], 1) * scale  # the new token's own score
    total = tl.full([LINES], 1.0, tl.float32)
    mixed = tl.zeros([LINES, WIDE], tl.float32) + v.to(tl.float32)[None, :]
    first = tl.where(window > 0, tl.maximum(place + 1 - window, 0), 0)
    for start in range(first, place, BLOCK):
        column = start + tl.arange(0, BLOCK)
        filled = column < place
        index = kept + column[:, None].to(tl.int64) * SIZE + at[None, :]
        some = filled[:, None] & inside[None, :]
        block = tl.load(keys + index, mask=some, other=0.0)
        scores = tl.dot(q, tl.trans(block)) * scale
        scores = tl.where(filled[None, :], scores, -float("inf"))
        higher = tl.maximum(best, tl.max(scores, 1))
        weights, fade = tl.exp(scores - higher[:, None]), tl.exp(best - higher)
        block = tl.load(values + index, mask=some, other=0.0)
        mixed = mixed * fade[:, None] + tl.dot(weights.to(block.dtype), block)
        total, best = total * fade + tl.sum(weights, 1), higher
    mixed = mixed / total[:, None]
    target = found + (row * tl.num_programs(1) * HEADS + heads[:, None]) * SIZE + at[None, :]
    tl.store(target, mixed.to(found.dtype.element_ty), mask=mine)
