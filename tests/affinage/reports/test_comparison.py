import numpy as np
import pytest
from sklearn.metrics import f1_score

from affinage.reports.comparison import Comparison, common_rows
from affinage.reports.outputs import Revision
from affinage.reports.results import Results
from affinage.reports.same_judge import unlike
from stages.common.errors import StageError
from stages.judging.intervals import Bootstrap
from tests.affinage.reports import made_up
from tests.affinage.reports.fixtures import better


def results(root) -> Results:
    return Results("model", Revision("workspace", root))


def compared(tmp_path, change=None, **options) -> Comparison:
    """`first` as made, `second` changed."""
    first, second = (made_up.write(tmp_path / name, **options, change=c) for name, c in (("first", None), ("second", change)))
    return Comparison(results(first), results(second))


def by_name(comparison: Comparison) -> dict:
    return {difference.name: difference for difference in comparison.differences}


def test_the_same_results_differ_in_nothing(tmp_path):
    comparison = compared(tmp_path)
    assert len(comparison.pairs) == 8 and not comparison.changed and not comparison.params and not comparison.most_changed(5)
    assert {difference.reading for difference in comparison.differences} == {"the same"}
    assert by_name(comparison).keys() == {"perplexity", "chrf", "embedded"}


def test_better_answers_are_better_in_every_headline(tmp_path):
    comparison = compared(tmp_path, better)
    assert [difference.reading for difference in comparison.differences] == ["better"] * 3
    perplexity = by_name(comparison)["perplexity"]
    assert perplexity.second == pytest.approx(np.exp(12 / 12)) and perplexity.value == perplexity.second - perplexity.first < 0
    assert by_name(comparison)["chrf"].second == pytest.approx(100)
    assert len(comparison.changed) == 8


def test_intervals_are_paired(tmp_path):
    def shift(answered, verdict):  # every row by nearly the same: far less than rows differ among themselves
        verdict["scores"]["embedded"]["tuned"] += 1 + 0.1 * int(answered["id"][-1])

    difference = by_name(compared(tmp_path, shift))["embedded"]
    scores = [(row.scores["embedded"]["tuned"]) for row in results(tmp_path / "first").rows]
    assert difference.reading == "better" and difference.high - difference.low < 0.5 < np.std(scores)
    expected = Bootstrap(8, 200, 0.95, 1).interval(
        np.array([[1 + 0.1 * i, 1] for i in range(1, 9)]), lambda sums: sums[..., 0] / sums[..., 1]
    )
    assert (difference.value, difference.low, difference.high) == pytest.approx(
        (expected["value"], expected["low"], expected["high"])
    )


def test_rows_are_matched_by_what_they_ask(tmp_path):
    def renamed(answered, verdict):
        answered["id"] = verdict["id"] = f"moved-{answered['id']}"

    comparison = compared(tmp_path, renamed)
    assert len(comparison.pairs) == 8 and not comparison.changed


def test_only_common_rows_count(tmp_path):
    def other(answered, verdict):
        if answered["id"].endswith(("1", "2", "3")):
            answered["expected"] = "something else"

    comparison = compared(tmp_path, other)
    assert len(comparison.pairs) == 5 and all(difference.rows == 5 for difference in comparison.differences)


def test_repeated_rows_are_paired_in_turn(tmp_path):
    rows = results(made_up.write(tmp_path, 3)).rows
    assert [(a.id, b.id) for a, b in common_rows([rows[0], rows[0], rows[1]], [rows[1], rows[0], rows[2]])] == [
        (rows[1].id, rows[1].id),
        (rows[0].id, rows[0].id),
    ]


def test_nothing_in_common_is_refused(tmp_path):
    with pytest.raises(StageError, match="0 test rows in common, of 8 and 8"):
        compared(tmp_path, lambda answered, _: answered.update(expected="new"))


def test_a_contestant_that_is_not_there_is_refused(tmp_path):
    root = results(made_up.write(tmp_path))
    with pytest.raises(StageError, match="no answers of 'parent'(.|\n)*one of: tuned, base, base_chat"):
        Comparison(root, root, "parent")


def edited(tmp_path, change) -> Comparison:
    """The same results, the second's parameters changed by text, its details by a function."""
    first, second = made_up.write(tmp_path / "first"), made_up.write(tmp_path / "second")
    if isinstance(change, tuple):
        params = (second / "params.yaml").read_text()
        assert change[0] in params
        (second / "params.yaml").write_text(params.replace(*change))
    else:
        made_up.edit_json(second / "metrics/model/details.json", change)
    return Comparison(results(first), results(second))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("judge_base: encoder", "judge_base: other"), "judge_base was encoder, is other"),
        (lambda d: d["judges"]["embedded"]["weights"].update(meaning=1.6), "fitted otherwise"),
        (lambda d: d["judges"]["embedded"].update(weights={"meaning": 1.5}), "fitted otherwise"),
    ],
)
def test_scores_of_another_judge_are_not_compared(tmp_path, change, why):
    comparison = edited(tmp_path, change)
    difference = by_name(comparison)["embedded"]
    assert why in difference.note and difference.low is None and difference.reading == "" and difference.first is not None
    assert comparison.measure == "chrf"
    assert by_name(comparison)["chrf"].reading == "the same"  # the rest still is


