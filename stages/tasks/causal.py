"""The task of a causal language model: to continue a prompt with the answer. Nothing is learned from prompts and padding."""

from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from stages.models import attention, runtime
from stages.tasks.batches import Batch, Example, collate, micro_batches


@dataclass(frozen=True)
class Causal:
    """
    Args:
        micro_tokens: of a micro-batch, padding counted.
        layout: of a batch: `padded`, or `packed` into one line.
        pad_token_id: what padding is made of.
    """

    micro_tokens: int
    layout: str
    pad_token_id: int

    def groups(self, examples: list[Example]) -> list[list[Example]]:
        """Micro-batches of examples, in their order."""
        return list(micro_batches(examples, self.micro_tokens, self.layout != "padded"))

    def collate(self, group: list[Example]) -> Batch:
        """Tensors of a micro-batch."""
        return collate(group, self.layout, self.pad_token_id)

    def forward(self, model: PreTrainedModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Negative log-likelihood in nats [n] and whether the best token was the right one [n], for every target token."""
        logits = model(**batch.inputs, use_cache=False).logits
        logits = logits[0] if batch.take is None else logits[batch.take]
        loss = cross_entropy(logits.float(), batch.targets, reduction="none")
        return loss, logits.detach().argmax(-1) == batch.targets

    def weight(self, examples: list[Example]) -> float:
        """Tokens of the answers."""
        return sum(example.targets for example in examples)


def task(model: PreTrainedModel, micro_tokens: int, packing: bool = True, dtype: torch.dtype = torch.float32) -> Causal:
    """The task, and `model` made ready for it: rows packed where it can be, and numbers as narrow as `dtype` between blocks."""
    packed = packing and attention.can_pack(model)
    if packed:
        model.set_attn_implementation(attention.NAME)
    if dtype is not torch.float32:
        runtime.narrow_stream(runtime.blocks(model), dtype)
    runtime.widen_head(model)
    return Causal(micro_tokens, "packed" if packed else "padded", model.config.pad_token_id or 0)
