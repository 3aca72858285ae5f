"""Root mean square norms (arXiv 1910.07467) for training on a CPU: one function forward and one back.

transformers writes such a norm as six operations. Each reads and writes all states, and so does its share of the backward pass:
4 to 5 % of the processor time of a training step of SmolLM2-135M in bf16.
"""

from functools import partial

import torch
from torch import nn
from torch.autograd import Function

NEAR = 1e-5  # in float32


def combine(model: nn.Module) -> int:
    """Let norms of a model on a CPU be computed at once where that gives the same numbers. Returns how many.

    Each is tried: families write norms in their own ways, Gemma with 1 + weight.
    """
    if model.device.type != "cpu":
        return 0
    norms = [module for module in model.modules() if _is_plain(module)]
    for norm in norms:
        norm.forward = partial(_forward, norm)
    return len(norms)


@torch.no_grad()
def _is_plain(module: nn.Module) -> bool:
    """Whether a module is `weight · x / √(mean x² + ε)`, over the last dimension alone."""
    if not type(module).__name__.endswith("RMSNorm") or not hasattr(module, "variance_epsilon"):
        return False
    states = torch.linspace(-2, 3, 3 * module.weight.numel()).view(1, 3, -1)
    return torch.allclose(module(states).float(), _forward(module, states), atol=NEAR, rtol=NEAR)


def _forward(norm: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """`states` [..., H] over their root mean square, times the norm's weight, in the dtype of `states`."""
    return _Norm.apply(states, norm.weight, norm.variance_epsilon)


class _Norm(Function):
    @staticmethod
    def forward(ctx, states: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        wide = states.to(torch.float32, copy=True)
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale = length.square_().div_(states.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(states, weight, scale)
        return wide.mul_(scale).mul_(weight).to(states.dtype)

    @staticmethod
    def backward(ctx, gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        states, weight, scale = ctx.saved_tensors
        normed, wide = states.float() * scale, gradients.to(torch.float32, copy=True)
        of_weight = (wide * normed).flatten(0, -2).sum(0).to(weight.dtype) if ctx.needs_input_grad[1] else None
        wide.mul_(weight)
        along = torch.linalg.vecdot(wide, normed)[..., None].div_(states.shape[-1])
        return wide.sub_(normed.mul_(along)).mul_(scale).to(states.dtype), of_weight, None
