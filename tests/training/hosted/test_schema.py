import copy

import pytest

from affinage.commands import recipe
from stages.common.check_params import check
from stages.common.defaults import resolve
from stages.common.errors import StageError
from stages.common.params import read
from tests.data_helpers import as_checked
from tests.imports import ROOT


def merged() -> dict:
    """The committed parameters with the recipe of two hosted rounds."""
    params = read(ROOT / "params.yaml")
    for name in ("hosted", "partfinder_hosted"):
        recipe.merge(params, read(ROOT / f"recipes/{name}.yaml"))
    params.pop("needs")
    return params


PARAMS = merged()


def problems(path: str, value: object) -> str:
    params = copy.deepcopy(PARAMS)
    *folders, last = path.split(".")
    place = params
    for key in folders:
        place = place[key]
    place[last] = value
    with pytest.raises(StageError) as caught:
        check(params, ROOT / "params.yaml")
    return caught.value.found


def test_the_recipe_s_parameters_are_kept_as_they_are():
    assert check(PARAMS, ROOT / "params.yaml").model_dump(exclude_unset=True) == as_checked(resolve(PARAMS)[0])


TRAIN = "models.partfinder_hosted_001.train"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (f"{TRAIN}.n_epochs", 0, "n_epochs: found 0, expected auto or a whole number from 1 to 50"),
        (f"{TRAIN}.n_epochs", "car", "n_epochs: found 'car', expected auto or a whole number from 1 to 50"),
        (f"{TRAIN}.n_epochs", True, "n_epochs: found True, expected auto"),
        (f"{TRAIN}.batch_size", 257, "batch_size: found 257, expected auto or a whole number from 1 to 256"),
        (f"{TRAIN}.batch_size", 2.0, "batch_size: found 2.0, expected auto"),
        (f"{TRAIN}.learning_rate_multiplier", 0, "learning_rate_multiplier: found 0, expected auto or a number above 0"),
        (f"{TRAIN}.learning_rate_multiplier", float("nan"), "learning_rate_multiplier: found nan"),
        (f"{TRAIN}.checkpoint", "first", "train.checkpoint: found 'first'"),
        (f"{TRAIN}.seed", 2**31, "train.seed: found 2147483648"),
        (f"{TRAIN}.suffix", "x" * 65, "train.suffix: found"),
        (f"{TRAIN}.prices", [], "train.prices: found []"),
        (
            f"{TRAIN}.prices",
            [{"model": "a", "dollars_per_million_tokens": 1.0, "per": 1}],
            "prices.0.per: unknown key (legal: dollars_per",
        ),
        (f"{TRAIN}.limit_dollars", -1.0, "train.limit_dollars: found -1.0"),
        (f"{TRAIN}.epochs", 2, "train.epochs: unknown key; did you mean 'n_epochs'?"),
        ("bases.gpt_4o_mini.base.base_url", "https://me:secret@example.org", "bases.gpt_4o_mini.base.base_url: found"),
        ("bases.gpt_4o_mini.base.base_url", "https://example.org/v1?key=x", "bases.gpt_4o_mini.base.base_url: found"),
        ("bases.gpt_4o_mini.base.base_url", "example.org", "bases.gpt_4o_mini.base.base_url: found"),
    ],
)
def test_a_wrong_value_is_named_once(path, value, message):
    problem = problems(path, value)
    assert message in problem and problem.startswith("1 problem\n")


def test_local_weights_are_not_tuned_by_a_service_nor_the_other_way_round():
    causal = PARAMS["models"]["medical"]["train"]
    text = problems("models.partfinder_hosted_001.train", causal)
    assert "partfinder_hosted_001.base: 'gpt_4o_mini' cannot be tuned by method causal; expected one of smollm2" in text
    hosted = PARAMS["models"]["partfinder_hosted_001"]["train"]
    text = problems("models.medical.train", hosted)
    assert "models.medical.base: 'smollm2' cannot be tuned by method hosted; expected one of gpt_4o_mini" in text
    text = problems("bases.gpt_4o_mini.base.provider", "ollama")
    assert "models.partfinder_hosted_002.base: 'gpt_4o_mini' cannot be tuned by method hosted; expected one of none" in text


def test_a_classifier_has_weights_to_start_from():
    causal = PARAMS["models"]["medical"]["train"].items()
    classifier = {name: value for name, value in causal if name not in ("shuffle_pairs", "packing")}
    text = problems("models.partfinder_hosted_001.train", classifier | {"method": "classifier", "class_weights": "none"})
    assert "'gpt_4o_mini' cannot be tuned by method classifier; expected one of smollm2, minilm" in text


def test_a_later_round_is_tuned_as_its_chain_began():
    text = problems("models.partfinder_hosted_002.train", PARAMS["models"]["medical"]["train"])
    assert "models.partfinder_hosted_002.base: 'gpt_4o_mini' cannot be tuned by method causal" in text
