"""The task of a causal language model: to continue a prompt with the answer. Nothing is learned from prompts and padding."""

from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from stages.training.batches import Batch, Example, collate, micro_batches


@dataclass(frozen=True)
class Causal:
    """
    Args:
        micro_tokens: of a micro-batch, padding counted.
        layout: of a batch: `padded`, `packed` (one line, dense mask) or `ragged` (one line, gpu.packed_rows).
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
