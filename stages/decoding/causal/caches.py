"""Decoding step by step: with keys and values that grow with the answers, or at fixed places in a CUDA graph.

Launching the kernels of a step one by one takes a GPU longer than computing them. A CUDA graph launches them together. It needs
every tensor at the same place in every step. So the keys and values of a row lie in a line that is set aside beforehand. A
kernel of our own reads only the filled part of it. There is no mask and no padding, neither in the prompts nor in the steps.
"""

import copy
from dataclasses import dataclass
from functools import partial
from weakref import WeakSet

import torch
from torch.nn.functional import gelu, pad
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from stages.decoding.causal.graphs import kernels
from stages.decoding.causal.graphs.llama import Llama, is_llama
from stages.decoding.causal.graphs.recording import recording
from stages.decoding.causal.graphs.turn import Turn
from stages.decoding.causal.whole_rows import Whole, must_be_whole
from stages.models import architectures, attention, runtime
from stages.models.prompting import common_head
from stages.tasks.batches import micro_batches

AT_ONCE = 4  # tokens that are chosen on the GPU before the CPU looks whether rows have ended
COLUMNS = 64  # keys and values are set aside for a multiple of it, so that the next batch finds memory of the same size
PROMPT_TOKENS = 1024  # of prompts that a CPU reads at once, padding counted
SPARE = 16  # columns that are set aside at a time, where keys and values grow
NAME = "rows_kept"


class Roomy(DynamicLayer):
    """Keys and values of one block [B, G, columns, D], with room for columns to come: a step copies only its own."""

    room: tuple[torch.Tensor, ...] = ()

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_, **__) -> tuple[torch.Tensor, torch.Tensor]:
        """Add columns; the keys and values so far."""
        start, new = self.get_seq_length(), (key_states, value_states)
        end = start + key_states.shape[-2]
        if not self.room or end > self.room[0].shape[-2]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            before = self.room
            self.room = tuple(part.new_empty(*part.shape[:-2], end + SPARE, part.shape[-1]) for part in new)
            for lines, old in zip(self.room, before, strict=False):
                lines[..., :start, :] = old[..., :start, :]
        for lines, part in zip(self.room, new, strict=True):
            lines[..., start:end, :] = part
        self.keys, self.values = (lines[..., :end, :] for lines in self.room)
        return self.keys, self.values

    def batch_repeat_interleave(self, repeats: int) -> None:
        """As many rows of each, in room of their own."""
        super().batch_repeat_interleave(repeats)
        self.room = (self.keys, self.values)

    def beside(self, others: "list[Roomy]", columns: int) -> "Roomy":
        """These rows and those of others, in as many columns. Zeros stand before the keys and values of fewer."""
        whole, layers = Roomy(), [self, *others]
        if self.is_initialized:
            whole.lazy_initialization(self.keys, self.values)
            kinds = [layer.keys for layer in layers], [layer.values for layer in layers]
            whole.room = tuple(
                torch.cat([pad(part, (0, 0, columns - part.shape[-2], SPARE)) for part in parts]) for parts in kinds
            )
            whole.keys, whole.values = (lines[..., :columns, :] for lines in whole.room)
        return whole

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Go on with these rows alone."""
        end = self.get_seq_length()
        self.room = tuple(lines[indices] for lines in self.room)
        self.keys, self.values = (lines[..., :end, :] for lines in self.room)


class Growing:
    """Decoding for any model on any device. Every step adds a column, and rows leave as soon as they have ended."""

    at_once, ahead = 1, 0
    layer = Roomy  # how a block's keys and values are kept

    def __init__(self, model: PreTrainedModel, _: int):
        self.model = model
        windowed = getattr(model.config.get_text_config(), "sliding_window", None)
        # a window is counted in columns, and there are columns of padding after the head
        self.may_share = not windowed and architectures.can_pack(model)

    def _empty(self) -> DynamicCache:
        cache = DynamicCache()
        cache.layer_class_to_replicate = self.layer
        return cache

    def first(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] after prompts `ids` [B, L], padded on the left where `mask` [B, L] is 0.

        On a CPU prompts of like length are read together, and what all begin with is read once.
        """
        prompts = [line[-size:] for line, size in zip(ids.tolist(), mask.sum(1).tolist(), strict=True)]
        self.cache = self._empty()
        at_once = PROMPT_TOKENS if ids.device.type == "cpu" else ids.numel()
        head = common_head(prompts) if self.may_share else []
        if head:
            self._read([head], [])
        start, parts = self.cache, []
        for group in micro_batches([prompt[len(head) :] for prompt in prompts], at_once, False):
            self.cache = copy.deepcopy(start)
            self.cache.batch_repeat_interleave(len(group))
            parts.append((self._read(group, head), self.mask, self.cache))
        columns = max(part_mask.shape[1] for _, part_mask, _ in parts)
        self.mask = torch.cat([pad(part_mask, (columns - part_mask.shape[1], 0)) for _, part_mask, _ in parts])
        self.positions = mask.sum(1, keepdim=True) - 1
        if len(parts) > 1:
            layers = zip(*(cache.layers for _, _, cache in parts), strict=True)
            self.cache = self._empty()
            self.cache.layers = [layer.beside(others, columns) for layer, *others in layers]
        return torch.cat([logits for logits, _, _ in parts])

    def _read(self, prompts: list[list[int]], head: list[int]) -> torch.Tensor:
        """Logits [B, V] after prompts, or what is left of them after a head that was read."""
        tokens, device = [torch.tensor(prompt) for prompt in prompts], self.model.device
        ids = pad_sequence(tokens, batch_first=True, padding_side="left").to(device)
        own = pad_sequence([torch.ones_like(prompt) for prompt in tokens], batch_first=True, padding_side="left").to(device)
        self.positions = (own.cumsum(-1) - 1).clamp(min=0) + len(head)
        self.mask = torch.cat([own.new_ones(len(prompts), len(head)), own], 1)
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


