"""Addresses, and datasets of the hub and of Kaggle: the entry is pinned, and the stages run on it."""

import sys
import types
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from affinage.commands import recipe
from stages.common.errors import StageError
from stages.common.params import read
from tests.affinage.adding.place import add, run
from tests.affinage.adding.test_to_formatted_rows import QUESTIONS, lines
from tests.server import Answer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = lines(QUESTIONS).encode()


@pytest.fixture
def site(server):
    """A server that may be visited: the defaults of the web allow this machine, and one try is enough."""
    yaml = recipe.editor()
    params = read(Path("params.yaml"), yaml)
    recipe.merge(params, read(Path("recipes/web.yaml")))
    params["defaults"]["scrape"]["sources"]["web"] |= {"allow_private": True, "retries": 0, "per_host_seconds": 0.0}
    with open("params.yaml", "w", encoding="utf-8") as file:
        yaml.dump({key: value for key, value in params.items() if key != "needs"}, file)
    return server


def test_a_file_of_the_web_is_pinned(here, site):
    site.answers["/data/colours.jsonl"] = [Answer(ROWS)]
    said = add(f"{site.address}/data/colours.jsonl")
    assert "40 rows: 40 kept" in said
    source = read(Path("params.yaml"))["datasets"]["colours"]["scrape"]["sources"]["rows"]
    assert len(source["sha256"]["colours.jsonl"]) == 64
    assert run("colours")["label"]["kept"] == 40
    assert "nothing to do" in add(f"{site.address}/data/colours.jsonl")


def test_a_page_that_is_not_there(here, site):
    site.answers["/data/colours.jsonl"] = [Answer(status=404)]
    before = Path("params.yaml").read_bytes()
    with pytest.raises(StageError, match="404"):
        add(f"{site.address}/data/colours.jsonl")
    assert Path("params.yaml").read_bytes() == before


def test_defaults_of_the_web_come_with_the_first_such_source(here):
    with pytest.raises(StageError, match="a private address"):  # by the defaults of recipes/web.yaml
        add("http://127.0.0.1:9/colours.jsonl")


@pytest.fixture
def hub(monkeypatch):
    def info(self, repo):
        if repo == "owner/away":
            raise LocalEntryNotFoundError("the hub cannot be reached")
        files = {"owner/colours": there, "owner/splits": splits}.get(repo, ["a.csv", "b.json"])
        return SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=file) for file in files])

    def download(repo, file, *, revision, repo_type, local_dir):
        path = Path(local_dir) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        half = len(QUESTIONS) // 2
        path.write_text(lines(QUESTIONS[:half] if file.endswith("a.jsonl") or "train" in file else QUESTIONS[half:]))
        return str(path)

    there = ["README.md", "data/a.jsonl", "data/b.jsonl"]
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", info)
    splits = ["README.md", "data/test-00000-of-00001.jsonl", "data/train-00000-of-00001.jsonl"]
    listing = {"owner/splits": splits}
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda self, repo, **_: listing.get(repo, there))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)


def test_a_dataset_of_the_hub_is_pinned_to_its_commit(here, hub):
    assert "40 rows: 40 kept" in add("hub:owner/colours")
    source = read(Path("params.yaml"))["datasets"]["colours"]["scrape"]["sources"]["rows"]
    assert (source["revision"], source["files"]) == (COMMIT, "**/*.jsonl")
    assert run("colours")["label"]["kept"] == 40


def test_a_part_of_a_dataset_of_the_hub(here, hub):
    assert "20 rows: 20 kept" in add("hub:owner/colours/data/b.jsonl")


def test_the_splits_of_a_dataset_of_the_hub_are_kept(here, hub):
    assert "given split: data/test-00000-of-00001.jsonl: test" in add("hub:owner/splits")
    assert read(Path("params.yaml"))["datasets"]["splits"]["split"]["given"] == {"test": "data/test-00000-of-00001.jsonl"}
    done = run("splits")["split"]
    assert (done["test"], done["train"] + done["validation"] + sum(done["dropped"].values())) == (20, 20)


@pytest.mark.parametrize(
    "where, words",
    [
        ("hub:owner/away", "the hub cannot be reached[^$]*check the network"),
        ("hub:owner/mixed", "1 .csv, 1 .json[^$]*affinage add hub:owner/mixed/<glob>"),
        ("hub:owner", "no owner and name"),
    ],
)
def test_what_of_the_hub_cannot_be_added(here, hub, where, words):
    with pytest.raises(StageError, match=words):
        add(where)


def test_a_dataset_of_kaggle(here, monkeypatch, tmp_path):
    folder = tmp_path / "versions" / "3"
    folder.mkdir(parents=True)
    (folder / "colours.csv").write_text("question,answer\n" + "".join(f"{q['question']},{q['answer']}\n" for q in QUESTIONS))
    kagglehub = types.ModuleType("kagglehub")
    kagglehub.dataset_download = lambda handle: str(folder)
    monkeypatch.setitem(sys.modules, "kagglehub", kagglehub)
    assert "40 rows: 40 kept" in add("kaggle:owner/colours")
    assert run("colours")["label"]["kept"] == 40
