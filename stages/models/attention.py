"""Attention over rows that lie end to end in one line, each seeing itself alone: no padding, and no mask of a whole line.

On a GPU that computes in half precision it is PyTorch's variable-length kernel of flash attention (arXiv 2205.14135). That
kernel has no dropout. Elsewhere, and where a model has dropout inside attention, the rows are taken one by one. transformers
calls `packed_rows` like any attention of its own.
"""

import inspect
from functools import partial

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "packed_rows"
HALF = (torch.bfloat16, torch.float16)


def has_flash(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the variable-length kernel runs: half precision on a GPU of compute capability 8.0."""
    return dtype in HALF and device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def packed_rows(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    headed: bool = False,
    s_aux: torch.Tensor | None = None,
    **_,
) -> tuple[torch.Tensor, None]:
    """Attention [1, T, H, D] of `query` [1, H, T, D] to `key` and `value` [1, H or fewer, T, D]. Rows begin at
    `cu_seq_lens_q` [rows + 1]. Where they are `headed`, the first stands before each of the others.

    Raises:
        ValueError: if the model has sinks `s_aux` (gpt-oss), or does not say where rows begin.
    """
    if s_aux is not None or cu_seq_lens_q is None:
        raise ValueError("attention with sinks, or without the beginnings of rows")
    parts = [part.to(value.dtype) for part in (query, key, value)]
    options = {"scale": scaling, "window": sliding_window}
    if has_flash(value.device, value.dtype) and not dropout and not headed:
        return flash(*(part[0].transpose(0, 1) for part in parts), cu_seq_lens_q, max_length_q, **options)[None], None
    attend = partial(after_head, **options) if headed else partial(one_by_one, dropout=dropout, **options)
    if value.device.type == "cpu" and value.dtype in HALF:  # its kernel goes back four times as fast in float32
        with torch.autocast("cpu", enabled=False):
            return attend(*(part.float() for part in parts), cu_seq_lens_q).transpose(1, 2).to(value.dtype), None
    return attend(*parts, cu_seq_lens_q).transpose(1, 2), None


AttentionInterface.register(NAME, packed_rows)


def flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    ends: torch.Tensor,
    longest: int,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    """Rows [T, H, D] that begin at `ends`, none over `longest`, by the kernel. A token sees `window` tokens, or all."""
    from torch.nn.attention.varlen import varlen_attn

    # before PyTorch 2.13 the kernel has no such option: it sees by itself that several heads of `query` share one of `key`
    shared = query.shape[1] != key.shape[1] and "enable_gqa" in inspect.signature(varlen_attn).parameters
    options = {"scale": scale, "window_size": (window - 1 if window else -1, 0)} | ({"enable_gqa": True} if shared else {})
    return varlen_attn(query, key, value, ends, ends, longest, longest, **options)


@torch.compiler.disable
def one_by_one(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    ends: torch.Tensor,
    dropout: float,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    """Rows [1, H, T, D] that begin at `ends`, by PyTorch's own attention to one row after the other."""
    sizes = ends.diff().tolist()
    options = {"dropout_p": dropout, "scale": scale, "enable_gqa": query.shape[1] != key.shape[1]}
    mixed = []
    for size, *row in zip(sizes, *(part.split(sizes, 2) for part in (query, key, value)), strict=True):
        cut = _window(size, window, query.device) if window and size > window else None
        mixed.append(scaled_dot_product_attention(*row, attn_mask=cut, is_causal=cut is None, **options))
    return torch.cat(mixed, 2)


def after_head(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    ends: torch.Tensor,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    """Rows [1, H, T, D] that begin at `ends`. The first is the head of all others, and each of these sees it."""
    sizes = ends.diff().tolist()
    first, mixed = sizes[0], []
    for size, asking, *seen in zip(sizes, *(part.split(sizes, 2) for part in (query, key, value)), strict=True):
        if mixed:
            seen = [torch.cat([part[:, :, :first], own], 2) for part, own in zip((key, value), seen, strict=True)]
        places = seen[0].shape[2]
        mask = _window(places, window or places, query.device)[-size:]
        options = {"attn_mask": mask, "scale": scale, "enable_gqa": query.shape[1] != key.shape[1]}
        mixed.append(scaled_dot_product_attention(asking, *seen, **options))
    return torch.cat(mixed, 2)


def _window(size: int, window: int, device: torch.device) -> torch.Tensor:
    """What a token of a row sees [size, size]: itself and those before it, `window` in all."""
    seen = torch.ones(size, size, dtype=torch.bool, device=device)
    return seen.tril() & seen.triu(1 - window)
