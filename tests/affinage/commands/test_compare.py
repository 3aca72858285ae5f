import shutil

import pytest

from affinage.commands import compare
from stages.common.errors import StageError
from tests.affinage.reports import made_up
from tests.affinage.reports.fixtures import dvc
from tests.affinage.running import affinage


@pytest.fixture
def there(repository, monkeypatch):
    monkeypatch.chdir(repository)


def test_two_revisions(there):
    text = affinage("compare", "first", "second", "--rows", "2")
    assert "all 8 rows; 8 answers differ" in text and text.count("better") == 3
    assert "difference [95 % interval]" in text and "rows that changed most, by judge embedded" in text
    assert text.count("  expected  ") == 2


def test_an_experiment_and_the_work_tree(there):
    text = affinage("compare", "trial", "workspace")
    assert "models.model.generate.temperature: 1 → 0" in text and "0 answers differ" in text and "rows that changed" not in text


def test_models_that_only_one_has_are_named(there, tmp_path, monkeypatch):
    old = compare.Revision("first")
    new = compare.Revision("workspace", made_up.write(tmp_path))
    new.params["models"]["more"] = {"judge": {}}
    assert compare.compare([old, new], None, "tuned", 0, 100).endswith("more: only at workspace")


def test_a_model_that_never_ran_is_named_with_the_reason(there, tmp_path):
    revisions = [compare.Revision("first"), compare.Revision("second")]
    for revision in revisions:
        revision.params["models"]["late"] = revision.params["models"]["model"]
    assert "late: not compared" in compare.compare(revisions, None, "tuned", 0, 100)
    with pytest.raises(StageError, match="data/answers/late.jsonl at first"):
        compare.compare(revisions, "late", "tuned", 0, 100)


def test_answers_cannot_steer_the_terminal(tmp_path):
    def steer(answered, verdict):
        answered["answers"]["tuned"]["text"] = "\x1b[2J\x07\u202edone\r"
        verdict["scores"]["embedded"]["tuned"] = 0.0

    before, after = made_up.write(tmp_path / "a", 3), made_up.write(tmp_path / "b", 3, change=steer)
    text = compare.compare([compare.Revision("workspace", revision) for revision in (before, after)], "model", "tuned", 3, 80)
    assert "done" in text and all(c.isprintable() or c == "\n" for c in text)


def test_seeds(there):
    text = affinage("compare", "--seeds", "first", "second", "--model", "model")
    assert "2 runs that differ in their seed alone" in text and "two runs differ by up to" in text
    with pytest.raises(StageError, match="temperature"):
        affinage("compare", "--seeds", "first", "trial", "--model", "model")


@pytest.mark.parametrize("arguments", [[], ["first"], ["a", "b", "c"], ["--seeds", "first"], ["--seeds", "a", "b"]])
def test_a_wrong_command_line_says_so(arguments):
    with pytest.raises(Exception, match="Missing parameter|needs --model|expected two revisions"):
        affinage("compare", *arguments)


def test_a_renamed_model_is_paired_by_both_names(there, tmp_path):
    old, new = (
        compare.Revision("workspace", made_up.write(tmp_path / "a")),
        compare.Revision("workspace", made_up.write(tmp_path / "b")),
    )
    new.params["models"]["doctor"] = new.params["models"].pop("model")
    for path in list((tmp_path / "b").rglob("model*")):
        path.rename(path.with_name(path.name.replace("model", "doctor")))
    with pytest.raises(StageError, match="BEFORE=AFTER"):
        compare.compare([old, new], None, "tuned", 0, 100)
    with pytest.raises(StageError, match=r"a model at .* alone\n[^$]*BEFORE=AFTER"):
        compare.compare([old, new], "doctor", "tuned", 0, 100)
    text = compare.compare([old, new], "model=doctor", "tuned", 0, 100)
    assert "doctor (was model), tuned" in text and "0 answers differ" in text


def test_the_scores_in_git_of_another_judge_are_told_not_to_compare(tmp_path):
    old, new = (compare.Results("model", compare.Revision("workspace", made_up.write(tmp_path / part))) for part in "ab")
    assert "does not compare" not in compare.kept_scores(old, new)
    old.details["judges"]["embedded"]["weights"]["meaning"] = 3.0
    assert "of the two does not compare: it was fitted otherwise" in compare.kept_scores(old, new)


def test_where_answers_are_gone_the_scores_that_git_keeps_are_compared(own, monkeypatch):
    monkeypatch.chdir(own)
    shutil.rmtree(own / ".dvc" / "cache")
    dvc(own, "remote", "modify", "store", "url", str(own / "empty"))
    text = affinage("compare", "first", "second")
    assert "by the scores in git alone" in text and "Perplexity" in text
    lost = "data/answers/model.jsonl data/verdicts/model.jsonl"
    assert "In neither cache nor remote" in text and f"dvc fetch --all-commits {lost} (from the remote store" in text
    assert "better" not in text and "does not compare" not in text
    with pytest.raises(StageError, match=f"at first(.|\n)*neither cache nor remote(.|\n)*all-commits {lost}"):
        affinage("report", "model", "--against", "first")
