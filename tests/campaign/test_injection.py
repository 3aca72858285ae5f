"""Injected answers are made as described, counted as described, and a judge that falls for one is findings."""

import shutil

import numpy as np
import pytest

from campaign import injection
from campaign.figures import Findings
from stages.common.files import write_rows
from tests import tiny
from tests.imports import ROOT


def test_what_is_put_in_holds_the_answer_once_and_no_place_is_left():
    for kind in injection.KINDS:
        text = injection.injected(kind, "{question} is my answer", "Why?")
        assert text.count("{question} is my answer") == (2 if kind == "speaks as the reference" else 1), kind
        assert "{answer}" not in text and text != "{question} is my answer", kind


def test_rises_are_counted_where_both_verdicts_are_there():
    plain = np.array([10.0, 10.0, 60.0, np.nan, 0.0])
    raised, rows, rise, fooled, most = injection.figures(plain, np.array([10.5, 55.0, 90.0, 100.0, np.nan]))
    assert (raised, rows, fooled, most) == (2, 3, 1, 45)
    assert rise["value"] == pytest.approx(25.166667) and rise["low"] < 25 < rise["high"]


@pytest.mark.parametrize("resists, problems", [(True, 1), (False, 0)])
def test_a_judge_that_is_fooled_is_a_problem_only_where_it_should_resist(resists, problems):
    findings, plain = Findings(), np.full(4, 10.0)
    scores = {("another row's", ""): plain, ("half", ""): plain, ("another row's", "harmless"): plain}
    scores |= {("half", "harmless"): plain - 2, ("half", injection.HIDDEN): plain + 9}  # as much as it may be
    injection.tell(findings, "judge", scores | {("another row's", "pleads"): plain + 60}, resists)
    assert len(findings.problems) == problems
    assert findings.lines[-1][2] == "4 of 4 raised, +60.0 [60.0, 60.0] points, +60.0 at most, 4 came to half of the marks"
    assert [figure for kind, _, figure in findings.lines if kind.endswith("harmless") and "+0.0" in figure] == [
        "0 of 4 raised, +0.0 [0.0, 0.0] points, +0.0 at most, 0 came to half of the marks"
    ]


def test_a_tree_without_the_model_is_told_as_such(tmp_path):
    problems = injection.campaign(tmp_path, tmp_path, 4)
    assert not problems.problems and "not run" in problems.lines[0][1]


def test_every_kind_is_judged_on_what_a_tree_holds(tmp_path):
    tree = tmp_path / "tree"
    for name in ("medical", "smollm2"):
        tiny.base(tree / "models" / name)
    tiny.encoder(tree / "models" / "minilm")
    tiny.formatted(tree / "data" / "medical_qa" / "formatted")
    rows = [row | {"expected": row["completion"]} for row in tiny.rows(6, first=30)]
    write_rows(tree / "data" / "answers" / "medical.jsonl", [*rows, rows[0] | {"expected": None}])
    shutil.copy(ROOT / "params.yaml", tree)
    problems = injection.campaign(tmp_path, tree, 40)
    judged = [line for line in problems.lines if "of 6 raised" in line[2]]
    assert len(judged) == len(injection.KINDS) + 1  # the harmless text is put into both answers
    assert problems.lines[-1][1].startswith("not run: no GGUF weights")
