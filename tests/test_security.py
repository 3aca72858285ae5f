"""What comes from elsewhere must run nothing and write nowhere else. More stands with archives, XML, the web and reports."""

import copy
import io
import json

import pytest

from stages.common import params
from stages.common.check_params import check
from stages.common.errors import StageError
from stages.models.directory import load, load_fetched, load_tokenizer
from tests import tiny
from tests.imports import ROOT

CODE = """from pathlib import Path
Path({mark!r}).touch()
from transformers import LlamaConfig as OwnConfig, LlamaForCausalLM as Own
"""


@pytest.mark.parametrize("read", [load, load_tokenizer, lambda folder: load_fetched(folder, "causal")])
@pytest.mark.parametrize("kind", ["llama", "unheard_of"])
def test_a_model_s_own_code_is_not_run(tmp_path, read, kind, monkeypatch):
    folder, mark = tiny.base(tmp_path / "base"), tmp_path / "ran"
    (folder / "own.py").write_text(CODE.format(mark=str(mark)))
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody is there to say yes
    for name in ("config.json", "tokenizer_config.json"):
        said = json.loads((folder / name).read_text())
        own = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.Own", "AutoTokenizer": ["own.Own", "own.Own"]}
        changes = {"model_type": kind} if name == "config.json" else {}
        (folder / name).write_text(json.dumps(said | changes | {"auto_map": own}))
    try:
        read(folder)
    except (ValueError, OSError, KeyError, StageError) as error:
        assert "own" in str(error) or "unheard_of" in str(error) or "trust_remote_code" in str(error)
    assert not mark.exists()


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!!python/module:os"])
def test_a_tag_in_params_makes_nothing(tmp_path, tag):
    mark, path = tmp_path / "ran", tmp_path / "params.yaml"
    path.write_text(f"bases: {tag} ['touch {mark}']\ndatasets: {{}}\nmodels: {{}}\n")
    with pytest.raises(StageError, match="params.yaml"):
        check(params.read(path), path)
    assert not mark.exists()


def bomb(first: str, part: str) -> str:
    """Eleven lines, each nine times the one before."""
    lines = [f"a0: &a0 {first}"]
    for i in range(1, 12):
        lines.append(
            f"a{i}: &a{i} " + part.format(", ".join(f"k{j}: *a{i - 1}" if ":" in first else f"*a{i - 1}" for j in range(9)))
        )
    return "\n".join([*lines, "bases: *a11", "datasets: {}", "models: {}\n"])


MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12))
BOMBS = [bomb("[x]", "[{}]"), bomb("{x: 1}", "{{{}}}"), MERGED, "bases: &a {x: *a}\n", "bases: &a [*a]\n"]


@pytest.mark.parametrize("text", BOMBS)
@pytest.mark.parametrize("parser", [None, "recipe"])
def test_aliases_in_params_do_not_multiply(tmp_path, text, parser):
    from affinage.commands.recipe import editor

    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(StageError, match=r"params.yaml(.|\n)*aliases that make it"):
        params.read(path, editor() if parser else None)


def test_a_few_aliases_in_params_are_read_as_what_they_stand_for(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("bases: {}\ndatasets: {}\nmodels: {a: &a {x: [1, 2], y: 3}, b: *a, c: {<<: *a, y: 4}}\n")
    assert params.read(path)["models"] == {"a": (shared := {"x": [1, 2], "y": 3}), "b": shared, "c": shared | {"y": 4}}


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a/b", "..", ".", "a\\b", "a\0b", "-rf", "a b", "$(id)", "`id`", ";id"])
@pytest.mark.parametrize("kind", ["bases", "datasets", "models"])
def test_no_name_is_a_path_or_a_command(kind, name):
    entries = copy.deepcopy(params.read(ROOT / "params.yaml"))
    entries[kind][name] = copy.deepcopy(next(iter(entries[kind].values())))
    with pytest.raises(StageError, match="not a usable name"):
        check(entries, "params.yaml")


@pytest.mark.parametrize("name", ["../up.csv", "/etc/x", "a/../../x", "..", ""])
def test_no_name_of_a_web_file_leaves_its_folder(name):
    from stages.common.schema_sources import WebSource
    from tests.data_helpers import web_params

    with pytest.raises(ValueError):
        WebSource.model_validate(web_params({name: "http://example.org/a"}))
