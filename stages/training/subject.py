"""What is trained: a model, its task, the rows it learns from, and how rows become tokens."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from transformers import PreTrainedModel

from stages.common.rows import FormattedRow
from stages.tasks.causal import Causal
from stages.tasks.classifier import Classifier


@dataclass(frozen=True)
class Subject:
    """
    Args:
        model: the base, with a head where the method needs one.
        task: how examples become batches, and batches losses.
        rows: to train on.
        encode: rows in tokens, and how many of them were cut or left out.
        labels: of a classifier, in the order of its head; of others none.
    """

    model: PreTrainedModel
    task: Causal | Classifier
    rows: list[FormattedRow]
    encode: Callable[[Iterable[FormattedRow]], tuple[list, dict[str, int]]]
    labels: list[str]


def set_dropout(model: PreTrainedModel, dropout: str | float) -> None:
    """Set every dropout of the model to one rate, or leave all as they are where it is `own`.

    The model's configuration stays as it was.
    """
    if dropout == "own":
        return
    for module in model.modules():
        for key in ("p",) if "Dropout" in type(module).__name__ else ("attention_dropout", "dropout_prob"):
            if isinstance(getattr(module, key, None), float):
                setattr(module, key, dropout)


def has_dropout(model: PreTrainedModel) -> bool:
    """Whether a model that is trained draws random numbers: for dropout, for skipped layers, or to choose experts."""
    rates = (
        value
        for module in model.modules()
        for key, value in vars(module).items()
        if "drop" in key or "jitter" in key or (key == "p" and "Dropout" in type(module).__name__)
    )
    return any(isinstance(rate, float) and rate > 0 for rate in rates)
