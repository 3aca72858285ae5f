from pathlib import Path

import pytest

from affinage.commands import report
from stages.common.errors import StageError
from tests.affinage.reports import made_up
from tests.affinage.running import affinage


def test_the_page_of_the_work_tree_and_of_a_revision(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(repository)
    tree = report.write("model", out=tmp_path / "tree.html")
    first = report.write("model", rev="first", out=tmp_path / "first.html")
    trial = report.write("model", rev="trial", out=tmp_path / "trial.html")
    texts = [path.read_text(encoding="utf-8") for path in (tree, first, trial)]
    assert "the work tree" in texts[0] and "first (commit " in texts[1] and "trial (commit " in texts[2]
    assert len(set(texts)) == 3


def test_where_a_page_goes():
    assert report.default_out("medical", "workspace") == Path("reports/medical.html")
    assert report.default_out("medical", "feature/a b") == Path("reports/medical@feature-a-b.html")


def test_two_revisions_on_one_page(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(repository)
    out = tmp_path / "two.html"
    assert affinage("report", "model", "--rev", "second", "--against", "first", "--out", str(out)).strip() == str(out)
    text = out.read_text(encoding="utf-8")
    assert "From first to second" in text and text.count('<article role="row"') == 8
    with pytest.raises(Exception, match="name the model"):
        affinage("report", "--against", "first")


def test_where_a_page_of_two_revisions_goes():
    assert report.default_out("medical", "workspace", "main") == Path("reports/medical-against-main.html")
    assert report.default_out("a=b", "v1", "a/b") == Path("reports/a-b@v1-against-a-b.html")


def test_a_failed_report_leaves_the_earlier_page(tmp_path, monkeypatch):
    monkeypatch.chdir(made_up.write(tmp_path))
    page = report.write("model")
    before = page.read_bytes()
    (tmp_path / "data/answers/model.jsonl").unlink()
    with pytest.raises(StageError, match="dvc repro generate@model"):
        report.write("model")
    assert page.read_bytes() == before


def test_without_a_name_every_model_has_a_page_and_the_index_leads_to_them(tmp_path, monkeypatch):
    monkeypatch.chdir(made_up.write(tmp_path))
    params = tmp_path / "params.yaml"
    late = params.read_text().split("models:\n")[1].replace("model:", "late:", 1).replace("base: base", "base: model", 1)
    params.write_text(params.read_text() + late)
    said = affinage("report")
    assert "reports/index.html" in said and "late: no report" in said and "dvc repro generate@late" in said
    index = (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")
    assert 'href="model.html"' in index and (tmp_path / "reports" / "model.html").exists()
    assert 'href="late.html"' not in index and "no report: data/answers/late.jsonl" in index
    assert index.index(">model<") < index.index("late<small>")  # a round stands after the one that it starts from
    with pytest.raises(Exception, match="name the model"):
        affinage("report", "--out", "x.html")
