"""Attention of one new token a row to the stored keys and values of that row: a Triton kernel.

Flash attention's own kernels are made for many queries. With one query a row they take as long as the rest of a step of GPT-2
medium. This kernel reads the keys and values of a row once, adds the new ones to them, and keeps a running softmax
(arXiv 2205.14135). Sums are in a fixed order, so that the bytes are the same every time. Triton comes with PyTorch's builds for
GPUs.
"""

import torch
import triton
import triton.language as tl


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    keys_values: tuple[torch.Tensor, torch.Tensor],
    places: torch.Tensor,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    """Attention [B, H, D]. `key` and `value` are stored with those of the earlier tokens.

    Args:
        query: [B, H, D]; H is a multiple of G. The last dimension is contiguous.
        key, value: of the new tokens, [B, G, D]. The last dimension is contiguous.
        keys_values: the stored keys and values of the rows, both [B, G, columns, D] and contiguous.
        places: [B], how many columns of each row are filled. The new keys and values go to the next one.
        scale: of the scores; None: 1 / sqrt(D).
        window: how many tokens are seen, the new one counted; None: all.
    """
    rows, heads, size = query.shape
    groups, columns = keys_values[0].shape[1:3]
    mixed = torch.empty_like(query, memory_format=torch.contiguous_format)
    _kernel[(rows, groups)](
        *(query, key, value, *keys_values, places, mixed),
        *(query.stride(0), query.stride(1), key.stride(0), key.stride(1), value.stride(0), value.stride(1)),
        *(columns, window or 0, size**-0.5 if scale is None else scale),
        HEADS=heads // groups,
        LINES=max(16, triton.next_power_of_2(heads // groups)),  # the least that a matrix product takes
        SIZE=size,
        WIDE=max(16, triton.next_power_of_2(size)),
        BLOCK=64,
    )
    return mixed


@triton.jit(do_not_specialize=["columns", "window"])
def _kernel(
    query,
    key,
    value,
    keys,
    values,
    places,
    target,
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
    offset = (row * tl.num_programs(1) + group) * columns * SIZE
    tl.store(keys + offset + place.to(tl.int64) * SIZE + at, k, mask=inside)
    tl.store(values + offset + place.to(tl.int64) * SIZE + at, v, mask=inside)
    best = tl.sum(q.to(tl.float32) * k.to(tl.float32)[None, :], 1) * scale  # the new token's own score
    total = tl.full([LINES], 1.0, tl.float32)
    mixed = tl.zeros([LINES, WIDE], tl.float32) + v.to(tl.float32)[None, :]
    first = tl.where(window > 0, tl.maximum(place + 1 - window, 0), 0)
    for start in range(first, place, BLOCK):
        column = start + tl.arange(0, BLOCK)
        filled = column < place
        index = offset + column[:, None].to(tl.int64) * SIZE + at[None, :]
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
    target_at = target + (row * tl.num_programs(1) * HEADS + heads[:, None]) * SIZE + at[None, :]
    tl.store(target_at, mixed.to(target.dtype.element_ty), mask=mine)
