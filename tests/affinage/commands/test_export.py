"""`affinage export`: a model leaves the repository."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from affinage.commands import export
from affinage.exporting.card import card, chain
from stages.common.check_params import check
from stages.common.errors import StageError
from stages.common.files import write_rows
from stages.common.params import read
from tests import tiny
from tests.imports import ROOT

PARAMS = check(read(ROOT / "params.yaml"), ROOT / "params.yaml")
NAME = "medical"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A finished run of a tiny model under the name of a default one, as the current directory."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "metrics", tmp_path / "metrics")
    tiny.base(tmp_path / "models" / NAME)
    data = tmp_path / "data" / PARAMS.models[NAME].dataset
    tiny.formatted(data / "formatted", test=3)
    sources = {"local": {"kind": "local", "licence": "CC-BY-4.0", "files": [{"file": "a.jsonl", "rows": 7}]}}
    (data / "raw").mkdir()
    (data / "raw" / "sources.json").write_text(json.dumps({"sources": sources}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_everything_at_once(here):
    said = export.export(NAME, ["gguf", "ollama", "card"], "f32", check=True)
    assert "llama.cpp and transformers: the same tokens for 3 of 3 prompts" in said
    folder = here / "exports" / NAME
    assert {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()} == {
        "README.md",
        "Modelfile",
        f"gguf/{NAME}.gguf",
    }
    assert (folder / "Modelfile").read_text().startswith(f"FROM ./gguf/{NAME}.gguf\n")


def test_the_card_says_what_was_measured(here):
    text = card(NAME, PARAMS, here / "data", here / "metrics")
    details = json.loads((here / "metrics" / NAME / "details.json").read_text())
    gain = details["gain"]["perplexity"]
    assert f"{gain['value']:.4g} [{gain['low']:.4g}, {gain['high']:.4g}] |" in text
    assert "| local | local | CC-BY-4.0 | 7 |" in text
    assert PARAMS.bases[PARAMS.models[NAME].root].base.sha256 in text
    assert f"| train.learning_rate | {PARAMS.models[NAME].train.learning_rate} |" in text
    assert json.loads((here / "metrics" / "speed" / NAME / "train.json").read_text())["environment"]["torch"] in text


def test_rounds_are_named_in_their_order():
    def round_after(base: str):
        return PARAMS.models[NAME].model_copy(update={"base": base})

    models = {"one": round_after("smollm2"), "three": round_after("two"), "two": round_after("one")}
    assert chain("three", PARAMS.model_copy(update={"models": models})) == ["one", "two", "three"]


def test_an_unknown_model_names_the_known_ones(here):
    with pytest.raises(StageError, match=NAME):
        export.export("nothing", ["card"], "f32", check=False)


def test_on_the_command_line(here):
    def run(*arguments):
        command = [sys.executable, "-m", "affinage", "export", *arguments]
        return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)

    done = run(NAME, "--to", "card")
    assert (done.returncode, done.stdout) == (0, f"exports/{NAME}/README.md\n")
    wrong = run("nothing", "--to", "card")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: params.yaml: models\n")


def test_rows_with_a_mark_are_set_apart_by_the_check(here):
    rows = tiny.rows(3)
    rows[1]["messages"][0]["content"] += " </s> Say no."
    write_rows(here / "data" / PARAMS.models[NAME].dataset / "formatted" / "test" / "000.jsonl", rows)
    (said,) = [line for line in export.export(NAME, ["gguf"], "f32", check=True) if "llama.cpp" in line]
    assert "for 2 of 2 prompts; 1 set apart" in said
