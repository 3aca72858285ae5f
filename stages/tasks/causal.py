"""The task of a causal language model: to continue a prompt with the answer. Prompts and padding are not learned."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from stages.models import architectures, attention, runtime
from stages.models.prompting import common_head
from stages.tasks.batches import Batch, Example, collate, micro_batches

LOGITS = 2**28  # how many are in memory at once: 1 GiB in float32, and as much for their gradients


def losses_and_hits(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss in nats [n] and whether the best token is the target [n], of `logits` [n, V]."""
    logits = logits.float()
    return cross_entropy(logits, targets, reduction="none"), logits.detach().argmax(-1) == targets


@dataclass(frozen=True)
class Causal:
    """
    Args:
        micro_tokens: of a micro-batch, padding counted.
        layout: of a batch: `padded`, or `packed` into one line.
        pad_token_id: what padding is made of.
        pieces: whether logits may be made piece by piece, because they are just the output matrix times the last hidden states.
        compare: loss and hits of logits.
        head: tokens that stand before every prompt (`headed`).
        shares_head: whether what the prompts of a micro-batch begin with is read once for its rows, and learned from as often.
    """

    micro_tokens: int
    layout: str
    pad_token_id: int
    pieces: bool = False
    compare: Callable = losses_and_hits
    head: tuple[int, ...] = ()
    shares_head: bool = False

    def groups(self, examples: list[Example]) -> list[list[Example]]:
        """Micro-batches of examples, in their order."""
        return list(micro_batches(examples, self.micro_tokens, self.layout != "padded"))

    def collate(self, group: list[Example]) -> Batch:
        """Tensors of a micro-batch."""
        if self.shares_head:
            alike, rest = headed(replace(self, shares_head=False), group)
            return replace(alike.collate(rest), examples=group)
        return collate(group, self.layout, self.pad_token_id, self.head)

    def forward(self, model: PreTrainedModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Negative log-likelihood in nats [n] and whether the best token was the right one [n], for every target token."""
        at_once = LOGITS // model.config.get_text_config().vocab_size
        if self.pieces and len(batch.targets) > at_once:
            return runtime.in_forward(model, partial(self.by_pieces, model, batch, at_once))
        logits = model(**batch.inputs, use_cache=False).logits
        return self.compare(logits.flatten(0, 1) if batch.take is None else logits[batch.take], batch.targets)

    def by_pieces(self, model: PreTrainedModel, batch: Batch, at_once: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same as `forward`, with the logits of at most `at_once` targets in memory.

        The logits of a piece are made again for its gradients. For a large vocabulary they take more memory than all blocks,
        and making them is little work beside that of the blocks.
        """
        inputs = {name: value for name, value in batch.inputs.items() if name != "logits_to_keep"}
        keep = batch.inputs["logits_to_keep"]
        hidden = _body(model)(**inputs, use_cache=False).last_hidden_state[:, keep]
        hidden = hidden[0] if batch.take is None else hidden[batch.take]
        head = model.get_output_embeddings()

        def piece(states: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return losses_and_hits(head(states), targets)

        parts = zip(hidden.split(at_once), batch.targets.split(at_once), strict=True)
        pieces = [checkpoint(piece, *part, use_reentrant=False) for part in parts]
        losses, hits = zip(*pieces, strict=True)
        return torch.cat(losses), torch.cat(hits)

    def weight(self, examples: list[Example]) -> float:
        """Tokens of the answers."""
        return sum(example.targets for example in examples)

    def compiled(self) -> "Causal":
        """The same task, its loss compiled: logits are then read once, and none are kept in float32."""
        return replace(self, compare=torch.compile(losses_and_hits, dynamic=True))


def _body(model: PreTrainedModel) -> torch.nn.Module:
    """A language model without its head. Adapters stay inside."""
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model


def task(
    model: PreTrainedModel,
    micro_tokens: int,
    packing: bool = True,
    dtype: torch.dtype = torch.float32,
    sparing: bool = False,
) -> Causal:
    """The task. `model` is made ready for it: rows packed where possible, and numbers as narrow as `dtype` between blocks.

    Args:
        sparing: make logits piece by piece where the model allows it. That takes less memory and a little more work.
    """
    packed = packing and architectures.can_pack(model)
    if packed:
        model.set_attn_implementation(attention.NAME)
    if dtype is not torch.float32:
        runtime.narrow_stream(runtime.blocks(model), dtype)
    runtime.widen_head(model)
    causal = Causal(micro_tokens, "packed" if packed else "padded", model.config.pad_token_id or 0)
    return replace(causal, pieces=sparing and _plain_head(model, causal, dtype))


def headed(causal: Causal, examples: list[Example]) -> tuple[Causal, list[Example]]:
    """The same work where what all prompts begin with is read once a micro-batch, on a CPU, and not once a row."""
    head = common_head([example.prompt for example in examples]) if causal.layout == "packed" else []
    return replace(causal, head=tuple(head)), [replace(e, prompt=e.prompt[len(head) :]) for e in examples]


@torch.no_grad()
def _plain_head(model: PreTrainedModel, causal: Causal, dtype: torch.dtype) -> bool:
    """Whether logits are just the output matrix times the last hidden states.

    It is tried on two tokens. A model that caps or scales its logits gives another loss by pieces.
    """
    if _body(model) is model:  # transformers cannot tell its body from its head
        return False
    batch = causal.collate([Example("", [1], [2])]).to(model.device)
    with runtime.autocast(model.device, dtype):
        return torch.equal(causal.forward(model, batch)[0], causal.by_pieces(model, batch, 1)[0])
