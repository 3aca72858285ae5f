"""From rows to tensors: tokens, masks, and batches that fit in memory."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from stages.common.errors import StageError
from stages.common.rows import FormattedText
from stages.models import prompting, templates
from stages.models.tokenizer_marks import Unreadable


@dataclass(frozen=True)
class Example:
    """One row in tokens. Only `completion` is learned and scored. It ends with what ends a turn, unless it was `cut`.

    `marked` says that a text of the row holds a mark of the tokenizer, which is read as letters.
    """

    id: str
    prompt: list[int]
    completion: list[int]
    cut: bool = False
    marked: bool = False

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)

    @property
    def tokens(self) -> list[int]:
        """Prompt and completion."""
        return self.prompt + self.completion

    @property
    def targets(self) -> int:
        """How many tokens are predicted."""
        return len(self.completion)


@dataclass(frozen=True)
class Batch:
    """Tensors of one forward pass.

    - `inputs`: keyword arguments of the model. Of a causal model `logits_to_keep` is among them: no logits for prompts.
    - `take`: (row, column) of every target's logits in what the model returns, each [n]; None: they are the first row's.
    - `targets`: token ids or labels [n].
    - `rows`: which example each target belongs to [n].
    """

    inputs: dict[str, torch.Tensor | int]
    take: tuple[torch.Tensor, torch.Tensor] | None
    targets: torch.Tensor
    rows: torch.Tensor
    examples: list

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> "Batch":
        """The same in memory from which a GPU fetches by itself."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        def moved(value):
            return change(value) if isinstance(value, torch.Tensor) else value

        return Batch(
            {name: moved(value) for name, value in self.inputs.items()},
            self.take and tuple(map(moved, self.take)),
            moved(self.targets),
            moved(self.rows),
            self.examples,
        )