@dataclass
class Step:
    """A recorded step, and what it reads and writes: tokens and places [B], logits [B, V]."""

    graph: torch.cuda.CUDAGraph
    tokens: torch.Tensor
    places: torch.Tensor
    logits: torch.Tensor


class Graphed:
    """Decoding by a CUDA graph of one step.

    The graph of a whole batch, and the keys and values that it works on, are there for the next batch of the same size.
    """

    at_once, ahead = AT_ONCE, 1  # the CPU looks at columns while the GPU is busy with the next ones
    stepped: WeakSet[PreTrainedModel] = WeakSet()  # whose kernels are compiled and loaded, which a graph cannot record

    def __init__(self, model: PreTrainedModel, new_tokens: int):
        self.model, self.new_tokens, self.kept, self.size, self.whole = model, new_tokens, {}, None, None
        model.set_attn_implementation(NAME)
        runtime.widen_head(model)
        for module in model.modules():
            if type(module).__name__ == "NewGELUActivation":  # the same function in one kernel instead of seven
                module.forward = partial(gelu, approximate="tanh")
        self.llama = Llama(model) if is_llama(model) else None

    def first(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] after prompts `ids` [B, L], padded on the left where `mask` [B, L] is 0."""
        sizes = mask.sum(1)
        self.longest, self.ends = ids.shape[1], pad(sizes.cumsum(0), (1, 0)).int()
        self.rows, columns = mask.nonzero(as_tuple=True)  # which row a token is of, and at which place
        self.places = columns - (self.longest - sizes)[self.rows]
        self._make_room(len(ids), -(-(self.longest + self.new_tokens + AT_ONCE) // COLUMNS) * COLUMNS)
        self.attend = self._to_prompts
        logits = self._logits(ids[self.rows, columns], self.ends[1:].long() - 1)
        self.step, self.attend = self.whole, self._to_kept
        self.places = sizes.clone() if self.step is None else self.step.places.copy_(sizes)
        return logits

    def _make_room(self, rows: int, columns: int) -> None:
        """Set aside places for keys and values, unless the last batch has left as many."""
        if self.size != (rows, columns):
            self.size, self.whole, self.step = (rows, columns), None, None
            self.kept.clear()
            self.turns = self.llama.turns(columns) if self.llama else []

    def _logits(self, ids: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Logits [kept, V] after tokens `ids` [tokens]; `keep`: which of them count, None: all."""
        if self.llama:
            return self.llama.logits(ids, keep, self.attend, self.turns)
        options = {"logits_to_keep": 0 if keep is None else keep, "use_cache": False, "decoder": self}
        return self.model(input_ids=ids[None], position_ids=self.places[None], **options).logits[0]

    def _to_prompts(self, layer: int, heads: tuple, scale: float | None, window: int | None, turn: Turn | None) -> torch.Tensor:
        """Attention [tokens, H, D] of one block inside the prompts. Their keys and values [tokens, G, D] are stored."""
        query, key, value = heads
        if layer not in self.kept:
            rows, columns = self.size
            self.kept[layer] = key.new_empty(2, rows, key.shape[1], columns, key.shape[2])
        query, key = kernels.store(query, key, value, self.kept[layer], self.rows, self.places, turn)
        return attention.flash(query, key, value, self.ends, self.longest, scale, window)

    def _to_kept(self, layer: int, heads: tuple, scale: float | None, window: int | None, turn: Turn | None) -> torch.Tensor:
        """Attention of one new token a row to the stored keys and values."""
        return kernels.attend(heads, self.kept[layer], self.places, scale, window, turn)

    def _step(self, tokens: torch.Tensor) -> torch.Tensor:
        logits = self._logits(tokens)
        self.places += 1
        return logits

    def next(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] after one more token a row [B]."""
        if self.step is None:
            self.step = self._recorded(tokens)
        self.step.tokens.copy_(tokens)
        self.step.graph.replay()
        return self.step.logits

    def _recorded(self, tokens: torch.Tensor) -> Step:
        tokens, graph = tokens.clone(), torch.cuda.CUDAGraph()
        if self.model not in self.stepped:
            self._logits(tokens)  # the keys and values that it stores are written again by the step
            self.stepped.add(self.model)
        with recording(graph):
            logits = self._step(tokens)
        step = Step(graph, tokens, self.places, logits)
        if len(tokens) == self.size[0]:
            self.whole = step
        return step

    def keep(self, lines: torch.Tensor) -> None:
        """Go on with these rows of the batch alone, by a new graph. `lines` ascend."""
        for kept in self.kept.values():
            kept[:, : len(lines)] = kept[:, lines]
        self.places, self.step = self.places[lines], None

    def worth_leaving(self, alive: int, size: int) -> bool:
        """Whether `alive` rows of `size` should go on by themselves."""
        return alive <= size // 2


def _attend(module, query, key, value, mask, scaling=None, sliding_window=None, decoder=None, **_) -> tuple:
    """What transformers calls as attention: `query` [1, H, tokens, D] and so on; returns [1, tokens, H, D]."""
    heads = tuple(part[0].transpose(0, 1).to(value.dtype) for part in (query, key, value))
    return decoder.attend(module.layer_idx, heads, scaling, sliding_window, None)[None], None


AttentionInterface.register(NAME, _attend)


def steps(model: PreTrainedModel, new_tokens: int) -> Growing | Graphed | Whole:
    """How a model decodes up to `new_tokens` tokens: by a graph where the GPU and the model allow it, or by reading rows whole
    where it has to."""
    if must_be_whole(model, Growing):
        return Whole(model, new_tokens)
    fits = attention.has_flash(model.device, model.dtype) and architectures.can_pack(model) and not _turns_by_length(model)
    return (Graphed if kernels.HERE and fits else Growing)(model, new_tokens)


def _turns_by_length(model: PreTrainedModel) -> bool:
    """Whether rotary embedding changes when rows grow long, which a graph cannot follow."""
    kinds = (getattr(module, "rope_type", None) for module in model.modules())
    names = (name for kind in kinds if kind for name in (kind.values() if isinstance(kind, dict) else [kind]))
    return any("dynamic" in name or name == "longrope" for name in names)
