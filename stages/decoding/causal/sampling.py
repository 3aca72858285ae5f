"""From logits to the next token, row by row.

Each row has a random stream of its own. So an answer does not depend on the other rows of its batch.
"""

import hashlib

import torch

from stages.common.schema_models import Generate


def stream(seed: int, text: str) -> torch.Generator:
    """A random generator for one prompt, the same in every batch."""
    digest = hashlib.sha256(f"{seed}\0{text}".encode("utf-8", "surrogatepass")).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


def penalize(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Repetition penalty of CTRL (arXiv 1909.05858): logits [B, V] of tokens marked in `seen` [B, V] become less likely."""
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def narrow(logits: torch.Tensor, top_k: int, top_p: float) -> torch.Tensor:
    """Keep the `top_k` best tokens (0: all), then the fewest whose probabilities reach `top_p` (arXiv 1904.09751)."""
    if top_k:
        worst = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < worst, -torch.inf)
    if top_p < 1:
        ordered, index = logits.sort(descending=True, stable=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        drop = torch.zeros_like(logits, dtype=torch.bool).scatter(1, index, before >= top_p)
        logits = logits.masked_fill(drop, -torch.inf)
    return logits


def choose(logits: torch.Tensor, options: Generate, streams: list[torch.Generator]) -> torch.Tensor:
    """The next token of each row [B]: at temperature 0 the best one, else one drawn by inverting the distribution."""
    if options.temperature == 0:
        return logits.argmax(-1)
    # drawn on the CPU: a GPU's cumulative sums are not deterministic
    probabilities = narrow(logits.float().cpu() / options.temperature, options.top_k, options.top_p).softmax(-1).double()
    draws = torch.stack([torch.rand((), generator=generator, dtype=torch.float64) for generator in streams])
    totals = probabilities.cumsum(-1)
    chosen = torch.searchsorted(totals, draws[:, None] * totals[:, -1:], right=True).squeeze(1)
    return chosen.clamp(max=logits.shape[-1] - 1).to(logits.device)
