"""Other revisions are read from git as they are."""

import subprocess

import pytest

from affinage.history import revisions
from stages.common.errors import StageError


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit(**files: str) -> str:
    for path, text in files.items():
        with open(path.replace("__", "/"), "w") as file:
            file.write(text)
    git("add", "-A")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "m")
    return git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two commits, and an experiment on the first."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    (tmp_path / "metrics" / "a").mkdir(parents=True)
    first = commit(metrics__a__x="1\n", other="o")
    trial = commit(metrics__a__x="2\n\nmissing\n")
    git("update-ref", f"refs/exps/{first[:2]}/{first[2:]}/bold-name", trial)
    git("update-ref", "refs/exps/stash", trial)
    git("update-ref", "refs/exps/exec/EXEC_HEAD", trial)
    yield first, trial


def test_experiments_are_found_by_name(repository):
    first, trial = repository
    assert revisions.experiments() == [revisions.Experiment("bold-name", trial, first)]
    assert revisions.resolve("bold-name") == revisions.resolve("HEAD") == trial
    assert revisions.resolve("HEAD~1") == first


def test_an_unknown_revision_names_the_experiments(repository):
    with pytest.raises(StageError, match="bold-name"):
        revisions.resolve("bald-name")


def test_files_are_read_byte_by_byte_and_missing_ones_left_out(repository):
    first, trial = repository
    wanted = [(first, "metrics/a/x"), (first, "nothing"), (trial, "metrics/a/x"), (trial, "other")]
    assert revisions.contents(wanted) == {
        (first, "metrics/a/x"): b"1\n",
        (trial, "metrics/a/x"): b"2\n\nmissing\n",
        (trial, "other"): b"o",
    }


def test_metrics_of_a_revision_and_of_the_work_tree(repository, tmp_path):
    assert revisions.metrics_of("HEAD~1") == {"metrics/a/x": b"1\n"}
    (tmp_path / "metrics" / "a" / "x").write_text("3")
    assert revisions.metrics_of(None) == {"metrics/a/x": b"3"}


def test_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(StageError, match="git repository"):
        revisions.git("status")
