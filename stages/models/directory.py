"""The model directory: self-contained, standard, and the same bytes for the same weights.

`save` writes one safetensors shard for each transformer block and one for every other tensor. Blocks that training left alone
are then the same files in every model of a base, and DVC's cache stores them once.

No library version, path or date is written, for an update of a library must not change a model.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from stages.common.errors import StageError
from stages.common.scratch import content_hash
from stages.models.contract import write_config
from stages.models.loading import alike_up_to, read_config, read_tokenizer, read_whole, require_finite

logging.set_verbosity_error()
logging.disable_progress_bar()

ADAPTER = "adapter"  # the folder of one that was not merged
_CLASSES = {"causal": AutoModelForCausalLM, "encoder": AutoModel, "classifier": AutoModelForSequenceClassification}
_WIDTHS = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}  # by the names that safetensors gives them
_AFTER_PADDING = {"camembert", "roberta", "xlm-roberta"}
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
    """A fetched model with its tokenizer. Its weights stay as wide as they came; GGUF files are de-quantized to float32.

    A pickled pytorch_model.bin can run code: it is never opened. GGUF files are read by their own parser.

    Raises:
        StageError: if either is not whole.
    """
    folder, gguf = (weights, {}) if weights.is_dir() else (weights.parent, {"gguf_file": weights.name})
    tokenizer, kind = read_tokenizer(folder, **gguf), _CLASSES[architecture]
    if gguf:
        model = read_whole(kind, folder, dtype=torch.float32, **gguf)
    else:
        read_config(folder)
        model = read_whole(kind, folder, ["pooler"] if architecture == "encoder" else [], dtype="auto", use_safetensors=True)
        if architecture == "encoder" and _lacks_pooler(folder, model):
            model = read_whole(kind, folder, dtype="auto", use_safetensors=True, add_pooling_layer=False)
    require_finite(model, weights)
    return model, tokenizer


def _lacks_pooler(folder: Path, model: PreTrainedModel) -> bool:
    """Whether a model's pooler, if it has one, was drawn at random: many encoders come without."""
    return any(name.startswith("pooler.") for name in model.state_dict()) and not any(
        "pooler." in name for name in _tensors(folder)
    )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model directory."""
    _must_exist(folder)
    return read_tokenizer(folder)


def load(
    folder: Path,
    architecture: str = "causal",
    dtype: torch.dtype | str = torch.float32,
    device: torch.device | None = None,
    **config,
) -> PreTrainedModel:
    """The model of a model directory, in evaluation mode.

    Args:
        dtype: what the weights are turned to; "auto": as they are stored.
        device: where they go; None: the CPU. They go tensor by tensor, so that they are never twice in memory.
        config: overrides what the model's configuration says.
    """
    _must_exist(folder)
    config = _padding(folder) | config
    if (folder / ADAPTER).is_dir():
        return _with_adapter(folder, architecture, dtype, device, config)
    place = {} if device is None or device.type == "cpu" else {"device_map": {"": device}}
    new = ["*"] if architecture == "classifier" and not _is_tuned(folder) else []
    return read_whole(_CLASSES[architecture], folder, new, dtype=dtype, use_safetensors=True, **place, **config).eval()


def _is_tuned(folder: Path) -> bool:
    """Whether it is a classifier with a head of its own."""
    return any(name.endswith("ForSequenceClassification") for name in read_config(folder).architectures or [])


def _padding(folder: Path) -> dict[str, None]:
    """What overrides a padding token that is none of the model's rows (-1, or one past the last)."""
    config = read_config(folder).get_text_config()
    pad = getattr(config, "pad_token_id", None)
    if config.model_type in _AFTER_PADDING:
        _has_padding(folder, config)
    return {} if pad is None or 0 <= pad < config.vocab_size else {"pad_token_id": None}


def _has_padding(folder: Path, config) -> None:
    if config.pad_token_id is None or not 0 <= config.pad_token_id < config.vocab_size:
        raise StageError(
            folder / "config.json",
            f"pad_token_id {config.pad_token_id}",
            f"0 to {config.vocab_size - 1}: models of kind {config.model_type} count positions from it",
            "set it to the padding token of the tokenizer",
        )


def _with_adapter(
    folder: Path, architecture: str, dtype: torch.dtype | str, device: torch.device | None, config: dict
) -> PreTrainedModel:
    """A plain model: an adapter, merged into the base that lies beside it.

    Raises:
        StageError: if the base is not there, or is not the one that the adapter was trained on.
    """
    from peft import PeftModel

    base = adapter_base(folder)
    labels = read_config(folder)
    if architecture == "classifier":
        config = {"id2label": labels.id2label, "label2id": labels.label2id} | config
    plain = load(base, architecture, dtype, device, **config)
    return PeftModel.from_pretrained(plain, folder / ADAPTER).merge_and_unload().eval()


def adapter_base(folder: Path) -> Path:
    """The base that lies beside an adapter.

    Raises:
        StageError: if it is not there, or another one than the adapter was trained on.
    """
    parent = json.loads((folder / "parent.json").read_text(encoding="utf-8"))
    base = folder.parent / parent["base"]
    sha256 = content_hash(base) if base.is_dir() else "no such directory"
    if sha256 != parent["sha256"]:
        raise StageError(
            base, sha256, f"the base of the adapter {folder}, sha256 {parent['sha256']}", f"dvc pull {base}, or dvc repro"
        )
    return base


