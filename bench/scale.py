"""label, split and format on up to a gigabyte of rows: peak memory and processor time, with and without near-duplicates.

    python bench/scale.py [--gigabytes 1] [--steps 0.25 0.5 1]

The rows are questions with answers of about a kilobyte, made of random words by a seed: no two are alike, one in fifty is a
near-duplicate of another. Each stage runs in a process of its own, as DVC runs it; its peak is the kernel's figure for
that process (ru_maxrss: memory-mapped files that it touched count too). Temporary files need three times the size of the rows
on the disks of TMPDIR and of `.cache`, and are deleted.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = {0.0: 400, 0.7: 1500}  # MB at most, by near_duplicate
sys.path.insert(0, str(ROOT))

from stages.common.params import read  # noqa: E402


def write_rows(path: Path, size: int, seed: int = 1) -> int:
    """Rows of `size` bytes in all, or a little more; returns their number."""
    rng, rows, written = random.Random(seed), 0, 0
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(50_000)]
    path.parent.mkdir(parents=True)
    kept = ""
    with open(path, "w", encoding="utf-8") as file:
        while written < size:
            rows += 1
            answer = kept if kept and rows % 50 == 0 else " ".join(rng.choices(words, k=rng.randint(60, 240)))
            kept = answer if rows % 50 == 25 else kept
            question = " ".join(rng.choices(words, k=12))
            row = {"id": f"local/rows.jsonl#{rows}", "instruction": question, "response": answer, "paraphrase": "", "focus": ""}
            written += file.write(json.dumps(row) + "\n")
    return rows


def write_params(path: Path, near_duplicate: float) -> None:
    """The committed parameters with one leaf of one dataset changed."""
    params = read(ROOT / "params.yaml")
    params["datasets"]["instructions"]["split"]["near_duplicate"] = near_duplicate
    params["datasets"]["instructions"]["format"]["shard_rows"] = 10_000
    path.write_text(json.dumps(params))  # JSON is YAML


def run(stage: str, folder: Path, **paths: Path) -> tuple[float, float]:
    """Seconds of processor time and peak megabytes of a stage's process."""
    command = [sys.executable, "-m", f"stages.{stage}", "instructions"]
    command += [f"--{name}={path}" for name, path in paths.items()]
    process = subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def measure(folder: Path, size: int, near: tuple[float, ...]) -> None:
    """One line a stage."""
    rows = write_rows(folder / "raw" / "local" / "rows.jsonl", size)
    print(f"{size / 1e9:.2f} GB, {rows} rows", flush=True)

    def report(stage: str, note: str, limit: int, **paths: Path) -> float:
        seconds, peak = run(stage, folder, **paths)
        print(
            f"  {stage}{note}: {seconds / rows * 1e6:.0f} us a row, {seconds:.0f} s, peak {peak:.0f} MB (at most {limit})",
            flush=True,
        )
        return seconds

    out = folder / "out"
    write_params(folder / "params.yaml", near[0])
    files = {name: out / f"{name}.jsonl" for name in ("labeled", "dropped", "metrics")}
    report("label", "", LIMIT[0.0], raw=folder / "raw", **files)
    shutil.rmtree(folder / "raw")
    times = []
    for threshold in near:
        write_params(folder / "params.yaml", threshold)
        splits = {"splits": out / "splits", "metrics": out / "split.json"}
        note = f", near-duplicates at {threshold:g}" if threshold else ", no near-duplicates"
        times.append(report("split", note, LIMIT[threshold], labeled=files["labeled"], **splits))
    print(f"  split with near-duplicates takes {times[-1] / times[0]:.2f} times the time of one without", flush=True)
    print("  split.json:", json.dumps(json.loads((out / "split.json").read_text())), flush=True)
    tables = {"metrics": out / "format.json", "lengths": out / "lengths.csv"}
    report("format", "", LIMIT[0.0], splits=out / "splits", formatted=out / "formatted", **tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--steps", type=float, nargs="+", default=[0.25, 0.5, 1.0])
    options = parser.parse_args()
    for step in options.steps:
        with tempfile.TemporaryDirectory(prefix="affinage-scale-") as folder:
            measure(Path(folder), int(step * options.gigabytes * 1e9), (0.0, 0.7))


if __name__ == "__main__":
    main()
