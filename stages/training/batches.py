"""From rows to tensors: tokens, masks, and batches that fit in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from stages.common.errors import StageError
from stages.models.prompting import encode_prompt


@dataclass(frozen=True)
class Example:
    """One row in tokens. Only `completion` is learned and scored; it ends with the end token unless it was cut."""

    id: str
    prompt: list[int]
    completion: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


@dataclass(frozen=True)
class Batch:
    """Tensors of one forward pass.

    `inputs`: keyword arguments of the model; `logits_to_keep` among them, so that no logits are made for prompts.
    `take`: (row, column) of every target's logits in what the model returns, each [n].
    `targets`: token ids [n]. `rows`: which example each target belongs to [n].
    """

    inputs: dict[str, torch.Tensor]
    take: tuple[torch.Tensor, torch.Tensor]
    targets: torch.Tensor
    rows: torch.Tensor
    examples: list[Example]


def encode(row: dict, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Example | None:
    """A formatted row in tokens. An answer that is too long is cut and loses its end token, for it does not end there.

    Returns:
        None if the prompt alone takes all of `max_tokens`.

    Raises:
        StageError: if the answer has no token at all: such a row would count as a loss of zero.
    """
    prompt = encode_prompt(tokenizer, row["messages"])
    answer = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
    if not answer or not prompt:
        raise StageError(
            f"row {row['id']}",
            f"{len(prompt)} prompt and {len(answer)} answer tokens",
            "at least one of each",
            "look at the row in data/<dataset>/formatted, and at the label stage's `required`",
        )
    room = max_tokens - len(prompt)
    return Example(row["id"], prompt, [*answer, tokenizer.eos_token_id][:room]) if room > 0 else None


def encode_all(
    rows: Iterable[dict], tokenizer: PreTrainedTokenizerBase, max_tokens: int
) -> tuple[list[Example], dict[str, int]]:
    """All rows in tokens, and how many were cut or left out for their length."""
    if tokenizer.eos_token_id is None:
        raise StageError(
            "tokenizer",
            "no end token",
            "a tokenizer with eos_token: a model must learn where to stop",
            "choose another base",
        )
    examples, counts = [], {"rows": 0, "cut": 0, "prompt_too_long": 0}
    for row in rows:
        example = encode(row, tokenizer, max_tokens)
        counts["rows"] += 1
        if example is None:
            counts["prompt_too_long"] += 1
            continue
        counts["cut"] += example.completion[-1] != tokenizer.eos_token_id
        examples.append(example)
    return examples, counts


def micro_batches(examples: list[Example], micro_tokens: int, packing: bool) -> Iterator[list[Example]]:
    """Examples in their order, as many at a time as fit in `micro_tokens` (padding counted); at least one."""
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


def collate(examples: list[Example], packing: bool, pad_token_id: int, where: torch.device) -> Batch:
    """Tensors for one micro-batch, packed end to end or padded on the right."""
    place = _packed(examples) if packing else _padded(examples, pad_token_id)
    inputs, positions = place
    # the logits that predict token i of a row stand at its place i - 1
    columns = [positions[i] + column - 1 for i, e in enumerate(examples) for column in range(len(e.prompt), len(e))]
    lines = [0 if packing else i for i, e in enumerate(examples) for _ in e.completion]
    keep = sorted(set(columns))
    index = {column: i for i, column in enumerate(keep)}
    inputs["logits_to_keep"] = torch.tensor(keep)
    take = torch.tensor(lines), torch.tensor([index[column] for column in columns])
    targets = torch.tensor([token for e in examples for token in e.completion])
    rows = torch.tensor([i for i, e in enumerate(examples) for _ in e.completion])
    move = {name: tensor.to(where) for name, tensor in inputs.items()}
    return Batch(move, (take[0].to(where), take[1].to(where)), targets.to(where), rows.to(where), examples)


def _packed(examples: list[Example]) -> tuple[dict[str, torch.Tensor], list[int]]:
    """[1, T]: positions start anew with each row, and the mask [1, 1, T, T] lets a token see its own row's past only."""
    lengths = torch.tensor([len(e) for e in examples])
    owner = torch.repeat_interleave(torch.arange(len(examples)), lengths)
    starts = torch.cumsum(lengths, 0) - lengths
    positions = torch.arange(len(owner)) - starts[owner]
    visible = (owner[:, None] == owner[None, :]).tril()
    mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
    ids = torch.tensor([token for e in examples for token in (*e.prompt, *e.completion)])
    return {
        "input_ids": ids[None],
        "position_ids": positions[None],
        "attention_mask": mask[None, None],
    }, starts.tolist()


def _padded(examples: list[Example], pad_token_id: int) -> tuple[dict[str, torch.Tensor], list[int]]:
    """[B, L], padded on the right."""
    longest = max(map(len, examples))
    ids = torch.full((len(examples), longest), pad_token_id)
    mask = torch.zeros((len(examples), longest), dtype=torch.long)
    for i, e in enumerate(examples):
        ids[i, : len(e)] = torch.tensor([*e.prompt, *e.completion])
        mask[i, : len(e)] = 1
    return {"input_ids": ids, "attention_mask": mask}, [0] * len(examples)