def save_adapter(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write a peft model's adapter alone, with configuration and tokenizer. `parent.json` names its base."""
    model.save_pretrained(folder / ADAPTER)
    (folder / ADAPTER / "README.md").unlink(missing_ok=True)  # a template that says nothing
    settings = folder / ADAPTER / "adapter_config.json"
    config = json.loads(settings.read_text(encoding="utf-8"))
    lists = {key: sorted(value) for key, value in config.items() if isinstance(value, list)}
    write_config(settings, config | lists | {"base_model_name_or_path": None, "peft_version": None})
    _write_settings(folder, model.get_base_model(), tokenizer)


def load_classifier(folder: Path, labels: list[str], seed: int, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A classifier of `labels` to start training from: a tuned one, or a base that gets a head of random weights.

    Raises:
        StageError: if it has a head for other labels.
    """
    _must_exist(folder)
    before = read_config(folder)
    own_labels = [before.id2label[i] for i in range(len(before.id2label))]
    if _is_tuned(folder) and own_labels != labels:
        differing = sorted({*own_labels} ^ {*labels})
        raise StageError(
            folder,
            f"a head for {len(own_labels)} labels",
            f"the {len(labels)} labels of the dataset (these differ: {', '.join(differing[:5]) or 'their order'})",
            "start from a base without a head, or bring the dataset's labels back",
        )
    torch.manual_seed(seed)  # the head's random start
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    return load(folder, "classifier", dtype, **names)


def _must_exist(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise StageError(folder, "no config.json", "a model directory", f"dvc repro, or dvc pull {folder}")


def _shard(name: str) -> str:
    """The name of a tensor's file: that of its block (`model.layers.7`), or else its own."""
    block = re.match(r"(.*?\.\d+)\.", name)
    return block[1] if block else name


def weights(folder: Path) -> int:
    """How many weights a model directory holds. For an adapter, those of its base are counted."""
    if (folder / ADAPTER).is_dir():
        return weights(_parent(folder))
    return sum(math.prod(shape) for shape, _ in _tensors(folder).values())


def _parent(adapter: Path) -> Path:
    return adapter.parent / json.loads((adapter / "parent.json").read_text(encoding="utf-8"))["base"]


def _tensors(folder: Path) -> dict[str, tuple[list[int], torch.dtype]]:
    """Shape and type of every stored tensor, by name."""
    stored = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is no mapping)
                part = tensors.get_slice(name)
                stored[name] = part.get_shape(), _WIDTHS.get(part.get_dtype(), torch.float32)
    return stored


def stored_types(folder: Path) -> dict[str, torch.dtype]:
    """How wide each tensor of a model directory is stored, by name. For an adapter, those of its base."""
    if (folder / ADAPTER).is_dir():
        return stored_types(_parent(folder))
    return {name: dtype for name, (_, dtype) in _tensors(folder).items()}


def save(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, widths: Mapping[str, torch.dtype] | None = None
) -> None:
    """Write a model and its tokenizer (with its chat template) in the canonical form.

    Args:
        widths: by name, the type that a tensor is stored in. The others keep theirs.
    """
    state, names, name_at = model.state_dict(), defaultdict(list), {}
    for name, tensor in state.items():
        if name_at.setdefault((tensor.data_ptr(), tensor.shape), name) == name:  # tied tensors are stored once
            names[_shard(name)].append(name)
    file_of, size, widest = {}, 0, torch.int8
    for number, shard in enumerate(names.values(), 1):
        file = f"model-{number:05}-of-{len(names):05}.safetensors"
        # a shard at a time, for what is narrowed is in memory twice
        tensors = {name: state[name].detach().to("cpu", (widths or {}).get(name, state[name].dtype)) for name in shard}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / file, metadata={"format": "pt"})
        file_of |= dict.fromkeys(shard, file)
        size += sum(tensor.nbytes for tensor in tensors.values())
        widest = max((widest, *(tensor.dtype for tensor in tensors.values())), key=lambda dtype: dtype.itemsize)
    write_config(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": file_of})
    _write_settings(folder, model, tokenizer, widest)


def _write_settings(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype = torch.float32
) -> None:
    write_config(
        folder / "config.json",
        _stable(model.config.to_diff_dict())
        | {"architectures": [type(model).__name__], "dtype": str(dtype).removeprefix("torch.")},
    )
    if model.can_generate():
        write_config(folder / "generation_config.json", _stable(model.generation_config.to_diff_dict()))
    tokenizer.save_pretrained(folder)
    config = _stable(json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")))
    if config.get("tokenizer_class") == "TokenizersBackend":  # transformers 5's name; 4 knows only the older one
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    write_config(folder / "tokenizer_config.json", config)


def is_hosted(folder: Path) -> bool:
    """Whether a provider serves the model (`hosted.json`), so that it has no weights here."""
    return (folder / "hosted.json").is_file()


def context_length(folder: Path) -> int:
    """Tokens that the model in a directory can attend to."""
    _must_exist(folder)
    config = read_config(folder).get_text_config()
    places = getattr(config, "max_position_embeddings", None) or 1 << 30
    places = min(places, alike_up_to(config) or places)
    # RoBERTa's family counts positions from the one after padding's
    if config.model_type in _AFTER_PADDING:
        _has_padding(folder, config)
    return places - (config.pad_token_id + 1 if config.model_type in _AFTER_PADDING else 0)
