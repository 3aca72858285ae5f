"""How right a model is on examples: losses and hits, row by row."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Score:
    """How right a model is on one example.

    Args:
        nll: summed loss in nats; for an answer, its negative log-likelihood.
        tokens: how many targets there are; for an answer, its tokens with the end token.
        correct: how many of them were predicted right.
    """

    nll: float
    tokens: int
    correct: int


def per_row(values: torch.Tensor, batch) -> list[float]:
    """Sums of `values` [n] for each example of the batch."""
    sums = torch.zeros(len(batch.examples), dtype=torch.float64)
    return sums.index_add_(0, batch.rows.cpu(), values.detach().double().cpu()).tolist()


@torch.no_grad()
def score(model, examples: list, task) -> Iterator[Score]:
    """A Score for each example, in order. Rows of like length share a batch, which changes only the speed."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i]))
    score_of: dict[int, Score] = {}
    start = 0
    for group in task.groups([examples[i] for i in order]):
        batch = task.collate(group).to(model.device)
        loss, right = task.forward(model, batch)
        sums = zip(per_row(loss, batch), per_row(right, batch), group, strict=True)
        for i, (nll, correct, example) in zip(order[start : start + len(group)], sums, strict=True):
            score_of[i] = Score(nll, example.targets, int(correct))
        start += len(group)
    yield from (score_of[i] for i in range(len(examples)))
