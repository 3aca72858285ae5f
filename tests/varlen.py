"""Kernels that need a GPU, row by row in plain words: what they are replaced by here, and compared with where there is one."""

import torch
from torch.nn.attention import varlen
from torch.nn.functional import scaled_dot_product_attention, silu


def attend(query, key, value, ends_q, ends_k, _, __, *, scale=None, window_size=(-1, -1), enable_gqa=False):
    """`query` [T, H, D], `key` and `value` [T, H or fewer, D]. A row's last query stands beside its last key, as in flash
    attention; a query sees keys from `window_size[0]` places before it (-1: all) to `window_size[1]` after it."""
    assert enable_gqa == (query.shape[1] != key.shape[1])
    out = torch.empty_like(query)
    rows = zip(*(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True) for ends in (ends_q, ends_k)), strict=True)
    for (first, last), (from_key, to_key) in rows:
        places = torch.arange(last - first)[:, None] + (to_key - from_key) - (last - first)
        keys, (left, right) = torch.arange(to_key - from_key)[None], window_size
        seen = (keys <= places + right if right >= 0 else keys >= 0) & (keys >= places - left if left >= 0 else keys >= 0)
        q, k, v = (part.transpose(0, 1) for part in (query[first:last], key[from_key:to_key], value[from_key:to_key]))
        out[first:last] = scaled_dot_product_attention(q, k, v, seen, scale=scale, enable_gqa=enable_gqa).transpose(0, 1)
    return out


def traceable(query, key, value, ends, _, __, ___, *, scale=None, window_size=(-1, -1), enable_gqa=False):
    """The same for a row's past alone, without a loop over rows: what torch.compile can look through."""
    places = torch.arange(query.shape[0])
    owner = torch.bucketize(places, ends[1:], right=True)
    seen = (owner[:, None] == owner[None]) & (places[None] <= places[:, None])
    parts = (part.transpose(0, 1)[None] for part in (query, key, value))
    return scaled_dot_product_attention(*parts, seen, scale=scale, enable_gqa=enable_gqa)[0].transpose(0, 1)


def _turned(heads, norm, turn, places):
    """Heads [tokens, H, D] as transformers' Qwen3 has them: with the norm of a head where there is one, and turned."""
    if norm is not None:
        heads = norm * (heads.float() * torch.rsqrt(heads.float().pow(2).mean(-1, keepdim=True) + turn.eps)).to(heads.dtype)
    first, second = heads.chunk(2, -1)
    return heads * turn.cos[places][:, None] + torch.cat([-second, first], -1) * turn.sin[places][:, None]


def store(query, key, value, kept, rows, places, turn):
    """kernels.store: keys and values [tokens, G, D] go to their places in [2, B, G, columns, D]."""
    if turn:
        query, key = _turned(query, turn.query_norm, turn, places), _turned(key, turn.key_norm, turn, places)
    kept[0][rows, :, places], kept[1][rows, :, places] = key, value
    return query, key


def attend_once(heads, kept, places, scale, window, turn=None):
    """kernels.attend: one token a row, [B, H, D], to its own keys and values and those kept [2, B, G, columns, D]."""
    rows = torch.arange(len(places), device=places.device)
    query, key = store(*heads, kept, rows, places, turn)
    (keys, values), attended = kept, []
    for row, place in enumerate(places.tolist()):
        first = max(0, place + 1 - window) if window else 0
        parts = query[row][:, None], keys[row, :, first : place + 1], values[row, :, first : place + 1]
        attended.append(scaled_dot_product_attention(*parts, scale=scale, enable_gqa=query.shape[1] != key.shape[1])[:, 0])
    return torch.stack(attended)


def norm(stream, added, weight, eps):
    """kernels.norm: as transformers' LlamaRMSNorm, after an addition in place."""
    if added is not None:
        stream += added
    return weight * (stream.float() * torch.rsqrt(stream.float().pow(2).mean(-1, keepdim=True) + eps)).to(stream.dtype)


def gate(pair):
    """kernels.gate: SiLU of one half times the other half."""
    first, second = pair.chunk(2, -1)
    return silu(first) * second


def instead_of_kernels(monkeypatch) -> None:
    """Let everything that calls a kernel call the same in plain words."""
    from stages.decoding.causal.graphs import kernels

    monkeypatch.setattr(varlen, "varlen_attn", attend)
    for name, function in {"attend": attend_once, "gate": gate, "norm": norm, "store": store}.items():
        monkeypatch.setattr(kernels, name, function, raising=False)
