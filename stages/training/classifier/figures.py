"""Figures of a classifier on the validation rows, by which its best state may be chosen."""

from collections import Counter

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.common.schema_models import ClassifierTraining
from stages.models.runtime import autocast, training_precision
from stages.tasks.classifier import Classifier, Labelled
from stages.training import memory
from stages.training.choosing import Figure


def accuracy(validation: list[Labelled], tokenizer: PreTrainedTokenizerBase, stop: list, params: ClassifierTraining) -> Figure:
    """The share of texts labelled right."""

    def measure(model: PreTrainedModel) -> float:
        answered = labels(model, validation, tokenizer, params)
        return sum(example.label == label for example, label in zip(validation, answered, strict=True)) / len(validation)

    return measure


def macro_f1(validation: list[Labelled], tokenizer: PreTrainedTokenizerBase, stop: list, params: ClassifierTraining) -> Figure:
    """F1 of each label that the validation rows have, averaged."""

    def measure(model: PreTrainedModel) -> float:
        return mean_f1([example.label for example in validation], labels(model, validation, tokenizer, params))

    return measure


def mean_f1(expected: list[int], answered: list[int]) -> float:
    """F1 of each label of `expected`, averaged. A label that is only answered counts by the recall that it costs the others."""
    right = Counter(label for label, other in zip(expected, answered, strict=True) if label == other)
    times_expected, times_answered = Counter(expected), Counter(answered)
    present = sorted(times_expected)
    return sum(2 * right[label] / (times_expected[label] + times_answered[label]) for label in present) / len(present)


@torch.no_grad()
def labels(
    model: PreTrainedModel, texts: list[Labelled], tokenizer: PreTrainedTokenizerBase, params: ClassifierTraining
) -> list[int]:
    """The likeliest label of each text, in order."""
    task = Classifier(memory.first(params.micro_tokens), tokenizer.pad_token_id, [])
    model.eval()
    answered = []
    with memory.enough_memory("validation", params), autocast(model.device, training_precision(params.precision, model.device)):
        for group in task.groups(texts):
            answered += model(**task.collate(group).to(model.device).inputs).logits.argmax(-1).tolist()
    model.train()
    return answered
