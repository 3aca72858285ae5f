"""Heads of queries, keys and values on their way into attention: Triton kernels.

A kernel reads the heads of a token from the product that made them, and turns them on the way. Every step rounds as
transformers' own code does, so that the answers are the same.
"""

import torch
import triton
import triton.language as tl

from stages.decoding.causal.graphs.turn import Turn


def flags(turn: Turn | None, anything: torch.Tensor) -> tuple[tuple, dict[str, bool]]:
    """A kernel's arguments for a turn, and what it is compiled for. `anything` stands for what is not read."""
    if turn is None:
        return (anything,) * 4 + (0.0,), {"TURN": False, "NORM": False}
    norms = (anything, anything) if turn.query_norm is None else (turn.query_norm, turn.key_norm)
    return (turn.cos, turn.sin, *norms, turn.eps), {"TURN": True, "NORM": turn.query_norm is not None}


def store(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    kept: torch.Tensor,
    rows: torch.Tensor,
    places: torch.Tensor,
    turn: Turn | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Store the keys and values of tokens. Returns the queries and keys as attention reads them.

    Args:
        query: [tokens, H, D]; the last dimension is contiguous, here and below.
        key, value: [tokens, G, D].
        kept: the keys and values of rows, [2, B, G, columns, D] and contiguous.
        rows, places: [tokens], the row of each token and its column there.
        turn: how queries and keys are changed; None: not at all.
    """
    (tokens, heads, size), groups = query.shape, key.shape[1]
    turned = (query.new_empty(query.shape), key.new_empty(key.shape)) if turn else (query, key)
    arguments, options = flags(turn, query)
    _store[(tokens,)](
        *(query, key, value, *kept, *turned, rows, places, *arguments),
        *(query.stride(0), query.stride(1), key.stride(0), key.stride(1), value.stride(0), value.stride(1), kept.shape[3]),
        HEADS=heads,
        LINES=triton.next_power_of_2(heads),
        GROUPS=groups,
        SHARED=triton.next_power_of_2(groups),
        SIZE=size,
        WIDE=triton.next_power_of_2(size),
        **options,
    )
    return turned


@triton.jit
def _rounded(a, b):
    """A product that is rounded to the type of its first factor, and can be added without being fused."""
    return (a.to(tl.float32) * b.to(tl.float32)).to(a.dtype).to(tl.float32)


@triton.jit
def read(source, at, mine, cos, sin, weight, eps, SIZE: tl.constexpr, TURN: tl.constexpr, NORM: tl.constexpr):
    """Heads [lines, WIDE] of a token: `source` [lines, 1] is where each begins, `cos` and `sin` those of its place."""
    heads = tl.load(source + at[None, :], mask=mine, other=0.0)
    if TURN:
        inside = at < SIZE
        across = tl.where(at < SIZE // 2, at + SIZE // 2, at - SIZE // 2)  # the other number of the pair that is turned
        others = tl.load(source + across[None, :], mask=mine, other=0.0)
        if NORM:
            wide = heads.to(tl.float32)
            scale = tl.rsqrt(tl.sum(wide * wide, 1) / SIZE + eps)[:, None]
            heads = (wide * scale).to(heads.dtype)
            heads = _rounded(heads, tl.load(weight + at, mask=inside, other=0.0)[None, :]).to(heads.dtype)
            others = (others.to(tl.float32) * scale).to(heads.dtype)
            others = _rounded(others, tl.load(weight + across, mask=inside, other=0.0)[None, :]).to(heads.dtype)
        ahead = _rounded(heads, tl.load(cos + at, mask=inside, other=0.0)[None, :])
        aside = _rounded(others, tl.load(sin + at, mask=inside, other=0.0)[None, :])
        heads = (ahead + tl.where((at < SIZE // 2)[None, :], -aside, aside)).to(heads.dtype)
    return heads


@triton.jit(do_not_specialize=["columns"])
def _store(
    query,
    key,
    value,
    keys,
    values,
    turned_query,
    turned_key,
    rows,
    places,
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
    HEADS: tl.constexpr,
    LINES: tl.constexpr,
    GROUPS: tl.constexpr,
    SHARED: tl.constexpr,
    SIZE: tl.constexpr,
    WIDE: tl.constexpr,
    TURN: tl.constexpr,
    NORM: tl.constexpr,
):
    """One program for a token."""
    token = tl.program_id(0).to(tl.int64)
    row, place = tl.load(rows + token).to(tl.int64), tl.load(places + token).to(tl.int64)
    at, group = tl.arange(0, WIDE), tl.arange(0, SHARED)
    inside = (group < GROUPS)[:, None] & (at < SIZE)[None, :]
    cos_here, sin_here = cos + place * SIZE, sin + place * SIZE
    key_at = key + token * key_row + group[:, None] * key_head
    k = read(key_at, at, inside, cos_here, sin_here, key_norm, eps, SIZE, TURN, NORM)
    v = tl.load(value + token * value_row + group[:, None] * value_head + at[None, :], mask=inside, other=0.0)
    target = ((row * GROUPS + group[:, None]) * columns + place) * SIZE + at[None, :]
    tl.store(keys + target, k, mask=inside)
    tl.store(values + target, v, mask=inside)
    if TURN:
        tl.store(turned_key + (token * GROUPS + group[:, None]) * SIZE + at[None, :], k, mask=inside)
        head = tl.arange(0, LINES)
        mine = (head < HEADS)[:, None] & (at < SIZE)[None, :]
        query_at = query + token * query_row + head[:, None] * query_head
        q = read(query_at, at, mine, cos_here, sin_here, query_norm, eps, SIZE, TURN, NORM)
        tl.store(turned_query + (token * HEADS + head[:, None]) * SIZE + at[None, :], q, mask=mine)
