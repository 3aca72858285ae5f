"""What the tests of the data stages share: sections of `params.yaml`, small files, rows read back."""

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from stages.common.params import read
from stages.common.schema_data import Accounts, AlpacaFormat, ChatFormat, ClassificationFormat, Clean, CompletionFormat, Split
from stages.common.schema_sources import Scrape
from stages.sources import SourceFile, rows_of

ROOT = Path(__file__).parents[1]

# any text, lone surrogates and line separators included
odd_text = st.text(st.characters(categories=None), max_size=20)
# what JSON can hold
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | odd_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3),
    max_leaves=6,
)


def leaves(tree: dict, path: tuple = ()) -> Iterator[tuple]:
    """The paths of all leaves; an empty mapping has none."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


@cache
def committed() -> dict:
    """`params.yaml` as it is in the repository, unchecked."""
    return read(ROOT / "params.yaml")


def put(path: str, value: object, params: dict | None = None) -> dict:
    """The parameters (the committed ones) with one value put at a dotted path; mappings on the way are made."""
    params = copy.deepcopy(committed() if params is None else params)
    place = params
    *keys, last = path.split(".")
    for key in keys:
        place = place.setdefault(key, {})
    place[last] = value
    return params


def read_file(choice, path: Path, encoding: str = "utf-8") -> list[dict]:
    """The rows that a reader (its name, or its parameters) makes of one file."""
    return list(rows_of(SourceFile(path, encoding=encoding), choice))


def source_params(reader="jsonl", **changes) -> dict:
    """One source, local unless `changes` say otherwise; None takes a leaf away."""
    defaults = {
        "kind": "local",
        "files": "*",
        "reader": reader,
        "encoding": "utf-8",
        "columns": {"instruction": "question", "response": "answer"},
        "keep": [],
        "licence": "CC0-1.0",
        "members": "",
        "max_bytes": 1_000_000,
    }
    return {key: value for key, value in (defaults | changes).items() if value is not None}


def web_params(urls: dict[str, str], reader="jsonl", **changes) -> dict:
    """One web source that may visit this machine and does not wait."""
    defaults = {
        "kind": "web",
        "files": None,
        "urls": urls,
        "sha256": dict.fromkeys(urls, ""),
        "refresh": 0,
        "contact": "",
        "per_host_seconds": 0.0,
        "hosts_at_once": 4,
        "connect_seconds": 5.0,
        "read_seconds": 5.0,
        "total_seconds": 60.0,
        "retries": 3,
        "allow_private": True,
    }
    return source_params(reader, **defaults | changes)


def scrape_params(reader="jsonl", **changes) -> Scrape:
    """A section with one source, `local`."""
    return Scrape.model_validate({"sources": {"local": source_params(reader, **changes)}})


def label_params(**changes) -> Clean:
    return Clean.model_validate(
        {"method": "clean", "required": ["instruction", "response"], "conflicts": "drop_later"} | changes
    )


def split_params(**changes) -> Split:
    defaults = {"given": "", "group": "", "stratify": "", "exact": False, "train": 0.6, "validation": 0.2, "test": 0.2}
    return Split.model_validate(defaults | {"sample": 1.0, "near_duplicate": 0, "seed": 1} | changes)


def accounts_params(**changes) -> Accounts:
    defaults = {
        "method": "accounts",
        "lines": "lines",
        "chart": "chart",
        "account": "account",
        "text": ["supplier", "wording"],
        "separator": " | ",
        "group": ["supplier", "wording"],
        "conflicts": "drop_later",
    }
    return Accounts.model_validate(defaults | changes)


def format_params(**changes) -> AlpacaFormat:
    return AlpacaFormat.model_validate({"style": "alpaca", "preamble": "", "shard_rows": 10} | changes)


def completion_params(**changes) -> CompletionFormat:
    defaults = {"style": "completion", "prompt_ending": " ->", "completion_start": " ", "completion_ending": " END"}
    return CompletionFormat.model_validate(defaults | {"shard_rows": 10} | changes)


def chat_params(**changes) -> ChatFormat:
    return ChatFormat.model_validate({"style": "chat", "system": "", "shard_rows": 10} | changes)


def classification_params(**changes) -> ClassificationFormat:
    return ClassificationFormat.model_validate({"style": "classification", "shard_rows": 10} | changes)


def as_checked(filled: dict) -> dict:
    """Filled-in parameters as the schema gives them back: columns that keep their names as a mapping, the rest as a share."""
    filled = copy.deepcopy(filled)
    for dataset in filled["datasets"].values():
        for source in dataset["scrape"]["sources"].values():
            columns = source["columns"]
            source["columns"] = {name: name for name in columns} if isinstance(columns, list) else columns
        split = dataset["split"]
        split["train"] = round(1 - split["validation"] - split["test"], 9) if split["train"] == "rest" else split["train"]
    return filled


def folder_with(folder: Path, **files: bytes | str) -> Path:
    """A folder of files; `name__ext` is `name.ext`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def names(folder: Path) -> set[str]:
    """Everything that lies in a folder, hidden files included; of scratch only what a temporary folder left there."""
    paths = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return paths - {"scratch", "scratch/temporary"}
