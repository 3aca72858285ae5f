"""A hosted recipe under DVC itself: switched on by one command, run once, found again, and no key in anything that stays."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import ROOT
from tests.training.hosted.service import KEY


def run(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_dvc_runs_a_hosted_model_and_pays_once(tmp_path, service, account, monkeypatch):
    folder, account.states = tmp_path / "repository", ["running", "succeeded"]
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(folder / ".cache"))
    for name in ("stages", "affinage"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data/sources", folder / "data/sources")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, folder / name)
    run(folder, "affinage", "recipe", "limericks_hosted")
    params = folder / "params.yaml"
    params.write_text(re.sub(r'base_url: ""', f'base_url: "{service.address("main")}"', params.read_text(encoding="utf-8")))
    run(folder, "dvc", "init", "-q", "--no-scm")
    run(folder, "dvc", "config", "core.analytics", "false")
    assert "Running stage 'train@limericks_hosted'" in run(folder, "dvc", "repro", "train@limericks_hosted")
    lock = (folder / "dvc.lock").read_bytes()
    assert "Running" not in run(folder, "dvc", "repro", "train@limericks_hosted")
    run(folder, "dvc", "repro", "--force", "--single-item", "train@limericks_hosted")
    assert (folder / "dvc.lock").read_bytes() == lock  # the same job, the same bytes
    assert len(account.jobs) == 1 and sorted(account.uploads().values()) == [1, 1]
    assert os.environ["OPENAI_API_KEY"] == KEY
    assert not [file for file in folder.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
