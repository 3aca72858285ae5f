"""A model of the Hugging Face hub at one commit: safetensors only, no code from the hub."""

from pathlib import Path

from stages.common import kept
from stages.common.errors import StageError
from stages.common.schema_models import HubBase

FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "LICENSE*"]


def fetch(name: str, params: HubBase) -> Path:
    """The snapshot's directory below `.cache/base/`; resumed where it stopped, and read from there ever after."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, HTTPError

    folder = kept.brought("model of the hub", params.repo, params.revision, name=name).folder
    try:
        if params.revision == "newest":
            commit, where = HfApi().model_info(params.repo).sha, f"bases.{name}.base.revision"
            raise StageError(where, f"newest, which moves; today it is {commit}", "a commit", f'set {where} to "{commit}"')
        snapshot_download(params.repo, revision=params.revision, local_dir=folder, allow_patterns=FILES)
    except (HTTPError, HFValidationError, OSError) as error:  # the hub's own errors are OSErrors
        raise StageError(
            f"{params.repo}@{params.revision[:12]}",
            " ".join(str(error).split())[:300],
            "a reachable model of the hub, or its files in the cache from an earlier run",
            "check the network, the name and the revision; for gated models accept the licence and set HF_TOKEN",
        ) from None
    if not list(folder.glob("*.safetensors")):
        raise StageError(
            f"{params.repo}@{params.revision[:12]}",
            "no *.safetensors",
            "safetensors weights: pickled ones can run code and are not opened",
            "choose a revision with safetensors (the hub converts many under refs/pr)",
        )
    return folder
