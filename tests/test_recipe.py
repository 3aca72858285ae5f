import io
import re
import shutil

import pytest
from ruamel.yaml import YAML

from affinage.commands import recipe
from stages.common.check_params import check
from stages.common.defaults import resolve
from stages.common.errors import StageError
from stages.common.params import read
from tests.data_helpers import ROOT, leaves, names
from tests.processes import module

RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
COMMITTED = (ROOT / "params.yaml").read_text(encoding="utf-8")


@pytest.fixture
def params(tmp_path):
    return shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")


@pytest.fixture
def write(tmp_path):
    """Writes a recipe; returns its folder."""

    def write(name: str, text: str):
        folder = tmp_path / "recipes"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return folder

    return write


def without(tree: dict, path: tuple) -> dict:
    """A copy of nested mappings with one leaf taken out."""
    if len(path) == 1:
        return {key: value for key, value in tree.items() if key != path[0]}
    return {**tree, path[0]: without(tree[path[0]], path[1:])}


def comments(text: str) -> list[str]:
    return [line[line.index("#") :] for line in text.splitlines() if "#" in line]


def merged(*parts: dict) -> dict:
    """Plain dictionaries merged key by key, the later one first in doubt."""
    result = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def test_the_editor_gives_the_committed_file_back_to_the_byte():
    yaml, text = recipe.editor(), io.StringIO()
    yaml.dump(yaml.load(COMMITTED), text)
    assert text.getvalue() == COMMITTED


def test_the_file_is_read_in_a_minute():
    assert len(COMMITTED.splitlines()) <= 300


def test_the_file_has_few_parameters():
    """Each of them is a column of `dvc exp show`."""
    assert len(list(leaves(read(ROOT / "params.yaml")))) <= 230


def test_there_are_recipes():
    assert RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_merges_into_the_committed_parameters(params, name):
    changed = recipe.apply(name, ROOT / "recipes", params)
    assert changed
    text = params.read_text(encoding="utf-8")
    after = read(params)
    check(after, params)
    written = read(ROOT / "recipes" / f"{name}.yaml")
    needed = [read(ROOT / "recipes" / f"{other}.yaml") for other in written.pop("needs", [])]
    assert after == merged(read(ROOT / "params.yaml"), *needed, written)
    for comment in comments(COMMITTED):
        assert text.count(comment) >= COMMITTED.count(comment)
    kept = iter(text.splitlines())
    assert all(line in kept for line in COMMITTED.splitlines())  # nothing moved: lines were only added
    assert recipe.apply(name, ROOT / "recipes", params) == []
    assert params.read_text(encoding="utf-8") == text


def test_all_recipes_together(params):
    for name in RECIPES:
        recipe.apply(name, ROOT / "recipes", params)
    text = params.read_text(encoding="utf-8")
    assert all(comment in text for comment in comments(COMMITTED))
    for name in RECIPES:
        assert recipe.apply(name, ROOT / "recipes", params) == []


def test_a_value_is_replaced_with_its_comment_kept(params, write):
    def trained(epochs: str, rate: str) -> str:
        text = re.sub(r"(?m)^      epochs: 8$", f"      epochs: {epochs}", COMMITTED, count=1)
        return re.sub(r"(?m)^      learning_rate: 5e-4$", f"      learning_rate: {rate}", text, count=1)

    params.write_text(trained("7  # enough", "7e-4"), encoding="utf-8")
    folder = write("longer", "models:\n  invoices:\n    train:\n      epochs: 5\n      learning_rate: 1e-5\n")
    assert recipe.apply("longer", folder, params) == ["models.invoices.train.epochs", "models.invoices.train.learning_rate"]
    assert params.read_text(encoding="utf-8") == trained("5  # enough", "1e-5")


def test_what_a_recipe_needs_is_merged_before_it(params, write):
    write("layers", "defaults:\n  train:\n    causal: {packing: false, shuffle_pairs: true}\n")
    folder = write("deep", "needs: [layers]\ndefaults:\n  train:\n    causal: {shuffle_pairs: false}\n")
    assert recipe.apply("deep", folder, params) == [
        *("defaults.train.causal.packing", "defaults.train.causal.shuffle_pairs", "defaults.train.causal.shuffle_pairs")
    ]
    assert read(params)["defaults"]["train"]["causal"] == {"shuffle_pairs": False, "packing": False}
    assert "needs" not in read(params)


