"""The base as training starts from it: how wide its weights are, and whether they fit the card.

Weights that learn are float32. The others are kept in the precision of the matrix products (bf16 on a GPU), or in four bits:
NF4 with double quantization (QLoRA, arXiv 2305.14314).
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import PreTrainedModel

from stages.common.errors import StageError
from stages.common.schema_models import CausalTraining
from stages.models import directory, runtime
from stages.training import memory, processes


def load(name: str, base: Path, params: CausalTraining) -> PreTrainedModel:
    """The language model to train, on the device that trains it.

    Raises:
        StageError: if it cannot be kept in four bits here, or does not fit the card.
    """
    device, tune = runtime.device(), params.tune
    parameter = f"models.{name}.train.tune"
    if tune.kind != "lora":  # what learns starts from float32; the rest is narrowed when it is frozen
        dtype = _to_share_out(base, params)
        memory.require_room(parameter, base, memory.LEARNING if tune.kind == "full" else 4, device, dtype.itemsize)
        model = directory.load(base, dtype=dtype, device=device)
        return model if _is_exact(model) else directory.load(base, device=device)
    dtype = runtime.training_precision(params.precision, device)
    if tune.base == "plain":
        memory.require_room(parameter, base, dtype.itemsize, device, dtype.itemsize)
        return directory.load(base, dtype=dtype, device=device)
    _can_quantize(parameter, base, device)
    memory.require_room(parameter, base, memory.FOUR_BITS, device)
    return directory.load(base, dtype=dtype, device=device, quantization_config=four_bits(dtype))


def _to_share_out(base: Path, params: CausalTraining) -> torch.dtype:
    """What a base is loaded in. It is float32, or as narrow as it is stored where all of it learns and is shared out: a share
    is widened when it is cut (`processes.shard`), so that the whole of it is never in float32 on one card."""
    types = {*directory.stored_types(base).values()}
    cut = processes.sharded() and params.tune.kind == "full" and params.wrong_rows == "none"  # those are found in float32
    return types.pop() if cut and len(types) == 1 and not (base / directory.ADAPTER).is_dir() else torch.float32


def _is_exact(model: PreTrainedModel) -> bool:
    """Whether a model's own constants are in float32. Those of some models are rounded to the type of the weights."""
    return all(constant.dtype is torch.float32 for constant in model.buffers() if constant.is_floating_point())


def four_bits(dtype: torch.dtype):
    """NF4 with double quantization, products in `dtype`."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def _can_quantize(parameter: str, base: Path, device: torch.device) -> None:
    if processes.sharded():
        fix = "set it to plain, or unset AFFINAGE_SHARD: each process then holds the base in four bits"
        raise StageError(f"{parameter}.base", "4bit with AFFINAGE_SHARD", "weights that can be shared out", fix)
    if device.type != "cuda":
        raise StageError(f"{parameter}.base", "4bit on a machine without a GPU", "a GPU", "set it to plain")
    if not find_spec("bitsandbytes"):
        fix = "pip install bitsandbytes, or set it to plain"
        raise StageError(f"{parameter}.base", "4bit without the package bitsandbytes", "bitsandbytes", fix)
    if (base / directory.ADAPTER).is_dir():
        raise StageError(
            f"{parameter}.base",
            f"4bit on {base}, which is an adapter without its base's weights",
            "a base with all weights",
            "set tune.save: merged in the round before, or this to plain",
        )
