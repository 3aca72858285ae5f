import pytest

from affinage.reports.comparison import Comparison
from affinage.reports.outputs import Revision
from affinage.reports.results import Results
from affinage.reports.two_revisions import ComparedPage, render_compared
from tests.affinage.reports import made_up
from tests.affinage.reports.fixtures import better
from tests.affinage.reports.test_comparison import labelled
from tests.affinage.reports.test_page import CONTRAST, choose, shown, texts


def some(answered, verdict):
    """Another answer in rows 3 to 6: the first two better, the others worse, row 4 and row 5 by most."""
    number = int(answered["id"].rpartition("#")[2])
    if 3 <= number <= 6:
        answered["answers"]["tuned"]["text"] = f"new answer {number}"
        verdict["scores"]["embedded"]["tuned"] += {3: 1, 4: 9, 5: -8, 6: -2}[number]


def compared(tmp_path, change=some, first=None, **options) -> Comparison:
    roots = [made_up.write(tmp_path / name, change=c, **options) for name, c in (("a", first), ("b", change))]
    made_up.keep(roots[1], {n: {"topic": "ab"[n % 2]} for n in range(1, 9)})
    return Comparison(*(Results("model", Revision("workspace", root)) for root in roots))


def saved(comparison: Comparison, tmp_path):
    (tmp_path / "two.html").write_text(render_compared(comparison), encoding="utf-8")
    return tmp_path / "two.html"


def test_rows_that_differ_come_first_the_most_changed_before_the_others(tmp_path):
    table = ComparedPage(compared(tmp_path)).table
    order = [int(row["row"].id.rpartition("#")[2]) for row in table.rows]
    assert order == [4, 5, 6, 3, 1, 2, 7, 8] and [row["number"] for row in table.rows] == list(range(1, 9))
    first = table.rows[0]["verdicts"][0]
    assert first["difference"] == pytest.approx(9) and first["tuned"] - first["other"] == pytest.approx(9)
    assert table.filters == [
        ("differs", "answers that differ", 4),
        ("gained", "better by judge embedded", 2),
        ("lost", "worse by judge embedded", 2),
        ("same", "the same answer", 4),
    ]


def test_figures_and_parameters_of_both_are_shown(tmp_path):
    comparison = compared(tmp_path, better)
    comparison.second.params["train"]["learning_rate"] = 1e-4
    text = " ".join(render_compared(comparison).split())
    assert ">better</b> in perplexity, chrF and score by judge embedded." in text
    assert '<th scope="row">models.model.train.learning_rate</th><td dir="auto">0.0002</td><td dir="auto">0.0001</td>' in text


def test_the_same_results_have_no_plot_and_no_changed_parameter(tmp_path):
    page = ComparedPage(compared(tmp_path, None))
    assert page.plot is None and page.readings == [("the same", ["perplexity", "chrF", "score by judge embedded"])]
    assert "No parameter of the model or of its dataset differs" in render_compared(page.comparison)


def test_where_no_judge_is_the_same_rows_are_ranked_by_letters(tmp_path):
    comparison = compared(tmp_path)
    for root, digest in (("a", "x"), ("b", "y")):
        path = tmp_path / root / "metrics/model/details.json"
        made_up.edit_json(path, lambda d, digest=digest: d["judges"]["embedded"].update(digest=digest))
    page = ComparedPage(comparison)
    assert page.table.measure == "chrF" and page.table.rows[0]["verdicts"][0]["judge"] == "chrF"
    assert "digest changed" in render_compared(comparison)


def test_labels_are_compared_by_right_and_wrong(tmp_path):
    comparison = compared(tmp_path, labelled({1}), labelled({1, 2, 3}))
    page = ComparedPage(comparison)
    assert [row["row"].turns[0][1] for row in page.table.rows[:2]] == ["line 2", "line 3"]
    assert [reply["right"] for reply in page.table.rows[0]["answers"]] == [False, True]
    assert ("gained", "better by right or wrong", 2) in page.table.filters


def test_two_models_of_one_revision_are_named_by_their_names(tmp_path):
    comparison = compared(tmp_path)
    comparison.first.name = "round_1"
    assert ComparedPage(comparison).table.labels == ("round_1", "model")
    comparison.first.revision.name = "main"
    assert ComparedPage(comparison).table.labels == ("round_1 at main", "model at workspace")


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_the_page_in_a_browser(tab, tmp_path, width):
    tab.look(width, 900)
    tab.open(saved(compared(tmp_path, count=8, texts=[*made_up.NASTY[:7], "x" * 500]), tmp_path))
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    assert tab.run("document.title") == "model: workspace and workspace" and tab.complaints() == []
    assert tab.requests() == [tab.run("location.href")]
    choose(tab, "filter", "answers that differ")
    assert shown(tab) == [1, 2, 3, 4]
    tab.run(
        "(() => { const one = document.getElementById('column-0'); one.value = '0'; one.dispatchEvent(new Event('change')) })()"
    )
    assert shown(tab) == [1, 3]  # rows 4 and 6 of the file
    choose(tab, "sort", "place in the file")
    assert texts(tab, "#rows > :not([hidden]) .answer.tuned .text") == ["new answer 4", "new answer 6"]
    tab.press("j", "j")
    tab.press("Enter", "\r")
    assert tab.run("document.activeElement.querySelector('details').open")


def test_both_schemes_can_be_read(tab, tmp_path):
    file = saved(compared(tmp_path), tmp_path)
    for scheme in ("light", "dark"):
        tab.look(1400, 900, scheme)
        tab.open(file)
        script = CONTRAST.replace("'.badge.better', '.badge.worse', '.badge.within-noise', ", "").replace("'mark', ", "'ins', ")
        seen = tab.run(script)
        assert min(seen.values()) >= 4.5, (scheme, seen)
