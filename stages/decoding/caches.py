"""Decoding step by step: with keys and values that grow with the answers, or at fixed places in a CUDA graph.

Launching the kernels of a step one by one takes a GPU longer than computing them. A CUDA graph launches them together; it
needs every tensor at the same place in every step. Keys and values of a row therefore lie in a line set aside beforehand,
and flash attention's variable-length kernel reads just the filled part of each: no mask, no padding, neither in the prompts
nor in the steps.
"""

from functools import partial

import torch
from torch.nn.functional import gelu, pad
from transformers import AttentionInterface, DynamicCache, PreTrainedModel

from stages.models import runtime

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # before PyTorch 2.10; steps() asks
    varlen_attn = None

AT_ONCE = 8  # tokens that a graph writes before anyone looks whether rows have ended
NAME = "lines_of_keys"


class Growing:
    """Any model on any device: one column more at every step, and rows leave as soon as they have ended."""

    at_once = 1

    def __init__(self, model: PreTrainedModel, _: int):
        self.model, self.cache = model, DynamicCache()

    def first(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] after prompts `ids` [B, L], padded on the left where `mask` [B, L] is 0."""
        self.mask, self.positions = mask, (mask.cumsum(-1) - 1).clamp(min=0)
        return self._logits(ids)

    def next(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] after one more token a row [B]."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], 1)
        self.positions = self.positions[:, -1:] + 1
        return self._logits(tokens[:, None])

    def _logits(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]

    def keep(self, lines: torch.Tensor) -> None:
        """Go on with these rows alone."""
        self.cache.batch_select_indices(lines)
        self.mask, self.positions = self.mask[lines], self.positions[lines]

    def worth_leaving(self, alive: int, size: int) -> bool:
        """Whether `alive` rows of `size` should go on by themselves."""
        return alive < size


class Graphed:
    """A CUDA graph of one step. Greedy answers are written `at_once` tokens at a time without a word to the CPU."""

    at_once = AT_ONCE

    def __init__(self, model: PreTrainedModel, new_tokens: int):
        self.model, self.new_tokens, self.kept = model, new_tokens, {}
        model.set_attn_implementation(NAME)
        for module in model.modules():
            if type(module).__name__ == "NewGELUActivation":  # the same function in one kernel instead of seven
                module.forward = partial(gelu, approximate="tanh")

    def first(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] after prompts `ids` [B, L], padded on the left where `mask` [B, L] is 0."""
        sizes = mask.sum(1)
        self.columns, self.longest = int(sizes.max()) + self.new_tokens + AT_ONCE, int(sizes.max())
        self.lines = mask.nonzero()[:, 0]  # which row a token is of, and at which place
        self.places = (mask.cumsum(1) - 1)[mask.bool()]
        self.query_ends = self.key_ends = pad(sizes.cumsum(0), (1, 0)).int()
        self.reads_prompts = True
        logits = self._logits(ids[mask.bool()], self.query_ends[1:].long() - 1)
        self.reads_prompts = False
        self._one_token_a_row(sizes)
        return logits

    def _one_token_a_row(self, sizes: torch.Tensor) -> None:
        """Set up steps of rows that hold `sizes` [B] tokens. The kernel reads what lies between ends: of a row's line the
        filled part, for its one token, and then, for no token, the rest."""
        halves = torch.arange(2 * len(sizes) + 1, device=sizes.device)
        self.query_ends = ((halves + 1) // 2).int()
        self.key_ends = (halves // 2 * self.columns).int()
        self.key_ends[1::2] += sizes.int() + 1
        self.lines, self.places = torch.arange(len(sizes), device=sizes.device), sizes.clone()
        self.graph = None

    def _logits(self, ids: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        return self.model(
            input_ids=ids[None], position_ids=self.places[None], use_cache=False, logits_to_keep=keep, decoder=self
        ).logits[0]

    def attend(self, layer: int, query: torch.Tensor, new: tuple[torch.Tensor, torch.Tensor], **how) -> torch.Tensor:
        """Attention [tokens, H, D] of one block; its `new` keys and values [tokens, H or fewer, D] are kept."""
        if layer not in self.kept:
            lines = int(self.lines[-1]) + 1
            self.kept[layer] = tuple(part.new_zeros(lines, self.columns, *part.shape[1:]) for part in new)
        for kept, part in zip(self.kept[layer], new, strict=True):
            kept[self.lines, self.places] = part
        if self.reads_prompts:
            return varlen_attn(query, *new, self.query_ends, self.key_ends, self.longest, self.longest, **how)
        lines = (kept.flatten(0, 1) for kept in self.kept[layer])
        return varlen_attn(query, *lines, self.query_ends, self.key_ends, 1, self.columns, **how)

    def _step(self) -> None:
        self.logits = self._logits(self.ids, self.lines)
        self.ids.copy_(self.logits.argmax(-1))
        self.places += 1
        self.key_ends[1::2] += 1

    def next(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] after one more token a row [B]."""
        if self.graph is None:
            self.ids, self.graph = tokens.clone(), torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self._step()
        self.ids.copy_(tokens)
        self.graph.replay()
        return self.logits

    def greedy(self, tokens: torch.Tensor, count: int) -> torch.Tensor:
        """The `count` best tokens [B, count] after `tokens` [B], each after the one before."""
        self.next(tokens)
        found = [self.ids.clone()]
        for _ in range(count - 1):
            self.graph.replay()
            found.append(self.ids.clone())
        return torch.stack(found, 1)

    def keep(self, lines: torch.Tensor) -> None:
        """Go on with these rows alone, by a new graph."""
        self.kept = {layer: tuple(part[lines] for part in parts) for layer, parts in self.kept.items()}
        self._one_token_a_row(self.places[lines])

    def worth_leaving(self, alive: int, size: int) -> bool:
        """Whether `alive` rows of `size` should go on by themselves."""
        return alive <= size // 2


def _lines_of_keys(module, query, key, value, mask, scaling=None, sliding_window=None, decoder=None, **_) -> tuple:
    """What transformers calls as attention: `query` [1, H, tokens, D] and so on; returns [1, tokens, H, D]."""
    query, key, value = (part[0].transpose(0, 1).to(value.dtype) for part in (query, key, value))
    how = {"scale": scaling, "window_size": (sliding_window - 1 if sliding_window else -1, 0)}
    return decoder.attend(module.layer_idx, query, (key, value), **how, **runtime.grouped(query, key))[None], None


AttentionInterface.register(NAME, _lines_of_keys)


def steps(model: PreTrainedModel, new_tokens: int) -> Growing | Graphed:
    """How a model decodes up to `new_tokens` tokens."""
    return (Graphed if runtime.has_flash(model, model.dtype) else Growing)(model, new_tokens)
