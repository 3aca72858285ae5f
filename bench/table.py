"""What the table of experiments costs: `affinage table` beside `dvc exp show`, for N experiments.

    python bench/table.py [--experiments 50]

Makes a clone with N experiments, each with a learning rate and scores of its own, as commits under DVC's refs. Nothing is
trained: the scores are made up, only time is measured.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEOPLE = {f"GIT_{role}_{field}": "a@b" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}


def git(folder: Path, *arguments: str) -> str:
    process = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, env={**os.environ, **PEOPLE}
    )
    return process.stdout.strip()


def experiment(folder: Path, number: int, head: str) -> None:
    """A commit on HEAD with other parameters and scores, under the name that DVC would give it."""
    params = folder / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(re.sub(r"learning_rate: \S+", f"learning_rate: {number + 1}e-6", text, count=1), encoding="utf-8")
    for path in folder.glob("metrics/*/scores.json"):
        scores = json.loads(path.read_text(encoding="utf-8"))
        for entry in scores.values():
            entry["tuned"] += number
        path.write_text(json.dumps(scores, indent=2), encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--no-verify", "-m", f"experiment {number}")
    git(folder, "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/trial-{number}", "HEAD")
    git(folder, "reset", "-q", "--hard", head)


def seconds(folder: Path, *command: str) -> float:
    """Of the whole process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--experiments", type=int, default=50)
    count = parser.parse_args().experiments
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "clone")
        git(ROOT, "clone", "-q", str(ROOT), str(folder))
        head = git(folder, "rev-parse", "HEAD")
        for number in range(count):
            experiment(folder, number, head)
        ours = seconds(folder, "affinage", "table")
        theirs = seconds(folder, "dvc", "exp", "show", "--csv")
    print(f"{count} experiments: affinage table {ours:.2f} s, dvc exp show {theirs:.2f} s, ratio {theirs / ours:.0f}")


if __name__ == "__main__":
    main()
