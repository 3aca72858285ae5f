"""What a `dvc repro` with nothing to do costs here, against a twin graph of the same shape whose commands are `true`.

    python bench/noop.py [--runs 5]

Needs a finished run. Prints the ratio of medians, first with files as they are, then with every file touched.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent


def clone(folder: Path) -> Path:
    """The work tree with its outputs (hard links: nothing is written to them) and a DVC repository of its own."""
    skip = shutil.ignore_patterns(".git", ".venv", ".cache", ".dvc", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=skip, copy_function=os.link)
    for name in ("dvc.yaml", "dvc.lock"):  # these are rewritten: no links
        (folder / name).unlink()
        shutil.copy(ROOT / name, folder / name)
    for command in (["init", "-q", "--no-scm"], ["config", "core.analytics", "false"]):
        dvc(folder, *command)
    return folder


def dvc(folder: Path, *command: str) -> float:
    """Seconds that a DVC command takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "dvc", *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def twin(folder: Path) -> Path:
    """The same graph, every command `true`."""
    clone(folder)
    yaml = YAML()
    pipeline = yaml.load((folder / "dvc.yaml").read_text(encoding="utf-8"))
    for stage in pipeline["stages"].values():
        stage["do"]["cmd"] = "true"
    with open(folder / "dvc.yaml", "w", encoding="utf-8") as file:
        yaml.dump(pipeline, file)
    return folder


def touch(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and ".dvc" not in path.parts:
            path.touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(dir=ROOT.parent) as temporary:
        ours, bare = clone(Path(temporary, "ours")), twin(Path(temporary, "twin"))
        for folder in (ours, bare):
            dvc(folder, "commit", "-q", "-f")
        for state in ("as they are", "touched"):
            pairs = []
            for _ in range(runs):
                if state == "touched":
                    touch(ours)  # hard links: the twin's files are touched with them
                    touch(bare)
                pairs.append((dvc(ours, "repro", "-q"), dvc(bare, "repro", "-q")))
            ratio = statistics.median(a / b for a, b in pairs)
            print(
                f"files {state}: repro {statistics.median(a for a, _ in pairs):.2f} s, "
                f"twin {statistics.median(b for _, b in pairs):.2f} s, ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
