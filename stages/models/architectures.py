"""Kinds of model: some are held against transformers by the tests, others are tried before they are used.

Rows are read in ways of our own: end to end in one line (attention.py), or with keys and values that are kept from step to
step (stages/decoding/causal). Both are right only where tokens meet in attention alone, and all that attention is told reaches
our own. A model with states that run along a line (Mamba, RWKV), with sinks or with chunks would silently be another model.
"""

from pathlib import Path

import torch
from transformers import PreTrainedModel

from stages.common.errors import StageError
from stages.models import attention

# by `model_type` of config.json; tests/models/test_architectures.py compares them, windows and scaled positions too
TESTED = {
    "cohere",
    "cohere2",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gpt2",
    "gpt_neox",
    "granite",
    "llama",
    "ministral",
    "mistral",
    "mixtral",
    "olmo2",
    "olmo3",
    "opt",
    "phi",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "smollm3",
    "starcoder2",
}
FAILURES = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)  # of a try
LIKE = {torch.float32: 1e-3}  # how far two ways of reading may be apart, as a share of how far logits spread
LIKE_IN_HALF = 0.25


def can_pack(model: PreTrainedModel) -> bool:
    """Whether `attention.packed_rows` may stand for the model's attention: rows end to end read as each does alone."""
    config = model.config.get_text_config()
    if not model._supports_attention_backend or getattr(config, "attn_logit_softcapping", None):
        return False
    return is_tested(model) or (_sees_everything(model) and _packs(model))


def is_tested(model: PreTrainedModel) -> bool:
    """Whether the tests hold its kind against transformers."""
    return model.config.model_type in TESTED


def require_causal(model: PreTrainedModel, base: Path) -> None:
    """
    Raises:
        StageError: if a token sees those after it, as in an encoder: what it is to say would be read off.
    """
    if is_tested(model):
        return
    first, _ = tried_rows(model)
    later = first.clone()
    later[-1] = (later[-1] + 1) % model.get_input_embeddings().num_embeddings
    before, after = (_alone(model, row)[:-1] for row in (first, later))
    if not alike(before, after):
        raise StageError(
            base, f"a {model.config.model_type} whose tokens see those after them", "a causal model", "choose another base"
        )


@torch.no_grad()
def require_mask(model: PreTrainedModel, base: Path) -> None:
    """
    Raises:
        StageError: if padding changes what a classifier says of a text, as in models that mix tokens without a mask (FNet).
    """
    pad, (first, second) = model.config.pad_token_id, tried_rows(model)
    row = first[first != pad]
    padded = torch.cat([row, torch.full_like(second, pad)])
    mask = (torch.arange(len(padded), device=row.device) < len(row)).long()
    alone = model(input_ids=row[None], attention_mask=torch.ones_like(row)[None]).logits
    if not alike(model(input_ids=padded[None], attention_mask=mask[None]).logits, alone):
        words = f"a {model.config.model_type}, which reads padding as text"
        raise StageError(base, words, "a model that a mask keeps from it", "choose another base")


def tried_rows(model: PreTrainedModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Two rows of unlike tokens [13] and [27]."""
    tokens = torch.arange(3, 43, device=model.device) * 7 % model.get_input_embeddings().num_embeddings
    return tokens[:13], tokens[13:]


def alike(logits: torch.Tensor, others: torch.Tensor) -> bool:
    """Whether two ways of reading give the same logits, but for rounding. What is no number is like anything."""
    if others.isnan().any():  # which is told where it does harm
        return True
    least = LIKE.get(others.dtype, LIKE_IN_HALF) * others.float().std()
    return bool(((logits.float() - others.float()).abs() <= least).all())


def _sees_everything(model: PreTrainedModel) -> bool:
    """Whether, by its configuration, every token sees all before it by attention alone. A window is longer than any try."""
    config = model.config.get_text_config()
    kinds = {*(getattr(config, "layer_types", None) or [])}
    windowed = not kinds and getattr(config, "sliding_window", None)
    return kinds <= {"full_attention"} and not windowed and not model._is_stateful


@torch.no_grad()
def _alone(model: PreTrainedModel, row: torch.Tensor) -> torch.Tensor:
    """Logits [L, V] of one row, as transformers reads it."""
    return model.eval()(input_ids=row[None], use_cache=False).logits[0]


@torch.no_grad()
def _packs(model: PreTrainedModel) -> bool:
    """Whether two rows in one line read as each does alone."""
    rows, training, own_attention = tried_rows(model), model.training, model.config._attn_implementation
    alone = torch.cat([_alone(model, row) for row in rows])
    sizes = torch.tensor([0, *map(len, rows)], device=model.device)
    ends, longest = sizes.cumsum(0).int(), int(sizes.max())
    positions = torch.cat([torch.arange(len(row), device=model.device) for row in rows])
    named = {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": longest, "max_length_k": longest}
    try:
        model.set_attn_implementation(attention.NAME)
        line = model(input_ids=torch.cat(rows)[None], position_ids=positions[None], use_cache=False, **named).logits[0]
        return line.shape == alone.shape and alike(line, alone)
    except FAILURES:
        return False
    finally:
        model.set_attn_implementation(own_attention)
        model.train(training)
