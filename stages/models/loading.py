"""Reading a model whole or not at all. Weights that a checkpoint lacks, transformers draws at random, with a warning at most.

What is refused: weights that are missing, of another shape, of blocks that the configuration does not name, or no numbers; a
file that is cut off or not there; weights that are quantized; code that comes with a model.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from stages.common.errors import StageError, wording

NO_CODE = {"trust_remote_code": False}  # else transformers asks whether code of the hub may run, and waits
BROKEN = (OSError, RuntimeError, ValueError, SafetensorError, StrictDataclassError)
AGAIN = "dvc checkout, or fetch it again; a base of the hub is kept below .cache/base"


def read_config(folder: Path) -> PreTrainedConfig:
    """The configuration of a model directory.

    Raises:
        StageError: if transformers cannot read it, or the weights are quantized.
    """
    try:
        config = AutoConfig.from_pretrained(folder, **NO_CODE)
    except BROKEN as error:
        fix = f"choose a base of a kind that transformers has, without code of its own; or {AGAIN}"
        raise StageError(folder / "config.json", wording(error), "a model that transformers knows", fix) from None
    if quantized := getattr(config, "quantization_config", None):
        kind = quantized.get("quant_method", "an unknown way") if isinstance(quantized, dict) else type(quantized).__name__
        fix = "choose the base's revision in bf16 or float32; to train it in four bits, set train.tune.base: 4bit"
        raise StageError(folder / "config.json", f"weights quantized by {kind}", "plain weights", fix)
    return config


def read_tokenizer(folder: Path, **options) -> PreTrainedTokenizerBase:
    """The tokenizer of a model directory.

    Raises:
        StageError: if there is none, or it knows nothing but marks.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **NO_CODE, **options)
    except BROKEN as error:
        raise StageError(folder, f"no tokenizer ({wording(error)})", "one that transformers reads", AGAIN) from None
    if len(tokenizer) <= len(tokenizer.added_tokens_decoder):  # transformers makes an empty one where there are no files
        raise StageError(folder, f"a tokenizer of {len(tokenizer)} tokens", "tokenizer.json or its like", AGAIN)
    return tokenizer


def read_whole(kind: type, folder: Path, new: Iterable[str] = (), **options) -> PreTrainedModel:
    """A model all of whose weights are in its files.

    Args:
        kind: one of transformers' classes that find a model's own (`AutoModelForCausalLM`).
        new: names of modules that may be drawn at random; `*` stands for those above the base, and its pooler.
        options: of `from_pretrained`.

    Raises:
        StageError: naming the weights or the file.
    """
    try:
        model, report = kind.from_pretrained(
            folder, output_loading_info=True, ignore_mismatched_sizes=True, **NO_CODE, **options
        )
    except torch.OutOfMemoryError:
        raise
    except BROKEN as error:
        raise StageError(folder, wording(error), "whole safetensors weights of a kind that is asked for", AGAIN) from None
    _check_shapes(folder, report["mismatched_keys"])
    missing = sorted(name for name in report["missing_keys"] if not _may_be_new(model, name, new))
    if missing:
        fix = f"choose a base that is a {type(model).__name__} with all its weights, or {AGAIN}"
        raise StageError(folder, f"no weights for {_some(missing)}", f"all of a {type(model).__name__}", fix)
    blocks = {place for name in model.state_dict() if (place := _blocks(name))}
    if others := sorted(name for name in report["unexpected_keys"] if _blocks(name) in blocks):
        fix = "mend config.json, or choose a base whose config.json names all that it has"
        raise StageError(folder, f"weights that config.json has no place for: {_some(others)}", "a place for each", fix)
    apart = sorted(report["unexpected_keys"])
    if apart and model.can_generate():  # an encoder is wanted without the head that it was trained with
        print(f"{folder}: a {type(model).__name__} has no place for, and is read without: {_some(apart)}", file=sys.stderr)
    return model


def require_finite(model: PreTrainedModel, source: Path) -> None:
    """
    Raises:
        StageError: naming the weights that hold NaN or an infinity.
    """
    broken = [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]
    if broken:
        raise StageError(source, f"weights that are no numbers: {_some(broken)}", "finite weights", "choose another base")


def alike_up_to(config: PreTrainedConfig) -> int | None:
    """Tokens up to which longrope (arXiv 2402.13753) turns all rows alike; None: it is not that.

    Of longer rows, one in a batch would have the others turned otherwise.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = [part for part in (rope, *rope.values()) if isinstance(part, dict) and part.get("rope_type") == "longrope"]
    return min((part["original_max_position_embeddings"] for part in kinds), default=None)


def _check_shapes(folder: Path, mismatched: Iterable[tuple]) -> None:
    for name, stored, expected in sorted(mismatched):
        fix = "mend config.json (vocab_size and its like), or choose another base"
        raise StageError(folder, f"{name} of shape {list(stored)}", f"{list(expected)}, by config.json", fix)


def _may_be_new(model: PreTrainedModel, name: str, new: Iterable[str]) -> bool:
    base = f"{model.base_model_prefix}."
    head = not name.startswith(base) or name.startswith(f"{base}pooler.")
    return any(head if part == "*" else name.startswith(f"{part}.") for part in new)


def _blocks(name: str) -> str | None:
    """Where the block of a tensor stands: `model.layers` of `model.layers.7.mlp.up_proj.weight`."""
    block = re.match(r"(.*?)\.\d+\.", name)
    return block[1] if block else None


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
