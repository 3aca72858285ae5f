"""The model directory: self-contained, standard, and the same bytes for the same weights.

`save` writes one safetensors shard a transformer block and one for every other tensor. Blocks that training left alone
are then the same files in every model of a base, and DVC's cache stores them once. No library version, path or date is
written: an update of a library must not change a model.
"""

import json
import re
from collections import defaultdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from stages.common.errors import StageError
from stages.models.contract import write_config

logging.set_verbosity_error()
logging.disable_progress_bar()

_CLASSES = {"causal": AutoModelForCausalLM, "encoder": AutoModel}
_VOLATILE = {
    "transformers_version",
    "_name_or_path",
    "_model_name_or_path",
    "name_or_path",
    "quantization_config",
    "_from_model_config",
    "is_local",
    "local_files_only",
}


def _stable(data: dict) -> dict:
    return {key: value for key, value in data.items() if key not in _VOLATILE}


def load_fetched(weights: Path, architecture: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A fetched model in float32 with its tokenizer; GGUF files are de-quantized."""
    folder, extra = (weights, {}) if weights.is_dir() else (weights.parent, {"gguf_file": weights.name})
    tokenizer = AutoTokenizer.from_pretrained(folder, **extra)
    return _CLASSES[architecture].from_pretrained(folder, dtype=torch.float32, **_safe(extra)), tokenizer


def _safe(extra: dict) -> dict:
    # a pickled pytorch_model.bin can run code: never opened. GGUF files are read by their own parser.
    return extra or {"use_safetensors": True}


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model directory."""
    _must_exist(folder)
    return AutoTokenizer.from_pretrained(folder)


def load(folder: Path, architecture: str = "causal", dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The model of a model directory, in evaluation mode on the CPU."""
    _must_exist(folder)
    return _CLASSES[architecture].from_pretrained(folder, dtype=dtype, use_safetensors=True).eval()


def _must_exist(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise StageError(folder, "no config.json", "a model directory", f"dvc repro, or dvc pull {folder}")


def _shard(name: str) -> str:
    """What a tensor shares its file with: its block (`model.layers.7`), else itself."""
    block = re.match(r"(.*?\.\d+)\.", name)
    return block[1] if block else name


def save(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write a model and its tokenizer (with its chat template) in the canonical form."""
    shards, kept = defaultdict(dict), {}
    for name, tensor in model.state_dict().items():
        place = (tensor.data_ptr(), tensor.shape)
        if kept.setdefault(place, name) == name:  # tied tensors are stored once
            shards[_shard(name)][name] = tensor.detach().to("cpu").contiguous()
    names = {shard: f"model-{number:05}-of-{len(shards):05}.safetensors" for number, shard in enumerate(shards, 1)}
    for shard, tensors in shards.items():
        save_file(tensors, folder / names[shard], metadata={"format": "pt"})
    write_config(
        folder / "model.safetensors.index.json",
        {
            "metadata": {
                "total_size": sum(t.numel() * t.element_size() for tensors in shards.values() for t in tensors.values())
            },
            "weight_map": {name: names[shard] for shard, tensors in shards.items() for name in tensors},
        },
    )
    write_config(
        folder / "config.json",
        _stable(model.config.to_diff_dict())
        | {"architectures": [type(model).__name__], "dtype": str(model.dtype).removeprefix("torch.")},
    )
    if model.can_generate():
        write_config(folder / "generation_config.json", _stable(model.generation_config.to_diff_dict()))
    tokenizer.save_pretrained(folder)
    config = _stable(json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")))
    if config.get("tokenizer_class") == "TokenizersBackend":  # transformers 5's name; 4 knows only the older one
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    write_config(folder / "tokenizer_config.json", config)


def is_hosted(folder: Path) -> bool:
    """Whether the model is served by a provider (`hosted.json`) and has no weights here."""
    return (folder / "hosted.json").is_file()


def context_length(folder: Path) -> int:
    """Tokens that the model in a directory can attend to."""
    return getattr(AutoConfig.from_pretrained(folder).get_text_config(), "max_position_embeddings", None) or 1 << 30