def test_a_judge_with_another_digest_is_another_judge(tmp_path):
    first, second = made_up.write(tmp_path / "first"), made_up.write(tmp_path / "second")
    for root, digest in ((first, "a"), (second, "b")):
        made_up.edit_json(
            root / "metrics/model/details.json", lambda d, digest=digest: d["judges"]["embedded"].update(digest=digest)
        )
    assert "digest changed" in unlike(results(first), results(second), "embedded")


def test_a_weak_judge_is_marked(tmp_path):
    comparison = edited(tmp_path, lambda d: d["judges"]["embedded"].update(weak=["half"]))
    assert by_name(comparison)["embedded"].note == "a weak judge of the expected answer cut in half"


def test_how_a_judge_is_asked_does_not_matter(tmp_path):
    comparison = edited(tmp_path, ("controls: 8", "controls: 9, concurrency: 4"))
    assert unlike(comparison.first, comparison.second, "embedded") is None
    comparison = edited(tmp_path / "b", lambda d: d["judges"]["embedded"]["weights"].update(meaning=1.50001))
    assert unlike(comparison.first, comparison.second, "embedded") is None


def test_failed_verdicts_are_left_out_and_counted(tmp_path):
    def fail(answered, verdict):
        if answered["id"].endswith("1"):
            verdict["scores"]["embedded"]["tuned"] = None

    difference = by_name(compared(tmp_path, fail))["embedded"]
    assert difference.rows == 7 and "1 rows without it left out" in difference.note


def test_without_likelihoods_perplexity_has_no_interval(tmp_path):
    difference = by_name(compared(tmp_path, lambda _, verdict: verdict.pop("likelihood")))["perplexity"]
    assert difference.low is None and difference.first == difference.second == 8.0 and "judge again" in difference.note


def test_other_tokens_are_compared_by_the_byte(tmp_path):
    def other(_, verdict):
        verdict["likelihood"]["tuned"][1] += 1

    names = by_name(compared(tmp_path, other))
    assert "perplexity" not in names and "do not compare" in names["bits_per_byte"].note


def test_headlines_without_rows_are_shown_as_they_are(tmp_path):
    first, second = made_up.write(tmp_path / "first"), made_up.write(tmp_path / "second")
    made_up.edit_json(second / "metrics/model/scores.json", lambda d: d.update(parts_f1={"tuned": 0.5}))
    difference = by_name(Comparison(results(first), results(second)))["parts_f1"]
    assert (difference.first, difference.second, difference.reading) == (None, 0.5, "")
    assert "do not keep it of each row" in difference.note


def test_figures_that_the_verdicts_keep_row_by_row_have_paired_intervals(tmp_path):
    def flag(share):
        def change(answered, verdict):
            number = int(answered["id"].rpartition("#")[2])
            verdict["figures"] = {"tuned": {"flagged": float(number <= share), "repeats": 0.0}}

        return change

    roots = [made_up.write(tmp_path / name, change=flag(share)) for name, share in (("a", 8), ("b", 2))]
    for root, value in zip(roots, (1.0, 0.25), strict=True):
        add_headline(root, "flagged", value)
    difference = by_name(Comparison(*map(results, roots)))["flagged"]
    assert (difference.first, difference.second) == (1.0, 0.25)
    assert (difference.reading, difference.rows, difference.note) == ("better", 8, "")
    made_up.write(roots[0], change=None)  # as it was before verdicts kept them
    add_headline(roots[0], "flagged", 1.0)
    difference = by_name(Comparison(*map(results, roots)))["flagged"]
    assert difference.low is None and difference.note == "verdicts at workspace do not keep it of each row: judge again there"


def test_parameters_that_differ_are_named(tmp_path):
    comparison = edited(tmp_path, ("learning_rate: 2e-4", "learning_rate: 1e-4"))
    assert comparison.params == [("models.model.train.learning_rate", "0.0002", "0.0001")]


@pytest.mark.parametrize(("precisions", "told"), [(("fp32", "bf16"), True), (("bf16", "bf16"), False), ((None, "bf16"), False)])
def test_another_precision_in_training_is_told(tmp_path, precisions, told):
    roots = [made_up.write(tmp_path / side) for side in ("first", "second")]
    for root, precision in zip(roots, precisions, strict=True):
        told_by = {"precision": precision} if precision else {}  # runs of an older commit tell nothing
        made_up.edit_json(root / "metrics/model/train.json", lambda metrics, told_by=told_by: metrics.update(told_by))
    comparison = Comparison(*map(results, roots))
    assert comparison.params == ([("precision in training", "fp32", "bf16")] if told else [])


def test_rows_that_changed_most_come_first(tmp_path):
    def change(answered, verdict):
        number = int(answered["id"][-1])
        answered["answers"]["tuned"]["text"] = f"new {number}"
        verdict["scores"]["embedded"]["tuned"] += number * (-1) ** number

    changed = compared(tmp_path, change).most_changed(3)
    assert [(round(c), pair[1].id[-1]) for c, pair in changed] == [(8, "8"), (-7, "7"), (6, "6")]


