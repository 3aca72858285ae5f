"""A model directory as one GGUF file, the format of llama.cpp and Ollama.

Tensors go out under llama.cpp's names, one at a time; the tokenizer and the chat template go with them. What would be read
otherwise than `transformers` reads it (another architecture, scaled positions, an unknown way of splitting text) is
refused, for a wrong file still loads and answers nonsense.
"""

import inspect
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from stages.common.errors import StageError
from stages.common.files import atomic_directory
from stages.decoding.causal.exported.quantizing import quantize
from stages.decoding.causal.exported.tensors import shapes, tensors
from stages.models.directory import load_tokenizer, stored_types
from stages.models.loading import read_config
from stages.models.templates import turn

CONVERTER = "llama.cpp's own convert_hf_to_gguf.py reads the same directory"
ARCHITECTURES = {
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "phi": gguf.MODEL_ARCH.PHI2,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
}
TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
BY_LLAMA_CPP = {"q4_k_m": "Q4_K_M"}  # a mixture of types, tensor by tensor, that llama.cpp's own program decides
_INPUTS_FIRST = ("c_attn.weight", "c_proj.weight", "c_fc.weight")  # GPT-2 keeps these transposed


def write_gguf(folder: Path, out: Path, name: str, kind: str) -> Path:
    """Write `out/<name>.gguf`; returns its path.

    Args:
        kind: of the matrices, a name of TYPES or BY_LLAMA_CPP; vectors stay f32.

    Raises:
        StageError: if llama.cpp would not compute what transformers does.
    """
    if kind in BY_LLAMA_CPP:
        with atomic_directory(out) as partial:
            wide = "bf16" if {*stored_types(folder).values()} == {torch.bfloat16} else "f32"
            whole = write_gguf(folder, partial / "whole", name, wide)
            quantize(whole, partial / f"{name}.gguf", BY_LLAMA_CPP[kind])
            shutil.rmtree(whole.parent)
        return out / f"{name}.gguf"
    config = read_config(folder)
    if config.model_type not in ARCHITECTURES:
        raise StageError(folder, f"architecture {config.model_type}", f"one of {', '.join(ARCHITECTURES)}", CONVERTER)
    architecture = ARCHITECTURES[config.model_type]
    with atomic_directory(out) as partial:
        writer = gguf.GGUFWriter(partial / f"{name}.gguf", gguf.MODEL_ARCH_NAMES[architecture])
        writer.add_name(name)
        writer.add_file_type(TYPES[kind][1])
        _add_shape(writer, config, folder)
        _add_tokenizer(writer, load_tokenizer(folder), config.vocab_size, folder)
        names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
        kinds = {}
        for theirs, shape in shapes(folder).items():
            ours = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
            if ours is None:
                raise StageError(folder, f"tensor {theirs}", f"a tensor of {config.model_type}", CONVERTER)
            laid_out = shape[::-1] if _turned(theirs, config) else shape
            kinds[theirs] = stored = _stored(ours, laid_out, TYPES[kind][0])
            size = int(np.prod(gguf.quant_shape_to_byte_shape(laid_out, stored)))
            writer.add_tensor_info(ours, laid_out, np.dtype(np.float32), size, raw_dtype=stored)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for theirs, tensor in _laid_out(folder, config):
            writer.write_tensor_data(gguf.quants.quantize(tensor, kinds[theirs]))
        writer.close()
    return out / f"{name}.gguf"


def _stored(name: str, shape: list[int], kind: gguf.GGMLQuantizationType) -> gguf.GGMLQuantizationType:
    """How a tensor is stored. llama.cpp adds vectors and positions in f32; rows that no quantized block divides stay f16."""
    if len(shape) < 2 or name.startswith("position_embd"):
        return gguf.GGMLQuantizationType.F32
    return gguf.GGMLQuantizationType.F16 if shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] else kind


def _turned(name: str, config) -> bool:
    return config.model_type == "gpt2" and name.endswith(_INPUTS_FIRST)


def _laid_out(folder: Path, config) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor under its name in transformers, as llama.cpp lays it out."""
    for name, stored in tensors(folder):
        tensor = stored.numpy().T if _turned(name, config) else stored.numpy()
        if ARCHITECTURES[config.model_type] is gguf.MODEL_ARCH.LLAMA and "_proj." in name:
            heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads}.get(name.split("_proj.")[0][-1])
            tensor = interleaved(tensor, heads) if heads and ".self_attn." in name else tensor
        yield name, np.ascontiguousarray(tensor)


def interleaved(tensor: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection in the order of llama.cpp, which rotates neighbours where transformers rotates
    the first half of a head against the second."""
    return tensor.reshape(heads, 2, -1, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)


