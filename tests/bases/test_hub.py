from fnmatch import fnmatch
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import HFValidationError, HTTPError, LocalEntryNotFoundError

from stages.bases import hub
from stages.common.errors import StageError
from stages.common.schema_bases import HubBase

REVISION = "0123456789abcdef0123456789abcdef01234567"
PARAMS = HubBase(kind="hub", repo="owner/model", revision=REVISION, architecture="causal")
REPOSITORY = [
    *("config.json", "tokenizer.json", "model.safetensors", "LICENSE", "merges.txt", "tokenizer.model", "chat_template.jinja"),
    *("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "modeling_own.py", "weights.pkl", "model.ckpt"),
]


@pytest.fixture
def snapshots(monkeypatch) -> list[dict]:
    """A hub with one repository; records its calls, and raises or leaves out what the test asks for."""
    calls = []

    def download(repo: str, **options) -> str:
        calls.append({"repo": repo, **options})
        if error := getattr(download, "error", None):
            raise error
        for name in REPOSITORY:
            if any(fnmatch(name, pattern) for pattern in options["allow_patterns"]) and name not in download.absent:
                (Path(options["local_dir"]) / name).touch()
        return str(options["local_dir"])

    download.absent, download.error = (), None
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return calls


def test_one_revision_is_taken_into_scratch(snapshots, own_scratch):
    folder = hub.fetch("base", PARAMS)
    (call,) = snapshots
    assert (call["repo"], call["revision"], call["local_dir"]) == ("owner/model", REVISION, folder)
    assert folder.is_relative_to(own_scratch)


def test_weights_that_could_run_code_and_code_are_left_out(snapshots):
    names = {path.name for path in hub.fetch("base", PARAMS).iterdir()}
    assert names == set(REPOSITORY[:7])


def test_another_revision_is_another_folder(snapshots):
    other = PARAMS.model_copy(update={"revision": REVISION[::-1]})
    assert hub.fetch("base", PARAMS) != hub.fetch("base", other)


@pytest.mark.parametrize(
    "error",
    [
        LocalEntryNotFoundError("cannot find the snapshot and the hub cannot be reached"),
        ConnectionError("connection refused"),
        HTTPError("timed out"),
        HFValidationError("not a repository's name"),
    ],
)
def test_what_keeps_the_hub_away_is_said_with_the_model(snapshots, error):
    huggingface_hub.snapshot_download.error = error
    with pytest.raises(StageError, match="owner/model@0123456789ab\n[^$]*check the network") as caught:
        hub.fetch("base", PARAMS)
    assert str(error) in caught.value.found


def test_a_model_without_safetensors_is_refused(snapshots):
    huggingface_hub.snapshot_download.absent = ("model.safetensors",)
    with pytest.raises(StageError, match=r"no \*.safetensors[^$]*choose a revision with safetensors"):
        hub.fetch("base", PARAMS)


def test_a_moving_revision_is_named_and_not_taken(snapshots, monkeypatch, own_scratch):
    class Api:
        def model_info(self, repo: str):
            return type("Info", (), {"sha": REVISION if repo == PARAMS.repo else None})

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    with pytest.raises(StageError, match=f'set bases.here.base.revision to "{REVISION}"'):
        hub.fetch("here", PARAMS.model_copy(update={"revision": "newest"}))
    assert not snapshots
