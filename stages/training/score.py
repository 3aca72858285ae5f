"""How likely a model finds answers it did not write: the loss of training, of validation and of the judge alike."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from stages.training.batches import Batch, Example, collate, micro_batches


@dataclass(frozen=True)
class Score:
    """Of one answer: summed negative log-likelihood in nats, its tokens (end token included), tokens predicted right."""

    nll: float
    tokens: int
    correct: int


def forward(model: PreTrainedModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-likelihood in nats [n] and whether the best token was the right one [n], for every target token."""
    logits = model(**batch.inputs, use_cache=False).logits[batch.take]
    loss = cross_entropy(logits.float(), batch.targets, reduction="none")
    return loss, logits.detach().argmax(-1) == batch.targets


def per_row(values: torch.Tensor, batch: Batch) -> list[float]:
    """Sums of `values` [n] for each example of the batch."""
    sums = torch.zeros(len(batch.examples), dtype=torch.float64)
    return sums.index_add_(0, batch.rows.cpu(), values.detach().double().cpu()).tolist()


@torch.no_grad()
def score(model: PreTrainedModel, examples: list[Example], micro_tokens: int, packing: bool = True) -> Iterator[Score]:
    """A Score for each example, in order. Rows of like length go together, which changes nothing but speed."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i]))
    found: dict[int, Score] = {}
    start = 0
    for group in micro_batches([examples[i] for i in order], micro_tokens, packing):
        batch = collate(group, packing, model.config.pad_token_id or 0, model.device)
        loss, right = forward(model, batch)
        sums = zip(per_row(loss, batch), per_row(right, batch), group, strict=True)
        for i, (nll, correct, example) in zip(order[start : start + len(group)], sums, strict=True):
            found[i] = Score(nll, len(example.completion), int(correct))
        start += len(group)
    yield from (found[i] for i in range(len(examples)))
