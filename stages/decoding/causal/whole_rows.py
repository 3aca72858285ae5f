"""Decoding for any model, without keys and values that are kept: every step reads the rows whole, as training does.

It is slow, and right where nothing else is: for models with states that run along a line (Mamba, RWKV, hybrids), whose caches
are of many kinds, and which padding on the left would change.
"""

import sys

import torch
from transformers import PreTrainedModel

from stages.models import architectures
from stages.tasks.batches import Example, collate, micro_batches

TOKENS = 4096  # that are read at once, padding counted


class Whole:
    """Decoding by rows that are read whole. It has the methods of `caches.Growing`."""

    at_once, ahead = 1, 0

    def __init__(self, model: PreTrainedModel, _: int):
        self.model = model
        self.rows: list[list[int]] = []

    def first(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] after prompts `ids` [B, L], padded on the left where `mask` [B, L] is 0."""
        self.rows = [line[-size:] for line, size in zip(ids.tolist(), mask.sum(1).tolist(), strict=True)]
        return self._logits()

    def next(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] after one more token a row [B]."""
        self.rows = [[*row, token] for row, token in zip(self.rows, tokens.tolist(), strict=True)]
        return self._logits()

    def _logits(self) -> torch.Tensor:
        parts = []
        for group in micro_batches([Example("", row, [0]) for row in self.rows], TOKENS, False):  # 0 stands for what comes next
            batch = collate(group, "padded", 0).to(self.model.device)
            parts.append(self.model(**batch.inputs, use_cache=False).logits[batch.take])
        return torch.cat(parts)

    def keep(self, lines: torch.Tensor) -> None:
        """Go on with these rows of the batch alone."""
        self.rows = [self.rows[line] for line in lines.tolist()]

    def worth_leaving(self, alive: int, size: int) -> bool:
        """Whether `alive` rows of `size` should go on by themselves."""
        return alive < size


def must_be_whole(model: PreTrainedModel, growing: type) -> bool:
    """Whether rows have to be read whole: by keys and values that are kept (`growing`), logits would be others. It is said."""
    if architectures.is_tested(model) or _same_kept(model, growing):
        return False
    print(f"answers of a {model.config.model_type}: every token reads its row anew, which is slow", file=sys.stderr)
    return True


@torch.no_grad()
def _same_kept(model: PreTrainedModel, growing: type) -> bool:
    """Whether kept keys and values give the logits of whole rows: after two prompts of unlike length, and two tokens more."""
    rows = architectures.tried_rows(model)
    longest = max(map(len, rows))
    ids, mask = (torch.zeros(len(rows), longest, dtype=torch.long, device=model.device) for _ in range(2))
    for line, row in enumerate(rows):
        ids[line, longest - len(row) :], mask[line, longest - len(row) :] = row, 1
    whole, kept = Whole(model, 0), growing(model, 0)
    later = [torch.stack([row[place] for row in rows]) for place in (0, 5)]
    try:
        pairs = [(kept.first(ids, mask), whole.first(ids, mask))]
        pairs += [(kept.next(tokens), whole.next(tokens)) for tokens in later]
        return all(logits.shape == others.shape and architectures.alike(logits, others) for logits, others in pairs)
    except architectures.FAILURES:
        return False
