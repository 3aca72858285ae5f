"""Figures of the answers that a language model writes to the validation rows, by which its best state may be chosen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from sacrebleu.metrics import CHRF
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.common.schema_models import CausalTraining
from stages.common.text_keys import until
from stages.models import attention, templates
from stages.models.prompting import before_end, end_tokens
from stages.models.runtime import autocast, training_precision
from stages.tasks.batches import Example
from stages.tasks.name_lists import micro_f1
from stages.training import memory
from stages.training.choosing import Figure

ROWS = 32  # answered together; of like length, so that little is padding


def parts_f1(validation: list[Example], tokenizer: PreTrainedTokenizerBase, stop: list[str], params: CausalTraining) -> Figure:
    """F1 of the names in all answers together."""
    return _of_answers(micro_f1, validation, tokenizer, stop, params)


def chrf(validation: list[Example], tokenizer: PreTrainedTokenizerBase, stop: list[str], params: CausalTraining) -> Figure:
    """Corpus chrF of the answers."""
    return _of_answers(corpus_chrf, validation, tokenizer, stop, params)


def corpus_chrf(expected: list[str], written: list[str]) -> float:
    """From 0 to 100 (Popović 2015)."""
    return CHRF().corpus_score(written, [expected]).score


def _of_answers(
    value: Callable[[list[str], list[str]], float],
    validation: list[Example],
    tokenizer: PreTrainedTokenizerBase,
    stop: list[str],
    params: CausalTraining,
) -> Figure:
    """What `value` makes of the expected and the written answers. An answer may be as long as the longest expected one."""
    expected = [text(tokenizer, example.completion, stop) for example in validation]

    def measure(model: PreTrainedModel) -> float:
        with (
            memory.enough_memory("validation", params),
            autocast(model.device, training_precision(params.precision, model.device)),
        ):
            written = answers(model, validation, tokenizer)
        return value(expected, [text(tokenizer, tokens, stop) for tokens in written])

    return measure


def text(tokenizer: PreTrainedTokenizerBase, tokens: list[int], stop: list[str]) -> str:
    """What an answer says: up to a stop string, without what the template writes before every answer."""
    lead = templates.turn(tokenizer).lead.strip()
    return until(tokenizer.decode(tokens, skip_special_tokens=True), stop).strip().removeprefix(lead).strip()


@torch.no_grad()
def answers(model: PreTrainedModel, examples: list[Example], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """The greedy answer to each example's prompt in tokens, in order. Random numbers are as before."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].prompt))
    written: dict[int, list[int]] = {}
    model.eval()
    with _one_by_one(model):
        for start in range(0, len(order), ROWS):
            group = order[start : start + ROWS]
            written |= zip(group, _greedy(model, [examples[i] for i in group], tokenizer), strict=True)
    model.train()
    return [written[i] for i in range(len(examples))]


def _greedy(model: PreTrainedModel, group: list[Example], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    longest = max(len(example.prompt) for example in group)
    ids = torch.zeros((len(group), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, example in enumerate(group):  # padded on the left: all rows go on at the same column
        ids[row, longest - len(example.prompt) :] = torch.tensor(example.prompt)
        mask[row, longest - len(example.prompt) :] = 1
    ends = end_tokens(model, tokenizer)
    written = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        do_sample=False,
        repetition_penalty=1.0,  # whatever the base's own settings say
        max_new_tokens=max(len(example.completion) for example in group),
        eos_token_id=ends,
        pad_token_id=ends[0],
        synced_gpus=hasattr(model, "in_forward"),  # it is shared out: a process that is done goes on with the others
    )
    return [before_end(tokens, {*ends}) for tokens in written[:, longest:].tolist()]


@contextmanager
def _one_by_one(model: PreTrainedModel) -> Iterator[None]:
    """Rows that are packed for training stand each in a line of its own while answers are written."""
    packed = model.config._attn_implementation == attention.NAME
    if packed:
        model.set_attn_implementation("sdpa")
    yield
    if packed:
        model.set_attn_implementation(attention.NAME)
