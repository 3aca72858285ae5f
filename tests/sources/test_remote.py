"""The hub and Kaggle, with their packages' downloads replaced."""

import shutil
import sys
import types
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from stages import scrape
from stages.common.errors import StageError
from stages.common.files import read_json
from stages.common.schema import Scrape
from tests.data_helpers import jsonl, source_params

ROW = '{"question": "q", "answer": "a"}\n'
REVISION = "0123456789abcdef0123456789abcdef01234567"
HUB = {"kind": "hub", "repo": "owner/set", "revision": REVISION, "files": "data/*.jsonl"}
KAGGLE = {"kind": "kaggle", "dataset": "owner/set", "version": 3, "files": "*.jsonl"}


def run(tmp_path, **changes) -> dict:
    scrape.main(
        "set",
        Scrape.model_validate({"sources": {"far": source_params(**changes)}}),
        scrape.Paths(tmp_path / "none", tmp_path / "raw"),
    )
    return read_json(tmp_path / "raw" / "sources.json")["sources"]["far"]


@pytest.fixture
def hub(monkeypatch) -> list:
    """A hub with one dataset; records its calls, and is away once `hub.away` is appended."""
    calls = []

    def there(*call) -> None:
        if "away" in calls:
            raise LocalEntryNotFoundError("the hub cannot be reached")
        calls.append(call)

    def listing(self, repo, *, revision, repo_type):
        there("list", repo, revision, repo_type)
        return ["README.md", "data/b.jsonl", "data/a.jsonl", "data/more/c.jsonl"]

    def download(repo, file, *, revision, repo_type, local_dir):
        there(file, repo, revision, repo_type)
        path = Path(local_dir) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ROW)
        return str(path)

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", listing)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return calls


def test_files_of_a_hub_dataset_at_one_commit(tmp_path, hub):
    files = run(tmp_path, **HUB)["files"]
    assert [entry["file"] for entry in files] == ["data/a.jsonl", "data/b.jsonl"]
    assert files[0]["url"] == f"https://huggingface.co/datasets/owner/set/resolve/{REVISION}/data/a.jsonl"
    assert jsonl(tmp_path / "raw/far/data/a.jsonl.jsonl")[0]["id"] == "far/data/a.jsonl#1"
    assert hub == [(request, "owner/set", REVISION, "dataset") for request in ("list", "data/a.jsonl", "data/b.jsonl")]


def test_a_rerun_of_a_hub_source_needs_no_hub(tmp_path, hub):
    run(tmp_path, **HUB)
    hub.append("away")
    assert len(run(tmp_path, **HUB)["files"]) == 2


def test_what_keeps_the_hub_away_is_said_with_the_dataset(tmp_path, hub):
    hub.append("away")
    with pytest.raises(StageError, match="owner/set@0123456789ab\n[^$]*the hub cannot be reached[^$]*check the network"):
        run(tmp_path, **HUB)


def test_no_file_of_the_hub_dataset_that_fits(tmp_path, hub):
    with pytest.raises(StageError, match=r"no file '\*.csv'[^$]*there are: README.md, data/a.jsonl"):
        run(tmp_path, **HUB | {"files": "*.csv"})


@pytest.fixture
def kaggle(tmp_path, monkeypatch) -> list[str]:
    """The package `kagglehub`, with one dataset on disk."""
    calls, folder = [], tmp_path / "kaggle"
    folder.mkdir()
    (folder / "a.jsonl").write_text(ROW)

    def download(handle: str) -> str:
        calls.append(handle)
        if handle.startswith("private"):
            raise RuntimeError("403 Client Error")
        return str(folder)

    package = types.ModuleType("kagglehub")
    package.dataset_download = download
    monkeypatch.setitem(sys.modules, "kagglehub", package)
    return calls


def test_one_version_of_a_kaggle_dataset(tmp_path, kaggle):
    (entry,) = run(tmp_path, **KAGGLE)["files"]
    assert (entry["file"], entry["url"]) == ("a.jsonl", "https://www.kaggle.com/datasets/owner/set/versions/3")
    assert kaggle == ["owner/set/versions/3"]


def test_the_newest_version_of_a_kaggle_dataset_is_named(tmp_path, kaggle, monkeypatch):
    sys.modules["kagglehub"].dataset_download = lambda handle: str(
        shutil.copytree(tmp_path / "kaggle", tmp_path / handle / "versions" / "7")
    )
    (entry,) = run(tmp_path, **KAGGLE | {"version": 0})["files"]
    assert entry["url"] == "https://www.kaggle.com/datasets/owner/set/versions/7"


def test_a_kaggle_dataset_that_cannot_be_had(tmp_path, kaggle):
    with pytest.raises(StageError, match="kaggle private/set/versions/3\n[^$]*403 Client Error"):
        run(tmp_path, **KAGGLE | {"dataset": "private/set"})


def test_without_the_package_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(StageError, match="pip install kagglehub"):
        run(tmp_path, **KAGGLE)
