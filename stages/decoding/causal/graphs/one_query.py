"""Attention of one new token a row to the stored keys and values of that row: a Triton kernel.

Flash attention's own kernels are made for many queries. With one query a row they take as long as the rest of a step of GPT-2
medium. This kernel reads the keys and values of a row once, adds the new ones to them, and keeps a running softmax
(arXiv 2205.14135). Sums are in a fixed order, so that the bytes are the same every time. Triton comes with PyTorch's builds for
GPUs.
"""

import torch
import triton
import triton.language as tl

from stages.decoding.causal.graphs.heads import flags, read
from stages.decoding.causal.graphs.turn import Turn


def attend(
    heads: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    kept: torch.Tensor,
    places: torch.Tensor,
    scale: float | None,
    window: int | None,
    turn: Turn | None = None,
) -> torch.Tensor:
    """Attention [B, H, D]. The new keys and values are stored with those of the earlier tokens.

    Args:
        heads: of the new tokens: the query [B, H, D], where H is a multiple of G, the key and the value [B, G, D]. The last
            dimension is contiguous.
        kept: the stored keys and values of the rows, [2, B, G, columns, D] and contiguous.
        places: [B], how many columns of each row are filled. The new keys and values go to the next one.
        scale: of the scores; None: 1 / sqrt(D).
        window: how many tokens are seen, the new one counted; None: all.
        turn: how query and key are changed first; None: not at all.
    """
    query, key, value = heads
    (rows, count, size), (groups, columns) = query.shape, kept.shape[2:4]
    mixed = query.new_empty(query.shape)
    arguments, options = flags(turn, query)
    _kernel[(rows, groups)](
        *(query, key, value, *kept, places, mixed, *arguments),
        *(query.stride(0), query.stride(1), key.stride(0), key.stride(1), value.stride(0), value.stride(1)),
        *(columns, window or 0, size**-0.5 if scale is None else scale),
        HEADS=count // groups,
        LINES=max(16, triton.next_power_of_2(count // groups)),  # the least that a matrix product takes
        SIZE=size,
        WIDE=max(16, triton.next_power_of_2(size)),
        BLOCK=64,
        **options,
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
    cos,
    sin,
    query_norm,
    key_norm,
    eps,
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
    TURN: tl.constexpr,
    NORM: tl.constexpr,
):
    """One program for a row and the heads of `query` that share a head of `key`.

    The rows of a batch are sorted by length. The last ones take longest, and begin first.
    """
    row, group = (tl.num_programs(0) - 1 - tl.program_id(0)).to(tl.int64), tl.program_id(1)
    place = tl.load(places + row).to(tl.int32)
    at, line = tl.arange(0, WIDE), tl.arange(0, LINES)
    inside = (at < SIZE)[None, :]
    heads, mine = group * HEADS + line[:, None], (line < HEADS)[:, None] & inside
    cos_here, sin_here = cos + place.to(tl.int64) * SIZE, sin + place.to(tl.int64) * SIZE
    query_at = query + row * query_row + heads * query_head
    q = read(query_at, at, mine, cos_here, sin_here, query_norm, eps, SIZE, TURN, NORM)
    nothing = tl.zeros([1, 1], tl.int32)
    key_at = key + row * key_row + group * key_head + nothing
    k = read(key_at, at, inside, cos_here, sin_here, key_norm, eps, SIZE, TURN, NORM)
    v = tl.load(value + row * value_row + group * value_head + at[None, :], mask=inside, other=0.0)
    offset = (row * tl.num_programs(1) + group) * columns * SIZE
    new = offset + place.to(tl.int64) * SIZE + at[None, :]
    tl.store(keys + new, k, mask=inside)
    tl.store(values + new, v, mask=inside)
    best = tl.sum(q.to(tl.float32) * k.to(tl.float32), 1) * scale  # the new token's own score
    total = tl.full([LINES], 1.0, tl.float32)
    mixed = tl.zeros([LINES, WIDE], tl.float32) + v.to(tl.float32)
    first = tl.where(window > 0, tl.maximum(place + 1 - window, 0), 0)
    for start in range(first, place, BLOCK):
        column = start + tl.arange(0, BLOCK)
        filled = column < place
        index = offset + column[:, None].to(tl.int64) * SIZE + at[None, :]
        some = filled[:, None] & inside
        block = tl.load(keys + index, mask=some, other=0.0)
        scores = tl.dot(q, tl.trans(block)) * scale
        scores = tl.where(filled[None, :], scores, -float("inf"))
        higher = tl.maximum(best, tl.max(scores, 1))
        weights, fade = tl.exp(scores - higher[:, None]), tl.exp(best - higher)
        block = tl.load(values + index, mask=some, other=0.0)
        mixed = mixed * fade[:, None] + tl.dot(weights.to(block.dtype), block)
        total, best = total * fade + tl.sum(weights, 1), higher
    mixed = mixed / total[:, None]
    target_at = target + (row * tl.num_programs(1) * HEADS + heads) * SIZE + at[None, :]
    tl.store(target_at, mixed.to(target.dtype.element_ty), mask=mine)
