"""A model of the Hugging Face hub at one commit: safetensors only, no code from the hub."""

from pathlib import Path

from stages.common import kept
from stages.common.errors import StageError, hub_errors
from stages.common.schema_bases import HubBase

FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "LICENSE*"]


def fetch(name: str, params: HubBase) -> Path:
    """The snapshot's directory below `.cache/base/`. A fetch that was stopped goes on, and a finished one is not repeated.

    Raises:
        StageError: if the revision is no commit, the hub cannot be reached, or there are no safetensors.
    """
    from huggingface_hub import HfApi, snapshot_download

    folder = kept.fetched("model of the hub", params.repo, params.revision, name=name).folder
    source = f"{params.repo}@{params.revision[:12]}"
    with hub_errors(source, "a reachable model of the hub, or its files kept by an earlier run", "the name and the revision"):
        if params.revision == "newest":
            commit, leaf = HfApi().model_info(params.repo).sha, f"bases.{name}.base.revision"
            raise StageError(leaf, f"newest, which moves; today it is {commit}", "a commit", f'set {leaf} to "{commit}"')
        snapshot_download(params.repo, revision=params.revision, local_dir=folder, allow_patterns=FILES)
    if not list(folder.glob("*.safetensors")):
        raise StageError(
            source,
            "no *.safetensors",
            "safetensors weights: pickled ones can run code and are not opened",
            "choose a revision with safetensors (the hub converts many under refs/pr)",
        )
    return folder
