"""Entries are filled in from `defaults` of the same file, and from nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.check_params import check
from stages.common.defaults import ENTRIES, TASKS, as_read, resolve
from stages.common.errors import StageError
from stages.common.params import read, section
from tests.data_helpers import ROOT, put

COMMITTED = read(ROOT / "params.yaml")


def trained(params: dict, model: str = "medical") -> dict:
    return resolve(params)[0]["models"][model]["train"]


def problems(*changes: tuple[str, object]) -> str:
    params = COMMITTED
    for path, value in changes:
        params = put(path, value, params)
    with pytest.raises(StageError) as caught:
        check(params, "params.yaml")
    return caught.value.found


def test_an_entry_wins_over_its_method_and_a_method_over_all():
    assert trained(COMMITTED)["max_tokens"] == 512
    assert trained(COMMITTED, "invoices")["max_tokens"] == 128  # of defaults.train.classifier
    assert trained(put("models.invoices.train.max_tokens", 64), "invoices")["max_tokens"] == 64


def test_the_example_of_the_documentation_is_true():
    defaults = {"train": {"all": {"epochs": 2, "seed": 1}, "causal": {"packing": True}}}
    entry = {"train": {"method": "causal", "epochs": 5}}
    filled, origins = resolve({"defaults": defaults, "models": {"a": entry}})
    assert filled["models"]["a"]["train"] == {"method": "causal", "epochs": 5, "seed": 1, "packing": True}
    place = ("models", "a", "train")
    assert origins == {(*place, "seed"): "defaults.train.all.seed", (*place, "packing"): "defaults.train.causal.packing"}


def test_only_parameters_of_the_chosen_method_are_filled_in():
    assert "shuffle_pairs" not in trained(COMMITTED, "invoices")
    assert "class_weights" not in trained(COMMITTED)
    judged = resolve(COMMITTED)[0]["models"]["invoices"]["judge"]
    assert judged == {"task": "label", "bootstrap": 2000, "confidence": 0.95, "seed": 1}


def test_a_kind_may_be_left_to_the_defaults_or_named_with_its_own():
    assert trained(COMMITTED)["tune"] == {"kind": "top_layers", "layers": 20}
    assert trained(put("models.medical.train.tune", {"layers": 3}))["tune"] == {"kind": "top_layers", "layers": 3}
    assert trained(put("models.medical.train.tune", {"kind": "full"}))["tune"] == {"kind": "full"}
    lora = {"kind": "lora", "rank": 8, "alpha": 16}
    expected = COMMITTED["defaults"]["train"]["all"]["tune"]["lora"] | lora
    assert trained(put("models.medical.train.tune", lora))["tune"] == expected


def test_named_sources_and_judges_are_filled_in_by_their_kind():
    params = put("models.medical.judge.judges", {"one": {}, "two": {"controls": 5}})
    judges = resolve(params)[0]["models"]["medical"]["judge"]["judges"]
    embedded = {"kind": "embedded", "controls": 32, "warn_below": 0.8}
    assert judges == {"one": embedded, "two": embedded | {"controls": 5}}
    source = resolve(COMMITTED)[0]["datasets"]["medical_qa"]["scrape"]["sources"]["local"]
    assert (source["kind"], source["licence"], source["max_bytes"]) == ("local", "Apache-2.0", 1_000_000_000)


def test_the_method_tells_the_task():
    for model in resolve(COMMITTED)[0]["models"].values():
        assert model["generate"]["task"] == model["judge"]["task"] == TASKS[model["train"]["method"]]


def test_lists_are_written_whole():
    assert resolve(put("models.medical.generate.probes", ["one"]))[0]["models"]["medical"]["generate"]["probes"] == ["one"]


def test_what_is_filled_in_shares_nothing_with_the_file():
    filled, _ = resolve(COMMITTED)
    filled["models"]["limericks"]["generate"]["probes"].append("one more")
    assert COMMITTED["defaults"]["generate"]["all"]["probes"] == []


def test_a_stage_is_handed_its_section_filled_in(tmp_path):
    params = section("models", "invoices", "train", ROOT / "params.yaml")
    assert (params.method, params.max_tokens, params.epochs, params.weight_decay) == ("classifier", 128, 8, 0.01)


def test_an_older_file_is_read_as_it_was():
    old = {"bases": {}, "models": {"a": {"judge_base": "minilm", "train": {"method": "causal", "epochs": 1}}}}
    assert as_read(old) == old
    assert as_read(COMMITTED)["models"]["medical"]["judge_base"] == "minilm"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["all", "causal", "kind", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    path=st.sampled_from(
        [
            *("defaults", "defaults.train", "defaults.train.all", "defaults.train.all.tune", "defaults.scrape.sources"),
            *("defaults.scrape.sources.all.reader", "defaults.judge.all.judges", "defaults.split", "models", "models.medical"),
            *(
                "models.medical.train",
                "models.medical.train.tune",
                "models.medical.train.method",
                "models.medical.judge.judges",
            ),
        ]
    ),
    value=anything,
)
def test_any_shape_is_filled_in_or_refused_and_never_breaks(path, value):
    params = put(path, value)
    try:
        check(params, "params.yaml")
    except StageError as error:
        assert error.found.splitlines()[0].endswith(("problem", "problems"))


def test_an_illegal_default_is_named_once_and_not_at_each_entry():
    assert problems(("defaults.train.all.warmup", 1.5)).splitlines()[1:] == [
        "    - defaults.train.all.warmup: found 1.5, expected less than or equal to 1"
    ]


def test_an_illegal_default_is_named_though_no_entry_takes_it():
    assert "defaults.train.hosted.attempt: found 0" in problems(("defaults.train.hosted.attempt", 0))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "defaults.train.all.warmpu",
            "defaults.train.all.warmpu: unknown key; did you mean 'warmup'? (legal: attempt, batch_rows",
        ),
        ("defaults.train.causal.class_weights", "defaults.train.causal.class_weights: unknown key (legal: "),
        (
            "defaults.train.causl",
            "defaults.train.causl: unknown key; did you mean 'causal'? (legal: all, causal, classifier, hosted)",
        ),
        ("defaults.base", "defaults.base: unknown key (legal: format, generate, judge, label, scrape, split, train)"),
        ("defaults.scrape.sources.locl", "defaults.scrape.sources.locl: unknown key; did you mean 'local'? (legal: all, hub, "),
    ],
)
def test_a_misspelt_default_is_refused_with_a_suggestion(path, message):
    assert message in problems((path, {} if path.count(".") < 4 and "all" not in path else 0.5))


def test_an_entry_and_a_default_that_clash_are_both_named():
    text = problems(("defaults.split.test", 0.95), ("datasets.elements.split.validation", 0.1))
    assert (
        "datasets.elements.split, datasets.invoices.split: validation + test must be at most 1, not 1.05; "
        "left to defaults.split.test" in text
    )
    text = problems(("models.medical.train.wrong_times", 2))
    assert "models.medical.train: wrong_rows and wrong_times go together" in text
    assert text.endswith("left to defaults.train.all.wrong_rows")
    text = problems(("defaults.train.all.seed", 2**31), ("models.hosted", {"train": {"method": "hosted"}}))
    assert "models.hosted.train.seed: found 2147483648" in text and "; left to defaults.train.all.seed" in text


def test_defaults_that_dvc_looks_for_must_be_there():
    text = problems(("models.medical.train.method", "hosted"))
    for stage in ("train", "generate", "judge"):
        assert f"defaults.{stage}.hosted: missing, and models.medical is filled in from it; expected a mapping" in text
    assert "models.medical.train.checkpoint" not in text


def test_every_stage_with_parameters_but_base_has_defaults():
    stages = {stage for kind in ("datasets", "models") for stage in ENTRIES[kind]}
    assert stages == COMMITTED["defaults"].keys()
