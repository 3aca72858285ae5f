"""Matrix products of a model that only reads and writes texts, on a CPU: by oneDNN.

PyTorch gives products in float32 to MKL. MKL lays the weights out anew in every call, which takes as long as the product itself
where a batch has few rows. oneDNN takes weights that were laid out once.

It also sums a row in the same order whatever other rows stand beside it, and however many threads there are. MKL does not. A
row alone would be the exception, so it is multiplied twice.
"""

import platform
from functools import partial

import torch
from torch.nn import Linear
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

ROWS = 96  # of the batches that weights are laid out for; it changes the speed alone
_OPERATORS = ("_reorder_linear_weight", "_linear_pointwise")  # what compiled models call for the same purpose


def lay_out(model: PreTrainedModel) -> PreTrainedModel:
    """The same model with weights laid out for oneDNN, in the place of the old ones. It cannot be trained or saved any more.

    It is left as it is on a GPU, in half precision, and where PyTorch has no oneDNN for the processor. So is a model with
    states that run along a line: it reads its weights by itself.
    """
    if model.device.type == "cpu" and available() and not model._is_stateful:
        for module in model.modules():
            if type(module) in (Linear, Conv1D) and module.weight.dtype is torch.float32:
                _lay_out(module)
    return model


def available() -> bool:
    """Whether PyTorch has oneDNN's products for this processor."""
    here = platform.machine().lower() in ("x86_64", "amd64") and torch.backends.mkldnn.is_available()
    return here and all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS)


@torch.no_grad()
def _lay_out(module: Linear | Conv1D) -> None:
    """Replace the weights of one module. GPT-2's Conv1D keeps them as [in, out]."""
    weight = module.weight.T.contiguous() if isinstance(module, Conv1D) else module.weight.detach()
    del module.weight
    module.weight = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
    module.forward = partial(product, module.weight, module.bias)


def product(weight: torch.Tensor, bias: torch.Tensor | None, states: torch.Tensor) -> torch.Tensor:
    """States [..., in] times laid out weights [out, in], plus a bias [out]."""
    if states.dim() > 1 and states.numel() == states.shape[-1]:
        return product(weight, bias, torch.cat([states, states]))[:1]
    return torch.ops.mkldnn._linear_pointwise(states, weight, bias, "none", [], "")
