"""Rows of a split of a hub dataset: the package datasets reads a folder of this machine in the hub's place."""

import json
import sys

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from stages import scrape
from stages.common.errors import StageError
from stages.common.files import read_json
from stages.common.schema import Scrape
from tests.data_helpers import jsonl, source_params

REVISION = "0123456789abcdef0123456789abcdef01234567"
ROWS = {
    "kind": "hub",
    "files": None,
    "repo": "owner/set",
    "revision": REVISION,
    "configuration": "plain",
    "split": "test",
    "reader": "datasets",
}
TABLE = {"repo": "owner/table", "configuration": "default", "split": "train"}
CARD = """---
configs:
- config_name: plain
  data_files:
  - {split: train, path: plain/train.jsonl}
  - {split: test, path: plain/test.jsonl}
---
"""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with three datasets, of JSON Lines, Parquet and CSV; every call of the package is for the pinned commit."""
    folder = tmp_path / "hub" / "owner" / "set"
    (folder / "plain").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    for split, count in {"train": 1, "test": 3}.items():
        lines = [{"question": f"{split} {number}", "answer": "yes", "tags": ["é", None]} for number in range(count)]
        (folder / "plain" / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    features = datasets.Features(
        {"question": datasets.Value("string"), "answer": datasets.ClassLabel(names=["no", "yes"]), "photo": datasets.Image()}
    )
    table = {"question": ["a", "b", "c"], "answer": [1, 0, -1], "photo": [{"bytes": b"\xff", "path": None}] * 3}
    for name in ("table", "sheet"):
        (folder.parent / name).mkdir()
    parquet.write_table(pyarrow.table(table, schema=features.arrow_schema), folder.parent / "table" / "train.parquet")
    (folder.parent / "sheet" / "train.csv").write_text('question,answer\n"a, b",1\n')
    away = []

    def of_the_hub(function):
        def call(repo, *arguments, revision, **more):
            assert revision == REVISION
            assert "trust_remote_code" not in more
            if away:
                raise ConnectionError("Couldn't reach 'owner/set' on the Hub")
            return function(str(tmp_path / "hub" / repo), *arguments, **more)

        return call

    for name in ("load_dataset", "get_dataset_config_names"):
        monkeypatch.setattr(datasets, name, of_the_hub(getattr(datasets, name)))
    return away


def run(tmp_path, **changes) -> dict:
    sources = {"sources": {"far": source_params(**ROWS | changes)}}
    scrape.main("set", Scrape.model_validate(sources), scrape.Paths(tmp_path / "none", tmp_path / "raw"))
    return read_json(tmp_path / "raw" / "sources.json")["sources"]["far"]


def test_rows_of_a_split_come_out_like_those_of_any_reader(tmp_path, hub):
    (entry,) = run(tmp_path, keep=["tags"])["files"]
    assert (entry["file"], entry["rows"]) == ("plain/test", 3)
    assert entry["url"] == f"https://huggingface.co/datasets/owner/set/tree/{REVISION}"
    rows = jsonl(tmp_path / "raw/far/plain/test.jsonl")
    assert [row["instruction"] for row in rows] == ["test 0", "test 1", "test 2"]
    assert rows[0] == {"id": "far/plain/test#1", "instruction": "test 0", "response": "yes", "tags": ["é", None]}


def test_labels_come_as_names_and_columns_of_bytes_are_left_out_with_a_word(tmp_path, hub):
    source = run(tmp_path, **TABLE)
    assert [row["response"] for row in jsonl(tmp_path / "raw/far/default/train.jsonl")] == ["yes", "no", None]
    assert source["left_out"] == {"column photo: Image": 1}


def test_csv(tmp_path, hub):
    run(tmp_path, repo="owner/sheet", configuration="default", split="train")
    assert [row["instruction"] for row in jsonl(tmp_path / "raw/far/default/train.jsonl")] == ["a, b"]


def test_a_rerun_needs_no_hub_and_says_the_same(tmp_path, hub):
    before = run(tmp_path, **TABLE)
    hub.append("away")
    assert run(tmp_path, **TABLE) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"configuration": "other"}, r"owner/set@0123456789ab[^$]*no configuration 'other'[^$]*there are: plain"),
        ({"split": "dev"}, r"configuration plain, split dev\n[^$]*no split 'dev'[^$]*there are: test, train"),
        ({"repo": "owner/none"}, r"owner/none@0123456789ab[^$]*FileNotFoundError[^$]*check the network"),
        ({"max_bytes": 100}, r"over \d+ bytes[^$]*at most 100"),
        ({"columns": {"text": "body"}}, r"row 1\n[^$]*columns question, answer, tags[^$]*also body"),
    ],
)
def test_what_cannot_be_had_is_named(tmp_path, hub, changes, words):
    with pytest.raises(StageError, match=words):
        run(tmp_path, **changes)
    assert not (tmp_path / "raw").exists()


def test_without_network_the_dataset_and_the_way_out_are_named(tmp_path, hub):
    hub.append("away")
    with pytest.raises(StageError, match="owner/set@0123456789ab[^$]*Couldn't reach[^$]*check the network"):
        run(tmp_path)


def test_a_file_that_breaks_off_leaves_nothing_that_a_rerun_would_take(tmp_path, hub):
    file = tmp_path / "hub/owner/set/plain/test.jsonl"
    whole = file.read_text()
    file.write_text(whole + '{"question": "cut')
    with pytest.raises(StageError, match="split test\n[^$]*quotation mark[^$]*files that datasets can read"):
        run(tmp_path)
    file.write_text(whole)
    assert run(tmp_path)["files"][0]["rows"] == 3


def test_without_the_package_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(StageError, match="pip install datasets"):
        run(tmp_path)


@pytest.mark.parametrize(
    "changes", [{"encoding": "latin-1"}, {"members": "*"}, {"revision": "main"}, {"configuration": "../x"}]
)
def test_what_the_package_decides_by_itself_cannot_be_set(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        Scrape.model_validate({"sources": {"far": source_params(**ROWS | changes)}})
