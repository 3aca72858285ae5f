"""The weights of a model directory one tensor at a time, so that a large model is never whole in memory.

An adapter is merged into its base tensor by tensor, in float32, as peft merges it: W + B A · alpha / rank (arXiv 2106.09685).
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open

from stages.common.errors import StageError
from stages.models.directory import ADAPTER, adapter_base

NOT_MERGED = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save")  # settings of other adapters


def shapes(folder: Path) -> dict[str, list[int]]:
    """The shape of every tensor, by name, in the order of `tensors`."""
    if (folder / ADAPTER).is_dir():
        return shapes(adapter_base(folder))
    by_name = {}
    for name, file in _index(folder).items():
        with safe_open(folder / file, "pt") as shard:
            by_name[name] = shard.get_slice(name).get_shape()
    return by_name


def tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in float32 under its name; those of an adapter merged into its base's.

    Raises:
        StageError: if an adapter changes something other than matrices of its base.
    """
    if (folder / ADAPTER).is_dir():
        yield from _merged(folder)
        return
    for name, file in _index(folder).items():
        with safe_open(folder / file, "pt") as shard:
            yield name, shard.get_tensor(name).to(torch.float32)


def _index(folder: Path) -> dict[str, str]:
    """The file of every tensor, by name."""
    return json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))["weight_map"]


def _merged(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    settings = json.loads((folder / ADAPTER / "adapter_config.json").read_text(encoding="utf-8"))
    unlike = [
        key for key in ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save") if settings.get(key)
    ]
    if unlike:
        raise StageError(folder / ADAPTER, f"an adapter with {', '.join(unlike)}", "rank and alpha alone", "export it merged")
    scale = settings["lora_alpha"] / settings["r"]
    with safe_open(folder / ADAPTER / "adapter_model.safetensors", "pt") as adapter:
        stored = {*adapter.keys()}

        def part(tensor: str, side: str) -> torch.Tensor | None:
            name = f"base_model.model.{tensor.removesuffix('.weight')}.lora_{side}.weight"
            if name not in stored:
                return None
            stored.remove(name)
            return adapter.get_tensor(name).to(torch.float32)

        for name, weight in tensors(adapter_base(folder)):
            down, up = part(name, "A"), part(name, "B")
            if down is None or up is None:
                yield name, weight
                continue
            change = up @ down
            yield name, weight + (change.T if settings["fan_in_fan_out"] else change) * scale
    if stored:
        raise StageError(folder / ADAPTER, f"a change of {min(stored)}", "changes of the base's matrices", "export it merged")
