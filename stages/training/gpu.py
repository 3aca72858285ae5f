"""What makes training fast on a GPU and changes nothing else: attention over packed rows, and an output matrix of even width.

Attention: PyTorch's variable-length kernel lets each row see itself alone, and no mask is ever made. transformers calls it
like any other. It is flash attention (arXiv 2205.14135), needs a GPU that computes in bf16, and has no dropout; where it
cannot run, packed rows get a dense mask and PyTorch's own attention.

Output matrix: a vocabulary of 50,257 gives logits whose rows begin at odd addresses, for which a GPU has slow matrix
products only (a tenth of a step of GPT-2 medium). Padded to a multiple of 64 and cut again, the same logits take the fast ones.
"""

from functools import partial

import torch
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

from stages.models import runtime
from stages.training.tune import blocks

NAME = "packed_rows"


def packed_rows(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **_,
) -> tuple[torch.Tensor, None]:
    """`query` [1, H, T, D], `key` and `value` [1, H or fewer, T, D]; rows begin at `cu_seq_lens_q` [rows + 1]. [1, T, H, D]."""
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (part[0].transpose(0, 1).to(value.dtype) for part in (query, key, value))
    window = (sliding_window - 1 if sliding_window else -1, 0)
    ends, longest = cu_seq_lens_q, max_length_q
    found = varlen_attn(q, k, v, ends, ends, longest, longest, scale=scaling, window_size=window, **runtime.grouped(q, k))
    return found[None], None


AttentionInterface.register(NAME, packed_rows)


def can_pack(model: PreTrainedModel, dtype: torch.dtype, dropout: str | float) -> bool:
    """Whether the kernel computes what the model means, which is no dropout inside attention."""
    config = model.config.get_text_config()
    own = max(getattr(config, name, None) or 0.0 for name in ("attention_dropout", "attn_pdrop"))
    return runtime.has_flash(model, dtype) and not (own if dropout == "own" else dropout)


def stream_in(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Let what goes from block to block be of `dtype`, as it is where weights are; autocast alone would carry float32 there,
    half of what norms read and write."""

    def cast(_, arguments: tuple) -> tuple:
        return (arguments[0].to(dtype), *arguments[1:])

    blocks(model)[0].register_forward_pre_hook(cast)


def widen_head(model: PreTrainedModel) -> None:
    """Make logits in rows of a multiple of 64, of which a view of the vocabulary's own width is returned."""
    head = model.get_output_embeddings()
    missing = -head.weight.shape[0] % 64
    if missing and model.device.type == "cuda" and head.bias is None:
        head.forward = partial(_wide, head, missing)


def _wide(head: torch.nn.Linear, missing: int, hidden: torch.Tensor) -> torch.Tensor:
    return functional.linear(hidden, functional.pad(head.weight, (0, 0, 0, missing)))[..., : head.weight.shape[0]]
