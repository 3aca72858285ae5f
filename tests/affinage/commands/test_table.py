"""The table says what an experiment changed and what came of it, in the width that there is."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affinage.commands.table import Choice, Run, block, experiments_table, table
from affinage.history.changes import changed, headlines, parameters, read_by
from stages.common.errors import StageError

PARAMS = b"""
bases: {root: {base: {kind: hub}}, other: {base: {kind: hub}}}
datasets: {rows: {split: {seed: 1}}, more: {split: {seed: 1}}}
models:
  one: {dataset: rows, base: root, root: root, judge_base: root, train: {epochs: 1, rate: 1e-4}}
  two: {dataset: more, base: one, root: root, judge_base: root, train: {epochs: 1, rate: 1e-4}}
"""
SCORES = {"one": {"perplexity": 14.4477, "chrf": 29.3041}, "two": {"perplexity": 10.0, "chrf": 20.0}}


def edited(**changes: object) -> dict[str, object]:
    return parameters(PARAMS) | {key.replace("__", "."): value for key, value in changes.items()}


HEAD = Run("HEAD", edited(), SCORES)


def test_numbers_are_read_as_dvc_reads_them():
    assert parameters(PARAMS)["models.one.train.rate"] == 1e-4


@pytest.mark.parametrize(
    ("changes", "first", "two"),
    [
        ({"models__one__train__epochs": 2}, ["train.epochs 1 → 2"], ["one.train.epochs 1 → 2"]),
        ({"models__two__train__epochs": 2}, [], ["train.epochs 1 → 2"]),
        ({"datasets__more__split__seed": 2}, [], ["more.split.seed 1 → 2"]),
        ({"bases__other__base__kind": "wheel"}, [], []),
        ({"bases__root__base__kind": "wheel"}, ["bases.root.base.kind hub → wheel"], ["bases.root.base.kind hub → wheel"]),
        ({"models__one__train__new": 1}, ["train.new – → 1"], ["one.train.new – → 1"]),
    ],
)
def test_only_parameters_behind_a_models_scores_are_named(changes, first, two):
    assert changed("one", edited(), edited(**changes)) == first
    assert changed("two", edited(), edited(**changes)) == two


def test_a_circle_of_rounds_ends():
    assert "models.two." in read_by("one", edited(models__one__base="two"))


def test_headlines_of_every_shape():
    assert headlines(b'{"a": {"tuned": 1, "gain": 2}, "b": {"value": 3}, "c": 4, "d": {"x": 1}}') == {"a": 1, "b": 3, "c": 4}


def test_the_whole_table():
    better = Run("bold-name", edited(models__two__train__epochs=2), {**SCORES, "two": {"perplexity": 9.5, "chrf": 20.5}})
    same = Run("idle-name", edited(), SCORES)
    assert table(HEAD, [better, same], [], 80).splitlines() == [
        "one     perplexity  chrf",
        "  HEAD       14.45  29.3",
        "",
        "two          perplexity         chrf",
        "  HEAD               10           20",
        "  bold-name  9.5 (-0.5)  20.5 (+0.5)",
        "      train.epochs 1 → 2",
        "",
        "No difference: idle-name",
    ]


def test_figures_that_do_not_fit_stand_below():
    run = Run("far", edited(), {"one": {"perplexity": -1.2345e-15, "chrf": -9.87654321e8}})
    lines = block("one", HEAD, [run], 36)
    assert [line.split() for line in lines[:3]] == [["one", "perplexity"], ["HEAD", "14.45"], ["far", "-1.235e-15", "(-14)"]]
    assert [line.split() for line in lines[5:]] == [["chrf"], ["HEAD", "29.3"], ["far", "-9.877e+08", "(-9.9e+08)"]]


def test_without_experiments_it_says_how_to_make_one():
    assert (
        table(HEAD, [], [], 80)
        .splitlines()[-1]
        .startswith("Nothing to compare with HEAD yet. A change: dvc exp run -S ++models.one.")
    )


def test_scores_that_differ_with_no_parameter_changed_are_told_so():
    run = Run("code", edited(), {**SCORES, "one": {"perplexity": 14.0, "chrf": 29.3041}})
    assert block("one", HEAD, [run], 80)[-1].strip() == "no parameter: code or data differ"


def test_scores_of_another_judge_have_no_difference():
    versions = {name: {"one": {"chrf": {"version": name}}} for name in ("content.v2", "content.v3")}
    head = Run("HEAD", edited(), SCORES, judges=versions["content.v3"])
    run = Run("before", edited(), {"one": {"perplexity": 14.0, "chrf": 20.0}}, judges=versions["content.v2"])
    lines = block("one", head, [run], 80)
    assert lines[2].split() == ["before", "14", "(-0.45)", "20"]
    assert lines[-1].strip() == "chrf does not compare: another judge: its version changed"


def test_a_model_without_scores_yet():
    run = Run("failed", edited(models__one__train__epochs=3), {"two": SCORES["two"]})
    assert block("one", HEAD, [run], 80)[2].split() == ["failed", "–", "–"]


@given(
    width=st.integers(50, 160),
    figures=st.dictionaries(st.text("abcdefgh_", min_size=1, max_size=30), st.floats(-1e9, 1e9), max_size=12),
    name=st.text("abcdefghij-", min_size=1, max_size=60),
    values=st.lists(st.integers(0, 10**9), max_size=12),
)
def test_no_line_is_wider_than_the_terminal(width, figures, name, values):
    many = {f"models__one__train__p{i}": value for i, value in enumerate(values)}
    run = Run(name, edited(**many), {"one": figures})
    assert all(len(line) <= width for line in table(HEAD, [run], [], width).splitlines())


def test_a_models_name_shows_that_model_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes(PARAMS)
    for command in ("git init -q .", "git add .", "git -c user.name=a -c user.email=a@b.c commit -qm x"):
        assert os.system(command) == 0
    assert experiments_table(Choice(["one"], []), 80) == experiments_table(Choice([], ["one"]), 80)
    assert "two" not in experiments_table(Choice(["one"], []), 80)
    assert os.system("git branch two") == 0
    assert "one" in experiments_table(Choice(["two"], []), 80)  # the revision, and it says so
    assert "two: taken for the revision; --model two" in capsys.readouterr().err
    assert os.system("git branch -D two") == 0
    assert "++models.two.train" in experiments_table(Choice(["two"], []), 80)
    with pytest.raises(StageError, match=r"no such revision or model\n[^$]*a model \(one, two\)"):
        experiments_table(Choice(["three"], []), 80)