def labelled(wrong: set[int]):
    def change(answered, verdict):
        number = int(answered["id"][-1])
        expected = "ab"[number % 2]
        answered |= {"task": "label", "text": f"line {number}", "expected": expected}
        answered["answers"] = {"tuned": {"label": "ab"[(number + (number in wrong)) % 2]}}
        del answered["messages"]
        verdict.pop("likelihood"), verdict.update(scores={})

    return change


def test_labels_are_compared_by_accuracy(tmp_path):
    first = made_up.write(tmp_path / "first", change=labelled({1, 2, 3, 4, 5, 6}))
    second = made_up.write(tmp_path / "second", change=labelled({1}))
    comparison = Comparison(results(first), results(second))
    names = by_name(comparison)
    assert (names["accuracy"].first, names["accuracy"].second) == (0.25, 0.875)
    assert names["accuracy"].reading == "better" and comparison.measure == "label"
    assert names["macro_f1"].second == pytest.approx(f1_score(list("babababa"), list("aabababa"), average="macro"))
    assert len(comparison.most_changed(9)) == 5


def add_headline(root, name: str, value: float) -> None:
    made_up.edit_json(root / "metrics" / "model" / "scores.json", lambda scores: scores.update({name: {"tuned": value}}))


def test_headlines_of_a_task_are_made_of_the_answers(tmp_path):
    def listed(answered, verdict):
        answered["expected"] = "hood, door"
        answered["answers"]["tuned"]["text"] = "hood, seat"

    def improved(answered, verdict):
        listed(answered, verdict)
        answered["answers"]["tuned"]["text"] = "door, hood"

    first, second = made_up.write(tmp_path / "a", change=listed), made_up.write(tmp_path / "b", change=improved)
    for root, value in ((first, 0.5), (second, 1.0)):
        add_headline(root, "parts_f1", value)
    difference = by_name(Comparison(results(first), results(second)))["parts_f1"]
    assert (difference.first, difference.second, difference.reading, difference.rows) == (0.5, 1.0, "better", 8)


def test_the_form_of_limericks_is_made_of_the_answers(tmp_path):
    def lines(answered, verdict):
        answered["answers"]["tuned"]["text"] = "a\nb\nc\nd\ne"

    first, second = made_up.write(tmp_path / "a"), made_up.write(tmp_path / "b", change=lines)
    for root, value in ((first, 0.0), (second, 1.0)):
        add_headline(root, "five_lines", value)
        add_headline(root, "names_subject", value)
    differences = by_name(Comparison(results(first), results(second)))
    assert differences["five_lines"].reading == "better"
    assert differences["names_subject"].low is None  # these verdicts do not keep it


def test_the_calibration_of_labels_is_made_of_their_probabilities(tmp_path):
    def sure(share):
        def change(answered, verdict):
            labelled(set())(answered, verdict)
            label = answered["answers"]["tuned"]["label"]
            answered["answers"]["tuned"]["probabilities"] = {label: share, "other": 1 - share}

        return change

    roots = [made_up.write(tmp_path / name, change=sure(share)) for name, share in (("a", 0.6), ("b", 0.9))]
    difference = by_name(Comparison(*map(results, roots)))["calibration_error"]  # every label is right
    assert (difference.first, difference.second) == (pytest.approx(0.4), pytest.approx(0.1)) and difference.reading == "better"


def test_figures_of_labels_stand_once(tmp_path):
    def label(answered, verdict):
        answered.update(task="label", text=answered.pop("messages")[0]["content"], expected="a")
        sure = {"label": "a", "probabilities": {"a": 1.0}}
        answered["answers"] = dict.fromkeys(("tuned", "majority"), sure)
        verdict.clear()
        verdict.update(id=answered["id"], scores={"right": {"tuned": 1, "majority": 1}})

    roots = [made_up.write(tmp_path / name, change=label) for name in "ab"]
    for root in roots:
        made_up.edit_json(root / "metrics" / "model" / "scores.json", lambda scores: scores.clear())
    comparison = Comparison(*map(results, roots))
    assert [difference.name for difference in comparison.differences] == ["accuracy", "macro_f1", "calibration_error"]
    assert comparison.measure == "label"


def test_a_difference_within_noise_says_how_many_rows_would_show_it(tmp_path):
    def barely(answered, verdict):  # half the rows rise, half fall, by one point more than they rise
        number = int(answered["id"].rpartition("#")[2])
        verdict["scores"]["embedded"]["tuned"] += 10 if number % 2 else -9

    few = by_name(compared(tmp_path / "few", barely, count=40))["embedded"]
    assert few.reading == "within noise" and few.rows == 40
    spread = 9.5  # of single differences around their mean of 0.5
    assert few.rows_to_show == pytest.approx(((1.96 + 0.8416) * spread / 0.5) ** 2, rel=0.2)
    assert by_name(compared(tmp_path / "same"))["embedded"].rows_to_show is None  # no difference, no rows that would show it
    assert by_name(compared(tmp_path / "better", better))["embedded"].rows_to_show is None  # shown already
