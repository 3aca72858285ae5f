"""A model in a few words, from what git keeps."""

from affinage.reports.outputs import Revision
from affinage.reports.overview import Overview, overviews
from tests.affinage.reports import made_up


def overview(root) -> Overview:
    return Overview("model", Revision("workspace", root))


def test_the_most_telling_figure_comes_first(tmp_path):
    model = overview(made_up.write(tmp_path))
    assert [headline.name for headline in model.headlines] == ["embedded", "perplexity", "chrf"]
    first = model.headlines[0]
    assert (first.base, first.tuned, first.reading) == (25.0, 60.0, "better") and first.difference == "+35.0 [+30.0, +40.0]"
    made_up.edit_json(tmp_path / "metrics/model/scores.json", lambda d: d.update(parts_f1=d["chrf"], alarms={"a": "b"}))
    assert overview(tmp_path).headlines[0].name == "parts_f1"


def test_alarms_and_weak_judges_are_warnings(tmp_path):
    made_up.write(tmp_path)
    assert overview(tmp_path).warnings == []
    made_up.edit_json(tmp_path / "metrics/model/scores.json", lambda d: d.update(alarms={"same_answers": "8 of 8"}))
    made_up.edit_json(tmp_path / "metrics/model/details.json", lambda d: d["judges"]["embedded"].update(weak={"half": 0.7}))
    alarm, weak = overview(tmp_path).warnings
    assert "same_answers (8 of 8)" in alarm and weak == "judge embedded is weak on the expected answer cut in half"


def test_a_model_without_results_is_a_model(tmp_path):
    made_up.write(tmp_path)
    for path in [*(tmp_path / "metrics").rglob("*.json"), *(tmp_path / "data").rglob("*.jsonl")]:
        path.unlink()
    model = overview(tmp_path)
    assert (model.headlines, model.warnings, model.question) == ([], [], "")


def test_rounds_follow_each_other_whatever_their_order_in_the_file(tmp_path):
    made_up.write(tmp_path)
    revision = Revision("workspace", tmp_path)
    entry = revision.params["models"]["model"]
    revision.params["models"] = {
        "third": entry | {"base": "second"},
        "other": entry | {"dataset": "more"},
        "second": entry | {"base": "first"},
        "first": entry,
    }
    assert [model.name for model in overviews(revision)] == ["first", "second", "third", "other"]
