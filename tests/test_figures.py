"""The figures of README.md and docs/ are those that `metrics/` holds."""

import json
import re

import pytest

from affinage.reports.outputs import WORKSPACE, Revision
from stages.common.errors import StageError
from tests.figures import FIGURE, PAGES, SHAPES, fill, filled
from tests.imports import ROOT

BETTER = {"over": "base", "value": 17.14, "low": 12, "high": 22.2}
SCORE, SHARE = {"value": 41.2, "low": 39, "high": 43}, {"value": 0.72, "low": 0.7, "high": 0.8}


@pytest.fixture
def repository(tmp_path):
    """Metrics of one model, and an answer of it."""
    folder = tmp_path / "metrics" / "m"
    folder.mkdir(parents=True)
    auc = {"echo": {"value": 0.5, "low": 0.4, "high": 0.6}}
    details = {
        "tuned": {"content": {"value": 58.34}, "accuracy": {"value": 0.774}},
        "base": {"content": SCORE},
        "tfidf": {"accuracy": SHARE},
        "gain": {"content": BETTER, "accuracy": {"over": "tfidf", "value": 0.054, "low": -0.01, "high": 0.12}},
        "judges": {"overlap": {"auc": auc}, "content": {"auc": auc | {"half": {"value": 1, "low": 1, "high": 1}}}},
    }
    (folder / "details.json").write_text(json.dumps(details))
    (folder / "label.json").write_text('{"rows": 52002, "share": 0.8036, "dropped": {"repeated": 3}}')
    scores = {"perplexity": {"tuned": 14.4, "gain": -17.3, "low": -20, "high": -15}}
    (folder / "scores.json").write_text(json.dumps(scores))
    (tmp_path / "params.yaml").write_text("models: {m: {dataset: d}}")
    (tmp_path / "data" / "answers").mkdir(parents=True)
    asked = [{"role": "user", "content": "Flu?"}]
    row = {"id": "a#1", "messages": asked, "answers": {"tuned": {"text": "Rest.\nDrink."}}}
    (tmp_path / "data" / "answers" / "m.jsonl").write_text(json.dumps(row) + "\n")
    return Revision(WORKSPACE, tmp_path)


def test_no_figure_of_the_pages_is_stale():
    """They are those of the last commit, for runs on another machine break nothing, or of a run that is not yet committed."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        try:
            committed = filled(text, Revision("HEAD", ROOT))
        except StageError:  # no git here
            committed = None
        assert text in (committed, filled(text, Revision(WORKSPACE, ROOT))), f"{page.name}: run python -m tests.figures"


def test_every_comment_that_begins_a_figure_is_read():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        begun = re.findall(rf"<!-- (?:{'|'.join(SHAPES)}) ", text)
        assert len(begun) == text.count("<!-- end -->") == len(FIGURE.findall(text)), page.name


def test_the_pages_have_figures():
    assert sum(len(FIGURE.findall(page.read_text(encoding="utf-8"))) for page in PAGES) > 10


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ("gain m content", "41.2 → 58.3 (+17.1 [+12.0, +22.2])"),
        ("headline m", "perplexity 31.7 → 14.4 (−17.3 [−20.0, −15.0])"),
        ("percent m accuracy", "72 % → 77 % (+5 [−1, +12] points)"),
        ("value m base.content", "41.2 [39.0, 43.0]"),
        ("value m base.content.low", "39.000"),
        ("count m/label rows", "52,002"),
        ("count m/label dropped.repeated", "3"),
        ("count m/label share", "0.80"),
        ("answer m a#1 tuned", "Rest. Drink."),
        ("answer m a#1 tuned 1", "Rest. …"),
        ("screen m", "\n```\nm: Flu?\n  Perplexity: 31.7 → 14.4, −17.3 [−20.0, −15.0], better\n```\n"),
    ],
)
def test_a_figure_in_its_shape(repository, named, shown):
    assert filled(f"a <!-- {named} -->old<!-- end --> b", repository) == f"a <!-- {named} -->{shown}<!-- end --> b"


def test_controls_are_a_table_with_overlap_last(repository):
    table = filled("<!-- controls m --><!-- end -->", repository).strip().splitlines()
    assert table[2:6] == [
        "| good answers against … | `m` content | `m` overlap |",
        "|---|---|---|",
        "| the question echoed | 0.50 [0.40, 0.60] | 0.50 [0.40, 0.60] |",
        "| the expected answer cut in half | 1.00 [1.00, 1.00] | – |",
    ]


def test_answers_that_are_not_at_hand_stay_as_they_are(repository):
    (repository.root / "data" / "answers" / "m.jsonl").unlink()
    text = "<!-- answer m a#1 tuned -->old<!-- end -->"
    assert filled(text, repository) == text


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("gains m content", "no shape 'gains'; there are: gain, headline"),
        ("gain m chrf", "metrics/m/details.json: no 'chrf' of 'gain.chrf'; there is: content, accuracy"),
        ("count m/label kept", "no 'kept' of 'kept'; there is: rows, share, dropped"),
        ("answer m b#1 tuned", "data/answers/m.jsonl: no row 'b#1'; there is: a#1"),
    ],
)
def test_what_is_not_there_is_named(repository, named, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        filled(f"<!-- {named} -->old<!-- end -->", repository)


def test_pages_are_filled_once(repository, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("é <!-- count m/label rows -->1<!-- end -->", encoding="utf-8")
    assert fill([page], repository) == ["page.md"]
    assert page.read_text(encoding="utf-8") == "é <!-- count m/label rows -->52,002<!-- end -->"
    assert fill([page], repository) == []
