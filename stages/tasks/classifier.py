"""The task of a classifier: a text's label, by a head over an encoder or over a decoder's last token."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.common.errors import StageError
from stages.common.rows import FormattedLabel
from stages.models import tokenizer_marks
from stages.tasks.batches import Batch, left_out, micro_batches


@dataclass(frozen=True)
class Labelled:
    """One text in tokens, and the place of its label."""

    id: str
    tokens: list[int]
    label: int
    targets = 1

    def __len__(self) -> int:
        return len(self.tokens)


def encode_texts(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> list[list[int]]:
    """Each text in tokens with the tokenizer's own beginning and end, cut to `max_tokens`.

    A mark of the tokenizer in a text is read as letters.

    Raises:
        Unreadable: if a mark cannot be read as letters.
    """
    return [tokenizer_marks.encode_text(tokenizer, text, max_tokens, bounds=True) for text in texts]


def encode_all(
    rows: Iterable[FormattedLabel], tokenizer: PreTrainedTokenizerBase, max_tokens: int, labels: list[str]
) -> tuple[list[Labelled], dict[str, int]]:
    """All rows of task `label` in tokens, and counts:

    - `rows`: all.
    - `cut`: cut for their length.
    - `marked`: with a mark of the tokenizer in their text.
    - `refused`, if any: left out, for such a mark cannot be read as letters.

    Raises:
        StageError: naming a row whose label is none of `labels`, or whose text has no token.
    """
    place = {label: i for i, label in enumerate(labels)}
    examples, counts, unreadable = [], {"rows": 0, "cut": 0, "marked": 0}, {}
    for row in rows:
        if row["label"] not in place:
            raise StageError(f"row {row['id']}", f"label {row['label']!r}", f"one of {', '.join(labels)}", "dvc repro")
        counts["rows"] += 1
        try:
            (tokens,) = encode_texts([row["text"]], tokenizer, max_tokens)
        except tokenizer_marks.Unreadable as reason:
            unreadable[row["id"]] = reason.reason
            continue
        if not tokens:
            raise StageError(f"row {row['id']}", "a text without a token", "at least one", "edit datasets.<name>.label")
        counts["cut"] += (
            len(tokens) == max_tokens and len(tokenizer_marks.encode_text(tokenizer, row["text"], bounds=True)) > max_tokens
        )
        counts["marked"] += tokenizer_marks.marks(tokenizer).inside(row["text"])
        examples.append(Labelled(row["id"], tokens, place[row["label"]]))
    return examples, counts | left_out(unreadable)


def class_weights(examples: list[Labelled], classes: int, kind: str) -> list[float]:
    """A weight for each class. With `none` it is 1. With `balanced` all classes weigh the same in total.

    The mean weight of the examples is 1.
    """
    if kind == "none":
        return [1.0] * classes
    counts = Counter(example.label for example in examples)
    present = len(counts)
    return [len(examples) / (present * counts[label]) if counts[label] else 0.0 for label in range(classes)]


def set_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give model and tokenizer a padding token. A decoder's head finds a text's last token by it.

    Raises:
        StageError: if the tokenizer has no token that can be one.
    """
    rows = model.get_input_embeddings().num_embeddings
    named = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.sep_token_id)
    usable = [token for token in named if token is not None and 0 <= token < rows]
    if not usable:
        raise StageError("tokenizer of the base", "no padding and no end token", "one of them", "choose another base")
    last = tokenizer("a")["input_ids"][-1]  # a token that ends texts, used for padding, would not count as their last token
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(next((token for token in usable if token != last), usable[0]))
    model.config.pad_token_id = tokenizer.pad_token_id


@dataclass(frozen=True)
class Classifier:
    """
    Args:
        micro_tokens: of a micro-batch, padding counted.
        pad_token_id: what padding is made of.
        weights: of each class in the loss.
    """

    micro_tokens: int
    pad_token_id: int
    weights: list[float]

    def groups(self, examples: list[Labelled]) -> list[list[Labelled]]:
        """Micro-batches of examples, in their order."""
        return list(micro_batches(examples, self.micro_tokens, False))

    def collate(self, group: list[Labelled]) -> Batch:
        """[B, L], padded on the right. Attention sees no padding."""
        ids = torch.full((len(group), max(map(len, group))), self.pad_token_id)
        mask = torch.zeros_like(ids)
        for i, example in enumerate(group):
            ids[i, : len(example)] = torch.tensor(example.tokens)
            mask[i, : len(example)] = 1
        targets = torch.tensor([example.label for example in group])
        return Batch({"input_ids": ids, "attention_mask": mask}, None, targets, torch.arange(len(group)), group)

    def forward(self, model: PreTrainedModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Weighted cross-entropy in nats [B] and whether the best label was the right one [B]."""
        logits = model(**batch.inputs).logits.float()
        weights = logits.new_tensor(self.weights)
        loss = cross_entropy(logits, batch.targets, weight=weights, reduction="none")
        return loss, logits.detach().argmax(-1) == batch.targets

    def weight(self, examples: list[Labelled]) -> float:
        """The summed weights of the examples' classes."""
        return sum(self.weights[example.label] for example in examples)

    def compiled(self) -> "Classifier":
        """The same task: a loss over a few labels is not worth compiling."""
        return self
