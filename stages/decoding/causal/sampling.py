"""From logits to the next token, row by row.

Each row has a random stream of its own. So an answer does not depend on the other rows of its batch.
"""

import hashlib

import torch

from stages.common.schema_models import Generate
from stages.decoding.causal.graphs import kernels


def stream(seed: int, text: str) -> torch.Generator:
    """A random generator for one prompt, the same in every batch."""
    digest = hashlib.sha256(f"{seed}\0{text}".encode("utf-8", "surrogatepass")).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


def random_numbers(options: Generate, prompts: list[list[int]]) -> torch.Tensor:
    """A number from 0 to below 1 for each new token of each row, [max_new_tokens, B] in float64."""
    streams = [stream(options.seed, str(prompt)) for prompt in prompts]
    return torch.stack([torch.rand(options.max_new_tokens, generator=row, dtype=torch.float64) for row in streams], 1)


def penalize(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Repetition penalty of CTRL (arXiv 1909.05858): logits [B, V] of tokens marked in `seen` [B, V] become less likely."""
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def narrow(logits: torch.Tensor, top_k: int, top_p: float) -> torch.Tensor:
    """Keep the `top_k` best tokens (0: all), then the fewest whose probabilities reach `top_p` (arXiv 1904.09751)."""
    if top_k:
        worst = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < worst, -torch.inf)
    if top_p < 1:
        if top_k:
            most = int(logits.isfinite().sum(-1).max())  # that a row has left: top_k, or more where tokens are equal
            ordered = logits.topk(most).values
        else:
            ordered = logits.sort(descending=True).values
        shares = ordered.softmax(-1)
        before = (kernels.sums(shares) if shares.device.type == "cuda" and kernels.HERE else shares.cumsum(-1)) - shares
        count = (before < top_p).sum(-1, keepdim=True)
        worst = ordered.gather(1, count - 1)
        better, ties = logits > worst, logits == worst
        among = ties & (ties.cumsum(-1) <= count - better.sum(-1, keepdim=True))  # of equal tokens the first ones are kept
        logits = logits.masked_fill(~(better | among), -torch.inf)
    return logits


def choose(logits: torch.Tensor, options: Generate, draws: torch.Tensor | None) -> torch.Tensor:
    """The next token of each row [B]: at temperature 0 the best one, else one drawn by inverting the distribution.

    `draws` are random numbers in float64 [B], from 0 to below 1.
    """
    here = logits.device.type == "cuda" and kernels.HERE
    if options.temperature == 0:
        return kernels.best(logits) if here else logits.argmax(-1)
    # drawn on the CPU unless by a kernel of our own: PyTorch's cumulative sums on a GPU are not deterministic
    scores = narrow((logits if here else logits.cpu()).float() / options.temperature, options.top_k, options.top_p)
    draws = draws.to(scores.device)
    if here:
        return kernels.draw(scores, draws)
    probabilities = scores.softmax(-1).double()
    totals = probabilities.cumsum(-1)
    chosen = torch.searchsorted(totals, draws[:, None] * totals[:, -1:], right=True).squeeze(1)
    return chosen.clamp(max=logits.shape[-1] - 1).to(logits.device)


class Chooser:
    """What chooses the next token of every row of a batch, and remembers what it needs for that.

    Args:
        draws: what `random_numbers` has drawn; None: the best token is taken.
        seen: which tokens [B, V] each row holds; None: nobody asks.
        ends: the tokens that end an answer.
    """

    def __init__(self, options: Generate, draws: torch.Tensor | None, seen: torch.Tensor | None, ends: list[int]):
        self.options, self.draws, self.seen, self.ends, self.length = options, draws, seen, ends, 0

    def next(self, logits: torch.Tensor) -> torch.Tensor:
        """The next token of each row [B], by its logits [B, V]."""
        if self.seen is not None:
            logits = penalize(logits, self.seen[:, : logits.shape[-1]], self.options.repetition_penalty)
        if self.length < self.options.min_new_tokens:
            logits[:, self.ends] = -torch.inf
        tokens = choose(logits, self.options, None if self.draws is None else self.draws[self.length])
        if self.seen is not None:
            self.seen.scatter_(1, tokens[:, None], True)
        self.length += 1
        return tokens

    def keep(self, lines: torch.Tensor) -> None:
        """Go on with these rows of the batch alone."""
        self.draws = None if self.draws is None else self.draws[:, lines]
        self.seen = None if self.seen is None else self.seen[lines]