def _add_shape(writer: gguf.GGUFWriter, config, folder: Path) -> None:
    """Sizes, norms and positions."""
    width, heads = config.hidden_size, config.num_attention_heads
    activation = getattr(config, "hidden_act", None) or config.activation_function
    expected = {"gpt2": "gelu_new", "phi": "gelu_new"}.get(config.model_type, "silu")
    if activation != expected:
        raise StageError(folder / "config.json", f"activation {activation}", expected, CONVERTER)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(width)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(getattr(config, "intermediate_size", None) or config.n_inner or 4 * width)
    writer.add_head_count(heads)
    writer.add_head_count_kv(getattr(config, "num_key_value_heads", None) or heads)
    writer.add_vocab_size(config.vocab_size)
    if hasattr(config, "rms_norm_eps"):
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    else:
        writer.add_layer_norm_eps(getattr(config, "layer_norm_eps", None) or config.layer_norm_epsilon)
    rope = getattr(config, "rope_parameters", None)
    if rope:
        if rope.get("rope_type", "default") != "default":
            raise StageError(folder / "config.json", f"positions scaled as {rope['rope_type']}", "default", CONVERTER)
        window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
        if window and window < config.max_position_embeddings:
            raise StageError(folder / "config.json", f"attention over {window} tokens", "over the whole context", CONVERTER)
        size = getattr(config, "head_dim", None) or width // heads
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_rope_dimension_count(int(size * rope.get("partial_rotary_factor", 1)))
        writer.add_key_length(size)
        writer.add_value_length(size)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerBase, rows: int, folder: Path) -> None:
    """A byte-level BPE with its special tokens and the chat template.

    `rows` are those of the embedding matrix. A token without one, as padding often is, can be neither read nor written, and is
    left out.
    """
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    model = parts["model"]
    if model["type"] != "BPE" or model.get("byte_fallback"):
        raise StageError(folder / "tokenizer.json", f"a tokenizer of kind {model['type']}", "a byte-level BPE", CONVERTER)
    tokens = [f"[PAD{number}]" for number in range(rows)]  # llama.cpp wants a name for each row
    types = [gguf.TokenType.UNUSED] * rows
    for token, number in model["vocab"].items():
        if number < rows:
            tokens[number], types[number] = token, gguf.TokenType.NORMAL
    for token in parts["added_tokens"]:
        if token["id"] >= rows:
            continue
        kind = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
        tokens[token["id"]], types[token["id"]] = token["content"], kind
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitting(parts["pre_tokenizer"], folder))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    ends = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "unk": tokenizer.unk_token_id}
    for which, number in (ends | {"pad": tokenizer.pad_token_id}).items():
        if number is not None and number < rows:
            getattr(writer, f"add_{which}_token_id")(number)
    if tokenizer.chat_template:
        writer.add_add_bos_token(False)  # the template writes what is wanted; twice would be one too many
        writer.add_chat_template(tokenizer.chat_template)
        ending = turn(tokenizer).token
        if ending not in (None, tokenizer.eos_token_id):
            writer.add_eot_token_id(ending)
    else:
        writer.add_add_bos_token(tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id])


def splitting(parts: dict, folder: Path) -> str:
    """llama.cpp's name for how text is cut before the merges (`pre_tokenizer` of tokenizer.json)."""
    from transformers.convert_slow_tokenizer import TikTokenConverter
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    steps = parts["pretokenizers"] if parts["type"] == "Sequence" else [parts]
    shape = [(step["type"], step.get("individual_digits", step.get("use_regex"))) for step in steps]
    prefixed = any(step.get("add_prefix_space") for step in steps)
    if not prefixed and shape == [("ByteLevel", True)]:
        return "gpt-2"
    if not prefixed and shape == [("Digits", True), ("ByteLevel", True)]:
        return "smollm"
    if not prefixed and shape == [("Split", None), ("ByteLevel", False)] and steps[0]["behavior"] == "Isolated":
        names = {
            PRETOKENIZE_REGEX: "qwen2",
            inspect.signature(TikTokenConverter).parameters["pattern"].default: "llama-bpe",
        }
        if name := names.get(steps[0]["pattern"].get("Regex")):
            return name
    raise StageError(
        folder / "tokenizer.json", f"text split by {shape}", "the splitting of GPT-2, SmolLM, Llama 3 or Qwen 2", CONVERTER
    )