def encode(row: FormattedText, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Example | None:
    """A formatted row in tokens. An answer that is too long is cut, and no end is put after the cut.

    Returns:
        None if the prompt alone takes all of `max_tokens`.

    Raises:
        StageError: if the answer is blank: such a row would count as a loss of zero.
        Refusal, Unreadable: as `prompting.encode_turn`.
    """
    if not row["completion"].strip():
        raise StageError(
            f"row {row['id']}",
            f"the answer {row['completion']!r}",
            "at least one token",
            "look at the row in data/<dataset>/formatted, and at the label stage's `required`",
        )
    encoded = prompting.encode_turn(tokenizer, row["messages"], row["completion"])
    room = max_tokens - len(encoded.prompt)
    if room <= 0:
        return None
    return Example(row["id"], encoded.prompt, encoded.answer[:room], len(encoded.answer) > room, encoded.marked)


def encode_all(
    rows: Iterable[FormattedText], tokenizer: PreTrainedTokenizerBase, max_tokens: int
) -> tuple[list[Example], dict[str, int]]:
    """All rows in tokens, and counts:

    - `rows`: all.
    - `cut`: whose answer was cut.
    - `prompt_too_long`: left out, for the prompt leaves no room.
    - `marked`: with a mark of the tokenizer in a text.
    - `refused`, if any: left out, for such a mark cannot be read as letters.

    Raises:
        StageError: if the template refuses rows. It names them.
    """
    examples, counts = [], {"rows": 0, "cut": 0, "prompt_too_long": 0, "marked": 0}
    refusals, unreadable = prompting.Refusals(), {}
    for row in rows:
        counts["rows"] += 1
        try:
            example = encode(row, tokenizer, max_tokens)
        except templates.Refusal as refusal:
            refusals.add(row["id"], refusal)
            continue
        except Unreadable as reason:
            unreadable[row["id"]] = reason.reason
            continue
        if example is None:
            counts["prompt_too_long"] += 1
            continue
        counts["cut"] += example.cut
        counts["marked"] += example.marked
        examples.append(example)
    refusals.check(["datasets.<name>.format.system", "models.<name>.base"])
    return examples, counts | left_out(unreadable)


def check_template(rows: Iterable[FormattedText], tokenizer: PreTrainedTokenizerBase) -> None:
    """Try the template on rows that are not trained on, so that a refusal is told before training and not after.

    Raises:
        StageError: if the template refuses rows. It names them.
    """
    refusals = prompting.Refusals()
    for row in rows:
        try:
            prompting.encode_turn(tokenizer, row["messages"], row["completion"])
        except templates.Refusal as refusal:
            refusals.add(row["id"], refusal)
        except Unreadable:
            continue  # `generate` refuses and counts it
    refusals.check(["datasets.<name>.format.system", "models.<name>.base"])


def left_out(unreadable: dict[str, str]) -> dict[str, int]:
    """`refused`: how many rows were left out for what is in their texts, if any. The first three are printed."""
    for row, reason in list(unreadable.items())[:3]:
        print(f"row {row} is left out: {reason}", file=sys.stderr)
    return {"refused": len(unreadable)} if unreadable else {}


def micro_batches(examples: list[Example], micro_tokens: int, packing: bool) -> Iterator[list[Example]]:
    """Examples in their order, as many at a time as fit in `micro_tokens`, and at least one. Padding counts."""
    group, longest = [], 0
    for example in examples:
        longest_then = max(longest, len(example))
        size = sum(map(len, group)) + len(example) if packing else longest_then * (len(group) + 1)
        if group and size > micro_tokens:
            yield group
            group, longest_then = [], len(example)
        group.append(example)
        longest = longest_then
    if group:
        yield group


def collate(examples: list[Example], layout: str, pad_token_id: int, head: Sequence[int] = ()) -> Batch:
    """Tensors for one micro-batch.

    Args:
        layout: `padded` on the right, or `packed` end to end for attention.packed_rows.
        head: tokens that stand before every prompt, and that no prompt has any more. They are read once, `packed` alone.
    """
    sizes = np.array([len(e) for e in examples])
    learned = np.array([len(e.completion) for e in examples])
    rows = np.repeat(np.arange(len(examples)), learned)
    # the logits that predict token i of a row stand at its place i - 1
    columns = np.concatenate([np.arange(len(e.prompt) - 1, len(e) - 1) for e in examples])
    targets = np.concatenate([e.completion for e in examples])
    if layout == "padded":
        inputs = _padded(examples, int(sizes.max()), pad_token_id)
        keep, index = np.unique(columns, return_inverse=True)
        take = torch.from_numpy(rows), torch.from_numpy(index)
    else:
        starts = len(head) + np.cumsum(sizes) - sizes
        inputs = _packed(examples, sizes, starts, head) | _ends(np.array([len(head), *sizes] if head else sizes))
        keep, take = columns + starts[rows], None
    inputs["logits_to_keep"] = torch.from_numpy(keep)
    return Batch(inputs, take, torch.from_numpy(targets), torch.from_numpy(rows), examples)


def _packed(
    examples: list[Example], sizes: np.ndarray, starts: np.ndarray, head: Sequence[int]
) -> dict[str, torch.Tensor | bool]:
    """[1, T]: the head, and one row after the other. Positions start anew with each row, after the head's."""
    ids = np.concatenate([[*head], *(part for e in examples for part in (e.prompt, e.completion))]).astype(int)
    positions = np.arange(len(ids))
    positions[len(head) :] -= np.repeat(starts - len(head), sizes)
    inputs = {"input_ids": torch.from_numpy(ids)[None], "position_ids": torch.from_numpy(positions)[None]}
    return inputs | ({"headed": True} if head else {})


def _ends(sizes: np.ndarray) -> dict[str, torch.Tensor | int]:
    """Where rows begin and end, and a bound of their length, by the names that transformers gives them.

    The bound is rounded up, so that it has few different values.
    """
    longest = -(-int(sizes.max()) // 128) * 128
    ends = torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)])).int()
    return {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": longest, "max_length_k": longest}


def _padded(examples: list[Example], longest: int, pad_token_id: int) -> dict[str, torch.Tensor]:
    """[B, L], padded on the right."""
    ids = torch.full((len(examples), longest), pad_token_id)
    mask = torch.zeros((len(examples), longest), dtype=torch.long)
    for i, e in enumerate(examples):
        ids[i, : len(e)] = torch.tensor([*e.prompt, *e.completion])
        mask[i, : len(e)] = 1
    return {"input_ids": ids, "attention_mask": mask}
