"""How right a model is on examples: losses and hits, row by row."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Score:
    """Of one example: summed loss in nats (of an answer: its negative log-likelihood), its targets (of an answer: its tokens,
    end token included), and those predicted right."""

    nll: float
    tokens: int
    correct: int


def per_row(values: torch.Tensor, batch) -> list[float]:
    """Sums of `values` [n] for each example of the batch."""
    sums = torch.zeros(len(batch.examples), dtype=torch.float64)
    return sums.index_add_(0, batch.rows.cpu(), values.detach().double().cpu()).tolist()


@torch.no_grad()
def score(model, examples: list, task) -> Iterator[Score]:
    """A Score for each example, in order. Rows of like length go together, which changes nothing but speed."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i]))
    found: dict[int, Score] = {}
    start = 0
    for group in task.groups([examples[i] for i in order]):
        batch = task.collate(group).to(model.device)
        loss, right = task.forward(model, batch)
        sums = zip(per_row(loss, batch), per_row(right, batch), group, strict=True)
        for i, (nll, correct, example) in zip(order[start : start + len(group)], sums, strict=True):
            found[i] = Score(nll, example.targets, int(correct))
        start += len(group)
    yield from (found[i] for i in range(len(examples)))
