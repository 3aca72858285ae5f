import shutil

import pytest

from affinage.reports.outputs import Revision
from stages.common.errors import StageError
from tests.affinage.reports.fixtures import dvc

ANSWERS = "data/answers/model.jsonl"


def tuned(revision: Revision) -> list[str]:
    return [row["answers"]["tuned"]["text"] for row in revision.rows(ANSWERS, "generate@model")]


def test_every_kind_of_revision_is_read(repository):
    first, second, trial, tree = (Revision(name, repository) for name in ("first", "second", "trial", "workspace"))
    assert tuned(first) != tuned(second) == tuned(trial) == tuned(tree)
    assert Revision(first.commit[:8], repository).rows(ANSWERS, "") == first.rows(ANSWERS, "")
    assert len({first.commit, second.commit, trial.commit}) == 3
    temperature = [revision.params["models"]["model"]["generate"]["temperature"] for revision in (first, second, trial, tree)]
    assert temperature == [0, 0, 1, 0]


def test_a_work_tree_without_its_outputs_is_read_from_the_cache(own):
    expected = tuned(Revision("workspace", own))
    shutil.rmtree(own / "data")
    assert tuned(Revision("workspace", own)) == expected
    assert not (own / "data").exists()  # nothing is checked out


def test_without_a_cache_the_remote_is_read(own):
    expected = tuned(Revision("second", own))
    shutil.rmtree(own / ".dvc" / "cache")
    shutil.rmtree(own / "data")
    assert tuned(Revision("second", own)) == expected
    assert tuned(Revision("first", own)) != expected


def test_content_that_is_nowhere_is_named(own):
    shutil.rmtree(own / ".dvc" / "cache")
    dvc(own, "remote", "remove", "store")
    with pytest.raises(StageError, match="data/answers/model.jsonl at first(.|\n)*neither cache nor remote(.|\n)*dvc fetch"):
        Revision("first", own).rows(ANSWERS, "generate@model")


def test_what_brings_outputs_back_names_the_remote(own):
    first = Revision("first", own)
    assert first.gone([ANSWERS]) == [] and "from the remote store, " in first.fetch([ANSWERS])
    shutil.rmtree(own / ".dvc" / "cache")
    dvc(own, "remote", "remove", "store")
    first = Revision("first", own)
    assert first.gone([ANSWERS, "params.yaml", "nothing.json"]) == [ANSWERS]
    assert first.fetch([ANSWERS]) == (
        "git switch --detach first && dvc repro judge@model; "
        f"no remote is set here, from which dvc fetch --all-commits {ANSWERS} could bring them"
    )
    assert Revision("workspace", own).fetch([ANSWERS]).startswith("dvc repro judge@model; no remote is set here")


def test_unknown_revisions_models_and_files_are_named(repository):
    with pytest.raises(StageError, match="nonsense(.|\n)*tag or experiment"):
        Revision("nonsense", repository).rows(ANSWERS, "generate@model")
    with pytest.raises(StageError, match="no model 'other'(.|\n)*one of: model"):
        Revision("first", repository).model("other")
    with pytest.raises(StageError, match="no such file(.|\n)*dvc repro judge@other"):
        Revision("first", repository).rows("data/verdicts/other.jsonl", "judge@other")
    assert Revision("first", repository).read("nothing.json") is None
    assert Revision("first", repository).json("nothing.json") == {}


def test_broken_rows_are_named_by_file_and_line(own):
    (own / ANSWERS).unlink()
    (own / ANSWERS).write_text('{"id": 1}\n[1]\n')
    with pytest.raises(StageError, match="model.jsonl line 2"):
        Revision("workspace", own).rows(ANSWERS, "generate@model")


def test_a_folder_without_git_or_dvc_is_read_as_it_is(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    revision = Revision("workspace", tmp_path)
    assert revision.json("a.json") == {"a": 1} and revision.read("b.json") is None and revision.commit is None


def test_answers_that_changed_after_judging_are_noticed(own):
    assert not Revision("workspace", own).changed_since("judge@model", ANSWERS)
    text = (own / ANSWERS).read_text()
    (own / ANSWERS).unlink()  # a link into the cache may not be written through
    (own / ANSWERS).write_text(text + "\n")
    assert Revision("workspace", own).changed_since("judge@model", ANSWERS)
    assert not Revision("second", own).changed_since("judge@model", ANSWERS)