def test_no_entry_and_no_recipe_repeats_what_a_default_says(params):
    """A leaf that is written where the default says the same would hide a later change of the default."""
    for name in [None, *RECIPES]:
        shutil.copy(ROOT / "params.yaml", params)
        if name:
            recipe.apply(name, ROOT / "recipes", params)
        written = read(params)
        before, _ = resolve(written)
        for path in leaves({kind: written[kind] for kind in ("datasets", "models")}):
            assert resolve(without(written, path))[0] != before, f"{name or 'params.yaml'}: {'.'.join(path)}"


def test_another_kind_replaces_the_whole_mapping(params, write):
    text = "models: {medical: {train: {tune: {kind: lora, rank: 8, alpha: 1, dropout: 0, base: plain, save: merged}}}}\n"
    assert recipe.apply("lora", write("lora", text), params) == ["models.medical.train.tune"]
    assert read(params)["models"]["medical"]["train"]["tune"] == {
        "kind": "lora",
        "rank": 8,
        "alpha": 1,
        "dropout": 0,
        "base": "plain",
        "save": "merged",
    }


def test_part_of_a_mapping_of_the_same_kind_is_merged(params, write):
    text = "models:\n  medical:\n    train:\n      tune: {kind: top_layers, layers: 3}\n"
    recipe.apply("three", write("three", text), params)
    text = "models:\n  medical:\n    train:\n      tune: {layers: 2}\n"
    assert recipe.apply("two", write("two", text), params) == ["models.medical.train.tune.layers"]
    assert read(params)["models"]["medical"]["train"]["tune"] == {"kind": "top_layers", "layers": 2}


@pytest.mark.parametrize(
    "text",
    [
        "models:\n  medical:\n    train:\n      epoch: 5\n",
        "models:\n  medical:\n    base: nothing\n",
        "modles: {}\n",
        "models: [\n",
        "models:\n  medical: 5\n",
    ],
)
def test_a_bad_result_is_refused_and_nothing_is_written(params, write, tmp_path, text):
    folder = write("bad", text)
    with pytest.raises(StageError):
        recipe.apply("bad", folder, params)
    assert params.read_text(encoding="utf-8") == COMMITTED
    assert names(tmp_path) == {"params.yaml", "recipes", "recipes/bad.yaml"}


def test_a_recipe_with_comments_alone_changes_nothing(params, write):
    assert recipe.apply("empty", write("empty", "# nothing yet\n"), params) == []


@pytest.mark.parametrize("name", ["nothing", "../params", "", "medical_gpt2.yaml"])
def test_an_unknown_recipe_names_the_known_ones(params, name):
    with pytest.raises(StageError, match=f"one of {', '.join(RECIPES)}"):
        recipe.apply(name, ROOT / "recipes", params)


def test_on_the_command_line(params, tmp_path):
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    listed = module(tmp_path, "affinage", "recipe", "--list")
    named = [line.split()[0] for line in listed.stdout.splitlines() if not line.startswith(" ")]
    assert named == RECIPES and all(len(line) <= 100 for line in listed.stdout.splitlines())
    first = module(tmp_path, "affinage", "recipe", RECIPES[0])
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("set ")
    assert params.read_text(encoding="utf-8") != COMMITTED
    assert module(tmp_path, "affinage", "recipe", RECIPES[0]).stdout == f"{RECIPES[0]}: already merged\n"
    unknown = module(tmp_path, "affinage", "recipe", "nothing")
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("error: recipes\n")
    assert "Traceback" not in unknown.stderr


def test_a_recipe_is_listed_with_its_first_sentence():
    assert recipe.first_sentence("# Takes GPT-2 (124M), about 1.5 GB, and\n# trains it. CC BY 4.0.\nmodels:\n") == (
        "Takes GPT-2 (124M), about 1.5 GB, and trains it."
    )
    for name in RECIPES:
        assert recipe.first_sentence((ROOT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")).endswith("."), name


def test_recipes_are_read_as_dvc_reads_them():
    for name in RECIPES:
        text = (ROOT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        assert YAML(typ="safe", pure=True).load(text) == read(ROOT / "recipes" / f"{name}.yaml")
        assert text.startswith("# ")  # what --list shows
