"""A repository under git and DVC with three revisions, and a browser."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import browser
from tests.affinage.reports import made_up

PIPELINE = """
stages:
  judge:
    foreach: ${models}
    do:
      cmd: cp inputs/answers.jsonl data/answers/${key}.jsonl && cp inputs/verdicts.jsonl data/verdicts/${key}.jsonl
      params: ["models.${key}"]
      deps: [inputs]
      outs: ["data/answers/${key}.jsonl", "data/verdicts/${key}.jsonl"]
"""


def call(root: Path, *command: str) -> str:
    people = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, env=os.environ | people | {"DVC_NO_ANALYTICS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dvc(root: Path, *command: str) -> str:
    return call(root, sys.executable, "-m", "dvc", *command)


def run(root: Path, **options) -> None:
    """Lay down answers and verdicts as the inputs of the pipeline, run it and commit."""
    made_up.write(root, **options)
    (root / "inputs").mkdir(exist_ok=True)
    for kind in ("answers", "verdicts"):
        (root / "data" / kind / "model.jsonl").rename(root / "inputs" / f"{kind}.jsonl")
    dvc(root, "repro")
    call(root, "git", "add", "-A")
    call(root, "git", "commit", "-qm", "run")


def better(answered: dict, verdict: dict) -> None:
    """Tuned answers as expected, scored and expected accordingly."""
    answered["answers"]["tuned"]["text"] = answered["expected"]
    verdict["scores"]["embedded"]["tuned"] = 99.0
    verdict["likelihood"]["tuned"][0] = 12.0


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """Revisions `first`, `second` (better answers to the same questions) and the experiment `trial` (as `second`, other
    parameters). The work tree stands at `second`."""
    root = tmp_path_factory.mktemp("repository")
    call(root, "git", "init", "-q")
    dvc(root, "init", "-q")
    dvc(root, "config", "core.analytics", "false")
    remote = tmp_path_factory.mktemp("remote")
    dvc(root, "remote", "add", "-d", "store", str(remote))
    (root / "dvc.yaml").write_text(PIPELINE)
    run(root)
    call(root, "git", "tag", "first")
    run(root, change=better)
    call(root, "git", "tag", "second")
    dvc(root, "exp", "run", "-q", "-n", "trial", "-S", "models.model.generate.temperature=1")
    dvc(root, "push", "-q", "--all-commits")
    assert files(remote / "files") == files(root / ".dvc" / "cache" / "files")
    call(root, "git", "checkout", "-q", "--", ".")
    dvc(root, "checkout", "-q")
    return root


@pytest.fixture
def own(repository, tmp_path) -> Path:
    """A copy of the repository, to change."""
    return Path(shutil.copytree(repository, tmp_path / "own", symlinks=True))


@pytest.fixture(scope="session")
def tab():
    """A page of a real browser."""
    if not browser.find():
        pytest.skip("no browser: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:  # the browser lets go of it late
        running = browser.Browser(Path(profile))
        yield running
        running.close()
