"""Decoding step by step: with keys and values that grow with the answers, or at fixed places in a CUDA graph.

Launching the kernels of a step one by one takes a GPU longer than computing them. A CUDA graph launches them together. It needs
every tensor at the same place in every step. So the keys and values of a row lie in a line that is set aside beforehand. A
kernel of our own reads only the filled part of it. There is no mask and no padding, neither in the prompts nor in the steps.
"""

from functools import partial
from weakref import WeakSet

import torch
from torch.nn.functional import gelu, pad
from transformers import AttentionInterface, DynamicCache, PreTrainedModel

from stages.models import attention, runtime

try:
    from stages.decoding.causal import one_query
except ImportError:  # Triton comes with builds for GPUs alone; steps() asks
    one_query = None

AT_ONCE = 8  # tokens that a graph writes before anyone looks whether rows have ended
NAME = "rows_kept"


class Growing:
    """Decoding for any model on any device. Every step adds a column, and rows leave as soon as they have ended."""

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
        """Go on with these rows of the batch alone."""
        self.cache.batch_select_indices(lines)
        self.mask, self.positions = self.mask[lines], self.positions[lines]

    def worth_leaving(self, alive: int, size: int) -> bool:
        """Whether `alive` rows of `size` should go on by themselves."""
        return alive < size


class Graphed:
    """Decoding by a CUDA graph of one step. Greedy answers are written `at_once` tokens at a time, without asking the CPU."""

    at_once = AT_ONCE
    stepped: WeakSet[PreTrainedModel] = WeakSet()  # whose kernels are compiled and loaded, which a graph cannot record

    def __init__(self, model: PreTrainedModel, new_tokens: int):
        self.model, self.new_tokens, self.keys_values = model, new_tokens, {}
        model.set_attn_implementation(NAME)
        runtime.widen_head(model)
        for module in model.modules():
            if type(module).__name__ == "NewGELUActivation":  # the same function in one kernel instead of seven
                module.forward = partial(gelu, approximate="tanh")

    def first(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] after prompts `ids` [B, L], padded on the left where `mask` [B, L] is 0."""
        sizes = mask.sum(1)
        self.longest, self.ends = int(sizes.max()), pad(sizes.cumsum(0), (1, 0)).int()
        self.rows = mask.nonzero()[:, 0]  # which row a token is of, and at which place
        self.places = (mask.cumsum(1) - 1)[mask.bool()]
        self.attend = self._to_prompts
        logits = self._logits(ids[mask.bool()], self.ends[1:].long() - 1)
        self._one_token_a_row(sizes)
        return logits

    def _one_token_a_row(self, sizes: torch.Tensor) -> None:
        """Set up steps of rows that hold `sizes` [B] tokens."""
        self.rows, self.places, self.graph = torch.arange(len(sizes), device=sizes.device), sizes.clone(), None
        self.attend = self._to_kept

    def _logits(self, ids: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        return self.model(
            input_ids=ids[None], position_ids=self.places[None], use_cache=False, logits_to_keep=keep, decoder=self
        ).logits[0]

    def _to_prompts(self, layer: int, query, key, value, scale: float | None, window: int | None) -> torch.Tensor:
        """Attention [tokens, H, D] of one block inside the prompts. Their keys and values [tokens, G, D] are stored."""
        shape = (len(self.ends) - 1, key.shape[1], self.longest + self.new_tokens + AT_ONCE, key.shape[2])
        self.keys_values[layer] = tuple(part.new_zeros(shape) for part in (key, value))
        for lines, part in zip(self.keys_values[layer], (key, value), strict=True):
            lines[self.rows, :, self.places] = part
        return attention.flash(query, key, value, self.ends, self.longest, scale, window)

    def _to_kept(self, layer: int, query, key, value, scale: float | None, window: int | None) -> torch.Tensor:
        """Attention of one new token a row to the stored keys and values."""
        return one_query.attend(query, key, value, self.keys_values[layer], self.places, scale, window)

    def _step(self) -> None:
        self.logits = self._logits(self.ids, self.rows)
        self.ids.copy_(self.logits.argmax(-1))
        self.places += 1

    def next(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] after one more token a row [B]."""
        if self.graph is None:
            self.ids, self.graph = tokens.clone(), torch.cuda.CUDAGraph()
            if self.model not in self.stepped:
                self._logits(self.ids, self.rows)  # the keys and values that it stores are written again by the step
                self.stepped.add(self.model)
            with torch.cuda.graph(self.graph):
                self._step()
        self.ids.copy_(tokens)
        self.graph.replay()
        return self.logits

    def greedy(self, tokens: torch.Tensor, count: int) -> torch.Tensor:
        """The `count` best tokens [B, count] after `tokens` [B], each after the one before."""
        self.next(tokens)
        columns = [self.ids.clone()]
        for _ in range(count - 1):
            self.graph.replay()
            columns.append(self.ids.clone())
        return torch.stack(columns, 1)

    def keep(self, lines: torch.Tensor) -> None:
        """Go on with these rows of the batch alone, by a new graph."""
        self.keys_values = {layer: tuple(part[lines] for part in parts) for layer, parts in self.keys_values.items()}
        self._one_token_a_row(self.places[lines])

    def worth_leaving(self, alive: int, size: int) -> bool:
        """Whether `alive` rows of `size` should go on by themselves."""
        return alive <= size // 2


def _attend(module, query, key, value, mask, scaling=None, sliding_window=None, decoder=None, **_) -> tuple:
    """What transformers calls as attention: `query` [1, H, tokens, D] and so on; returns [1, tokens, H, D]."""
    parts = (part[0].transpose(0, 1).to(value.dtype) for part in (query, key, value))
    return decoder.attend(module.layer_idx, *parts, scaling, sliding_window)[None], None


AttentionInterface.register(NAME, _attend)


def steps(model: PreTrainedModel, new_tokens: int) -> Growing | Graphed:
    """How a model decodes up to `new_tokens` tokens: by a graph where the GPU and the model allow it."""
    graphs = one_query and attention.has_flash(model.device, model.dtype) and attention.can_pack(model)
    return (Graphed if graphs else Growing)(model, new_tokens)
