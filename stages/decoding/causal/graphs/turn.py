"""How queries and keys are changed before attention: the norm of a head (Qwen3, arXiv 2505.09388) and rotary embedding."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Turn:
    """Rotary embedding (arXiv 2104.09864) by a table, and an RMS norm of every head before that.

    Args:
        cos, sin: [places, D] and contiguous.
        query_norm, key_norm: weights [D] of the norms; None: there are none.
        eps: what is added to a mean square.
    """

    cos: torch.Tensor
    sin: torch.Tensor
    query_norm: torch.Tensor | None
    key_norm: torch.Tensor | None
    eps: float
