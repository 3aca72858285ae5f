"""Every kind of model reads and answers as transformers has it: packed, by pieces, in batches of unlike prompts."""

import copy
from dataclasses import replace

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertLMHeadModel,
    PreTrainedModel,
)

from stages.common.errors import StageError
from stages.decoding import products
from stages.decoding.causal import batch_answers, caches, likelihood
from stages.decoding.causal.whole_rows import Whole
from stages.models import architectures, prompting
from stages.tasks import causal
from stages.tasks.batches import Example
from stages.tasks.score import score
from tests import kinds, tiny

VARIANTS = [(kind, place) for kind, settings in kinds.TESTED.items() for place in range(len(settings))]
CAPPED = ("gemma2", 0)  # attention with a cap on its scores is not replaced
HEAD = [*range(3, 3 + 2 * prompting.HEAD)]
PROMPTS = [prompting.encode_prompt(tiny.tokenizer(), row["messages"]) for row in tiny.rows(3)]
PROMPTS += [PROMPTS[0][:5], [tiny.PAD, *PROMPTS[1][:9]], [7]]


def loss(model: PreTrainedModel, example: Example) -> float:
    """Summed loss of an answer, read alone."""
    ids, count = torch.tensor([example.tokens]), len(example.prompt)
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits[0, count - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, ids[0, count:], reduction="sum").item()


def alone(model: PreTrainedModel, prompt: list[int]) -> list[int]:
    """New tokens by transformers, the end token left out."""
    ids = torch.tensor([prompt])
    options = {"do_sample": False, "pad_token_id": tiny.PAD, "eos_token_id": tiny.EOS, "max_new_tokens": 12}
    new = model.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, len(prompt) :].tolist()
    return new[: new.index(tiny.EOS)] if tiny.EOS in new else new


def together(model: PreTrainedModel, examples: list[Example], monkeypatch) -> tuple[list[list[int]], list[float]]:
    """New tokens of a batch of prompts, and the losses of the answers that were expected."""
    written, answers, options = [], batch_answers._Writing.answers, tiny.generation(max_new_tokens=12)
    monkeypatch.setattr(batch_answers._Writing, "answers", lambda self, p: written.extend(self.written) or answers(self, p))
    decoder = caches.steps(model, options.max_new_tokens)
    reading = likelihood.Reading(decoder, examples)
    batch_answers.answer(model, tiny.tokenizer(), [e.prompt for e in examples], options, [], decoder, reading)
    return written, [row.nll for row in reading.scores]


def check(model: PreTrainedModel, packed: bool, monkeypatch) -> None:
    """Losses and answers of `model` are those of transformers, row by row."""
    own, examples = copy.deepcopy(model), tiny.examples(6)
    task = causal.task(own, 200, sparing=True)
    assert task.layout == ("packed" if packed else "padded")
    monkeypatch.setattr(causal, "LOGITS", 9 * tiny.VOCABULARY)
    expected = [loss(model, example) for example in examples]
    assert [row.nll for row in score(own, examples, task)] == pytest.approx(expected, rel=1e-4)
    laid_out = products.lay_out(copy.deepcopy(model))
    asked = [Example("", prompt, example.completion) for prompt, example in zip(PROMPTS, examples, strict=True)]
    for batch in (asked, [replace(example, prompt=[*HEAD, *example.prompt]) for example in asked[:4]]):
        answered, losses = together(laid_out, batch, monkeypatch)
        assert answered == [alone(model, example.prompt) for example in batch]
        assert losses == pytest.approx([loss(model, example) for example in batch], rel=1e-4)


def test_the_kinds_that_are_not_tried_are_those_compared_here():
    assert kinds.TESTED.keys() == architectures.TESTED


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: f"{variant[0]} {variant[1]}")
def test_a_tested_kind_reads_and_answers_as_transformers_has_it(variant, monkeypatch):
    check(kinds.model(*variant), variant != CAPPED, monkeypatch)


@pytest.mark.parametrize("kind", kinds.OTHERS)
def test_any_other_kind_is_tried_first_and_reads_and_answers_as_transformers_has_it(kind, monkeypatch, capsys):
    model, (_, packed, kept) = kinds.model(kind), kinds.OTHERS[kind]
    check(model, packed, monkeypatch)
    assert isinstance(caches.steps(copy.deepcopy(model), 12), caches.Growing if kept else Whole)
    assert ("reads its row anew" in capsys.readouterr().err) == (not kept)


def test_a_try_leaves_the_model_as_it_was():
    model = copy.deepcopy(kinds.model("glm")).train()
    attention, numbers = model.config._attn_implementation, torch.get_rng_state()
    assert architectures.can_pack(model)
    assert model.training and model.config._attn_implementation == attention
    assert torch.equal(torch.get_rng_state(), numbers)


@pytest.mark.parametrize("decodes", [True, False])
def test_a_model_that_sees_what_comes_is_refused(decodes, tmp_path):
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = BertLMHeadModel(BertConfig(vocab_size=336, is_decoder=decodes, initializer_range=0.2, **small)).eval()
    if decodes:
        architectures.require_causal(model, tmp_path)
        return
    with pytest.raises(StageError, match="whose tokens see those after them"):
        architectures.require_causal(model, tmp_path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_rounding_is_no_difference_and_another_row_is(dtype):
    model = copy.deepcopy(kinds.model("glm")).to(dtype)
    first, second = architectures.tried_rows(model)
    with torch.no_grad():
        logits = model(input_ids=first[None]).logits[0]
        others = model(input_ids=torch.cat([first, second])[None]).logits[0]
    assert architectures.alike(logits, others[: len(first)])
    assert not architectures.alike(logits, others[-len(first) :])


SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 0}
READERS = {
    "bert": SMALL,
    "electra": SMALL | {"embedding_size": 32},
    "llama": SMALL,
    "modernbert": SMALL | {"local_attention": 6, "cls_token_id": 1, "sep_token_id": 2},
    "xlm-roberta": SMALL,
}


def reader(kind: str, settings: dict) -> PreTrainedModel:
    """A classifier with a wide head."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=336, num_labels=3, initializer_range=0.2, **settings)
    return AutoModelForSequenceClassification.from_config(config).eval()


@pytest.mark.parametrize("kind", READERS)
def test_padding_is_no_text_to_a_classifier(kind, tmp_path):
    architectures.require_mask(reader(kind, READERS[kind]), tmp_path)


@pytest.mark.parametrize("kind", ["fnet", "convbert"])
def test_a_classifier_that_reads_padding_is_refused(kind, tmp_path):
    with pytest.raises(StageError, match="reads padding as text"):
        architectures.require_mask(reader(kind, SMALL), tmp_path)
