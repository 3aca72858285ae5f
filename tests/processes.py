"""Modules run as programs, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.imports import ROOT


def module(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    """What `python -m <words>` ends with in a folder; it finds the project's code from anywhere."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-m", *words], cwd=folder, env=variables, capture_output=True, text=True)


def dvc(folder: Path, *words: str) -> str:
    """What a DVC command prints. It must succeed."""
    process = module(folder, "dvc", *words)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout
