"""Tiny models with random weights of many kinds of causal model, by their `model_type`, with windows shorter than the rows."""

from functools import cache

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tests import tiny

WINDOW = 6
_COMMON = {"max_position_embeddings": tiny.CONTEXT, "vocab_size": tiny.VOCABULARY, "initializer_range": 0.2}
_COMMON |= {"pad_token_id": tiny.PAD, "bos_token_id": tiny.BOS, "eos_token_id": tiny.EOS}
_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
_GROUPED = _SMALL | {"num_key_value_heads": 2}
_SIZED = _GROUPED | {"head_dim": 8}
_MIXED = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": WINDOW}
_OLD = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": tiny.CONTEXT}
_EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_SCALED = {"embedding_multiplier": 3.0, "logits_scaling": 4.0, "residual_multiplier": 0.5, "attention_multiplier": 0.3}
_STATES = {"layer_types": ["linear_attention", "full_attention", "linear_attention"]}
_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 1e4}
_LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 1e4}

TESTED = {
    "cohere": [_GROUPED | {"logit_scale": 0.25}],
    "cohere2": [_SIZED | _MIXED | {"logit_scale": 0.25}],
    "gemma": [_SIZED],
    "gemma2": [_SIZED | _MIXED, _SIZED | _MIXED | {"attn_logit_softcapping": None}],
    "gemma3_text": [_SIZED | _MIXED],
    "gpt2": [_OLD],
    "gpt_neox": [_SMALL],
    "granite": [_GROUPED | _SCALED],
    "llama": [_GROUPED | {"rope_parameters": _LLAMA3 | {"original_max_position_embeddings": 64}}],
    "ministral": [_SIZED | _MIXED],
    "mistral": [_GROUPED | {"sliding_window": WINDOW}, _GROUPED | {"sliding_window": None, "rope_parameters": _YARN}],
    "mixtral": [_GROUPED | _EXPERTS | {"sliding_window": WINDOW}],
    "olmo2": [_GROUPED],
    "olmo3": [_GROUPED | _MIXED],
    "opt": [_SMALL | {"ffn_dim": 64, "word_embed_proj_dim": 32, "init_std": 0.2}],
    "phi": [_SMALL],
    "phi3": [_GROUPED | {"sliding_window": WINDOW}],
    "qwen2": [_GROUPED | _MIXED | {"use_sliding_window": True}],
    "qwen3": [_SIZED | _MIXED | {"use_sliding_window": True}],
    "qwen3_moe": [_SIZED | _EXPERTS | {"use_sliding_window": True, "sliding_window": WINDOW}],
    "smollm3": [_GROUPED | {"no_rope_layers": [1, 0, 1]}],
    "starcoder2": [_GROUPED | {"sliding_window": WINDOW}],
}
OTHERS = {  # and whether rows may be packed, and keys and values be kept
    "bloom": ({"hidden_size": 32, "n_layer": 3, "n_head": 4}, False, True),
    "exaone4": (_SIZED | _MIXED, False, True),
    "falcon": (_SMALL | {"alibi": True}, False, True),
    "glm": (_SIZED, True, True),
    "gpt_neo": (
        {"hidden_size": 32, "num_layers": 4, "num_heads": 4, "attention_types": [[["global", "local"], 2]]}
        | {"window_size": WINDOW},
        False,
        True,
    ),
    "gpt_oss": (_SIZED | _EXPERTS | _MIXED, False, True),
    "granitemoehybrid": (
        _GROUPED
        | _EXPERTS
        | {"layer_types": ["mamba", "attention", "mamba"], "shared_intermediate_size": 32}
        | {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8},
        False,
        False,
    ),
    "lfm2": (_GROUPED | {"layer_types": ["conv", "full_attention", "conv"]}, False, False),
    "llama4_text": (
        _SIZED
        | {"intermediate_size_mlp": 64, "attention_chunk_size": 8, "moe_layers": [1], "no_rope_layers": [1, 1, 0]}
        | {"num_local_experts": 2, "num_experts_per_tok": 1},
        False,
        True,
    ),
    "mamba": ({"hidden_size": 32, "num_hidden_layers": 3, "state_size": 8}, False, False),
    "mpt": ({"d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": tiny.CONTEXT}, False, True),
    "nemotron": (_SIZED, False, True),
    "openai-gpt": (_OLD, False, False),
    "qwen3_5_text": (
        _SIZED
        | _STATES
        | {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
        False,
        False,
    ),
    "rwkv": (
        {"hidden_size": 32, "num_hidden_layers": 3, "attention_hidden_size": 32, "context_length": tiny.CONTEXT},
        False,
        False,
    ),
}


@cache
def model(kind: str, variant: int = 0, **changes) -> PreTrainedModel:
    """A tiny model in evaluation mode, with logits far enough apart for a best token without ties; not to be changed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = TESTED[kind][variant] if kind in TESTED else OTHERS[kind][0]
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **_COMMON | settings | changes)).float().eval()
