"""The forward pass of Llama's kind of model in few kernels: for a step of decoding, launching takes longer than computing.

transformers launches some 25 kernels a block. Here it is 8: the products of queries, keys and values are one, so are those of
gate and up, and what lies between the products takes a kernel each. Weights, rotary embedding and head are the model's own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from stages.decoding.causal.graphs import kernels
from stages.decoding.causal.graphs.turn import Turn

# The classes whose blocks are Llama's, and how many tokens an attention of theirs sees (None: all).
WINDOWS: dict[str, Callable[[nn.Module], int | None]] = {
    "LlamaForCausalLM": lambda attention: None,
    "MistralForCausalLM": lambda attention: attention.config.sliding_window,
    "Qwen2ForCausalLM": lambda attention: attention.sliding_window,
    "Qwen3ForCausalLM": lambda attention: attention.sliding_window,
}
Product = tuple[torch.Tensor, torch.Tensor | None]  # weight [out, in] and bias [out]


class Attend(Protocol):
    """Attention [tokens, H, D] of block `layer` to `heads`: queries [tokens, H, D], keys and values [tokens, G, D]."""

    def __call__(self, layer: int, heads: tuple, scale: float, window: int | None, turn: Turn) -> torch.Tensor: ...


@dataclass(frozen=True)
class Block:
    """The weights of a block, and what its attention is."""

    attention_norm: torch.Tensor
    heads: Product  # queries, keys and values
    mixed: Product
    inner_norm: torch.Tensor
    pair: Product  # gate and up
    down: Product
    head_norms: tuple[torch.Tensor, torch.Tensor] | tuple[None, None]
    size: int  # of a head
    scale: float
    window: int | None


class Llama:
    """A model by its weights alone. They are the model's own: nothing is held twice."""

    def __init__(self, model: PreTrainedModel):
        self.base, self.head, self.eps = model.model, model.lm_head, model.config.rms_norm_eps
        window = WINDOWS[type(model).__name__]
        self.blocks = [_block(layer, window(layer.self_attn)) for layer in self.base.layers]

    def turns(self, columns: int) -> list[Turn]:
        """How each block turns queries and keys at places 0 to `columns`, by the model's own rotary embedding."""
        like = self.base.norm.weight
        places = torch.arange(columns, device=like.device)[None]
        cos, sin = (part[0].contiguous() for part in self.base.rotary_emb(like, position_ids=places))
        return [Turn(cos, sin, *block.head_norms, self.eps) for block in self.blocks]

    def logits(self, ids: torch.Tensor, keep: torch.Tensor | None, attend: Attend, turns: list[Turn]) -> torch.Tensor:
        """Logits [kept, V] after tokens `ids` [tokens]; `keep`: which of them count, None: all."""
        stream, added = self.base.embed_tokens(ids), None
        for layer, (block, turn) in enumerate(zip(self.blocks, turns, strict=True)):
            normed = kernels.norm(stream, added, block.attention_norm, self.eps)
            heads = linear(normed, *block.heads).view(len(ids), -1, block.size)
            count = block.mixed[0].shape[1] // block.size
            shared = (heads.shape[1] - count) // 2
            mixed = attend(layer, heads.split([count, shared, shared], 1), block.scale, block.window, turn)
            normed = kernels.norm(stream, linear(mixed.flatten(1), *block.mixed), block.inner_norm, self.eps)
            added = linear(kernels.gate(linear(normed, *block.pair)), *block.down)
        if keep is not None:
            stream, added = stream[keep], added[keep]
        return self.head(kernels.norm(stream, added, self.base.norm.weight, self.eps))


def _block(layer: nn.Module, window: int | None) -> Block:
    attention, inner = layer.self_attn, layer.mlp
    norms = (attention.q_norm.weight, attention.k_norm.weight) if hasattr(attention, "q_norm") else (None, None)
    return Block(
        attention_norm=layer.input_layernorm.weight,
        heads=_joined(attention.q_proj, attention.k_proj, attention.v_proj),
        mixed=(attention.o_proj.weight, attention.o_proj.bias),
        inner_norm=layer.post_attention_layernorm.weight,
        pair=_joined(inner.gate_proj, inner.up_proj),
        down=(inner.down_proj.weight, inner.down_proj.bias),
        head_norms=norms,
        size=attention.head_dim,
        scale=attention.scaling,
        window=window,
    )


def _joined(*modules: nn.Linear) -> Product:
    """Several products of the same lines as one. The modules' weights become parts of it, so that nothing is held twice."""
    return _one([module.weight for module in modules]), None if modules[0].bias is None else _one([m.bias for m in modules])


@torch.inference_mode(False)
@torch.no_grad()
def _one(parameters: list[nn.Parameter]) -> torch.Tensor:
    """Parameters as one tensor, the first below the second and so on. They are parts of it afterwards."""
    sizes = [len(parameter) for parameter in parameters]
    ends = [(parameter.untyped_storage().data_ptr(), parameter.data_ptr() + parameter.nbytes) for parameter in parameters]
    starts = [(parameter.untyped_storage().data_ptr(), parameter.data_ptr()) for parameter in parameters]
    if ends[:-1] != starts[1:]:
        joined = torch.cat([parameter.data for parameter in parameters])
        for parameter, part in zip(parameters, joined.split(sizes), strict=True):
            parameter.data = part
    first = parameters[0].data
    return first.as_strided((sum(sizes), *first.shape[1:]), first.stride())


def is_llama(model: PreTrainedModel) -> bool:
    """Whether a model is nothing but Llama's blocks: no adapter, no quantized product, no part that someone replaced."""
    kind = type(model)
    if kind.__name__ not in WINDOWS or not kind.__module__.startswith("transformers.models."):
        return False
    layers = model.model.layers
    plain = {nn.Embedding, nn.Linear, nn.ModuleList, nn.SiLU, type(layers[0].mlp.act_fn)}
    parts = [module for module in model.modules() if module is not model.lm_head]
    return (
        model.config.hidden_act == "silu"
        and all(type(part) in plain or type(part).__module__ == kind.__module__ for part in parts)
        and not any("forward" in vars(part) or part._forward_hooks or part._forward_pre_hooks for part in parts)
        and len({(parameter.dtype, parameter.device) for parameter in model.parameters()}) == 1
        and 2 * len(model.model.rotary_emb.inv_freq) == layers[0].self_attn.head_dim
    )
