"""Charts hold what the tables say, and Vega-Lite draws every one of them."""

import json

import pytest
import vl_convert

from affinage.commands.plots import VEGA_LITE
from affinage.plotting import charts, curves, shared

HEAD = "step,elapsed_tokens,elapsed_examples,training_loss,training_sequence_accuracy,training_token_accuracy,"
HEAD += "validation_loss,validation_token_accuracy\n"


def results(*losses: float) -> bytes:
    rows = [f"{i},{i * 10},{i},{loss},0,0.5,{loss if i % 2 else ''},\n" for i, loss in enumerate(losses, 1)]
    return (HEAD + "".join(rows)).encode()


FILES = {
    "metrics/one/results.csv": results(3, 2, 1),
    "metrics/one/train.json": b'{"validation_loss_start": 4}',
    "metrics/two/results.csv": results(2, 1),
    "metrics/three/results.csv": results(1.5),
    "metrics/one/scores.csv": b"judge,answer,id,score\nj,tuned,a,0\nj,tuned,b,9.9\nj,tuned,c,100\nj,base,a,10\nj,base,b,\n",
    "metrics/rows/lengths.csv": b"words,prompts,completions\n0,0,3\n1,2,0\n4,5,6\n",
    "metrics/kinds/scores.csv": b"id,actual,predicted,probability,majority,tfidf\n"
    b"a,601,601,0.9,601,602\nb,601,602,0.4,601,602\nc,602,602,1,601,602\n",
}
BASES = {"one": "root", "two": "one", "three": "two"}


def rows(spec: dict) -> list[dict]:
    return spec["data"]["values"]


def test_loss_over_tokens_begins_with_the_loss_before_training():
    drawn = [row for row in rows(curves.loss({"r": FILES}, {})) if row["model"] == "one"]
    points = {
        part: [(row["tokens"], row["value"]) for row in drawn if row["part"] == part] for part in ("training", "validation")
    }
    assert points == {"training": [(10, 3), (20, 2), (30, 1)], "validation": [(0, 4), (10, 3), (30, 1)]}


def test_what_was_not_measured_is_not_drawn():
    assert {row["part"] for row in rows(curves.accuracy({"r": FILES}, {}))} == {"training"}


def test_rounds_are_one_chart_and_counted_on():
    drawn = rows(curves.loss({"r": FILES}, BASES))
    assert [(row["model"], row["tokens"]) for row in drawn if row["part"] == "training"] == [
        ("one", 10), ("one", 20), ("one", 30), ("two", 40), ("two", 50), ("three", 60),
    ]  # fmt: skip
    assert [(row["model"], row["tokens"]) for row in drawn if row["part"] == "begins"] == [("two", 30), ("three", 50)]
    assert {row["system"] for row in drawn} == {"three"}
    assert {row["system"] for row in rows(curves.loss({"r": FILES}, {}))} == {"one", "two", "three"}


@pytest.mark.parametrize(
    ("bases", "expected"),
    [
        (BASES, [["one", "two", "three"]]),
        ({"two": "one", "three": "one"}, [["one", "three"], ["one", "two"]]),
        ({"one": "two", "two": "one"}, [["three"], ["one"], ["two"]]),
        ({}, [["one"], ["three"], ["two"]]),
    ],
)
def test_systems(bases, expected):
    assert curves.systems(FILES, bases) == expected


def test_scores_are_counted_in_tens():
    counted = {(row["answer"], row["score"]): row["rows"] for row in rows(charts.scores({"r": FILES}))}
    assert counted == {("tuned", "0–10"): 2, ("tuned", "90–100"): 1, ("base", "10–20"): 1}


def test_the_last_bin_of_lengths_is_as_wide_as_the_one_before():
    bars = [(row["text"], row["words"], row["up_to"], row["rows"]) for row in rows(charts.lengths({"r": FILES}))]
    assert bars == [("completions", 0, 1, 3), ("prompts", 1, 4, 2), ("prompts", 4, 7, 5), ("completions", 4, 7, 6)]


def test_confusion_is_a_share_of_the_actual_class():
    shares = {(row["actual"], row["predicted"]): row["share"] for row in rows(charts.confusion({"r": FILES}))}
    assert shares == {("601", "601"): 0.5, ("601", "602"): 0.5, ("602", "602"): 1}


def test_nothing_to_draw():
    assert charts.every({"r": {"metrics/one/train.json": b"{}"}}, {}) == {}


@pytest.mark.parametrize("revisions", [["HEAD"], ["HEAD", "bold-name"]])
def test_every_chart_is_drawn(revisions):
    drawn = charts.every(dict.fromkeys(revisions, FILES), BASES)
    assert list(drawn) == ["loss", "accuracy", "scores", "confusion", "lengths"]
    for spec in drawn.values():
        svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
        assert spec["title"]["text"] in svg
        assert "NaN" not in svg
        assert all(name in svg for name in revisions if len(revisions) > 1)


def test_charts_stand_side_by_side():
    drawn = charts.every({"r": FILES}, {})
    assert {name: spec["columns"] for name, spec in drawn.items()} == {
        "loss": 3, "accuracy": 3, "scores": 1, "confusion": 1, "lengths": 1,
    }  # fmt: skip
    assert "columns" not in charts.every({"r": FILES, "s": FILES}, {})["scores"]  # revisions are the columns then


def test_text_cannot_end_the_script_it_stands_in():
    text = shared.as_text({"title": "</script><script>alert(1)</script>"})
    assert "</" not in text
    assert json.loads(text.replace("<\\/", "</")) == {"title": "</script><script>alert(1)</script>"}
