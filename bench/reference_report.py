"""The figures of bench/reference_runs.py, and the answers to questions of our own.

    python bench/reference_report.py [--folder FOLDER] [--probes]

A table for each system: the best that was not tuned, the tuned models of all seeds, what each gains with its 95 % interval,
and the shuffled twin. `--probes` writes probes.json to the folder: every model's answers to questions of our own, and the
longest run of words that each shares with a training answer.
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from bench.reference_runs import FOLDER, TWIN  # noqa: E402
from stages.common.files import read_json, read_rows, write_json  # noqa: E402
from stages.common.params import read  # noqa: E402
from stages.judging.intervals import Bootstrap, mean, with_count  # noqa: E402

TEXT = ("content", "content_within_limit", "perplexity", "rouge_l", "chrf", "repeats", "breaks_off")
PARTS = ("parts_f1", "parts_precision", "parts_recall")
LABELS = ("accuracy", "macro_f1", "log_loss")
FIGURES = {
    "medical": TEXT,
    "assistant": (*TEXT, "exact_match"),
    "partfinder_001": PARTS,
    "partfinder_002": PARTS,
    "partfinder_003": PARTS,
    "limericks": ("five_lines", "rhymed_pairs", *TEXT),
    "invoices": LABELS,
    "accounts": LABELS,
}
HEAD = ("figure", "best without tuning", "tuned, by seed", "gain of seed 1", "gains of the other seeds", "shuffled twin")


def shown(figure: dict | None, signed: bool = False) -> str:
    """`value [low, high]`, or a dash."""
    if figure is None:
        return "–"
    digits = 3 if max(abs(figure[side]) for side in ("value", "low", "high")) < 3 else 1
    value, low, high = (f"{figure[side]:{'+' if signed else ''}.{digits}f}" for side in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def of_copies(metrics: Path, system: str) -> dict[str, dict]:
    """`details.json` of every copy of a system, by its ending."""
    return {
        path.parent.name.removeprefix(f"{system}_"): read_json(path)
        for path in sorted(metrics.glob(f"{system}_*/details.json"))
    }


def lines(copies: dict[str, dict], names: Iterable[str]) -> list[list[str]]:
    """The cells of a system's table."""
    seeds = [details for ending, details in copies.items() if ending != TWIN]
    first, twin, table = copies["s1"], copies.get(TWIN), []
    for name in (name for name in names if name in first["tuned"]):
        gain = first["gain"].get(name)
        values = [details["tuned"][name]["value"] for details in seeds]
        spread = f" (sd {np.std(values, ddof=1):.2g})" if len(values) > 1 else ""
        table.append(
            [
                name,
                f"{shown(first[gain['over']][name])} ({gain['over']})" if gain else "–",
                ", ".join(f"{value:.4g}" for value in values) + spread,
                shown(gain, True),
                "; ".join(shown(details["gain"].get(name), True) for details in seeds if details is not first) or "–",
                shown(twin["tuned"].get(name)) if twin else "–",
            ]
        )
    return table


def beyond_twin(metrics: Path, system: str) -> dict | None:
    """Content of the first seed less that of its twin, row by row, with a paired interval; None where one of them has none."""
    scores = []
    for ending in ("s1", TWIN):
        path = metrics / f"{system}_{ending}" / "scores.csv"
        if not path.exists():
            return None
        with open(path, encoding="utf-8", newline="") as file:
            table = [row for row in csv.DictReader(file) if row.get("judge") == "content" and row["answer"] == "tuned"]
        scores.append({row["id"]: float(row["score"]) for row in table})
    if not (shared := [key for key in scores[0] if key in scores[1]]):
        return None
    tuned, twin = (with_count([of_row[key] for key in shared]) for of_row in scores)
    return Bootstrap(len(shared), 2000, 0.95, 1).difference(tuned, twin, mean)


def report(folder: Path) -> None:
    """Print the tables of all systems that have a verdict."""
    metrics = folder / "metrics"
    for system, names in FIGURES.items():
        copies = of_copies(metrics, system)
        if "s1" not in copies:
            continue
        print(f"\n{system}: {copies['s1']['rows']} test rows\n")
        for cells in (HEAD, ["---"] * len(HEAD), *lines(copies, names)):
            print(f"| {' | '.join(cells)} |")
        if difference := beyond_twin(metrics, system):
            print(f"\ncontent of seed 1 less that of its twin: {shown(difference, True)}")


def plain(text: str) -> str:
    """Words with single spaces around them, in lower case."""
    return " ".join(["", *re.findall(r"\w+", text.lower()), ""])


def longest_shared(answer: str, texts: list[str]) -> int:
    """The most words in a row that an answer has in common with one of the texts, which are `plain`."""
    said, longest = plain(answer).split(), 0
    for start in range(len(said)):
        while start + longest < len(said):
            more = f" {' '.join(said[start : start + longest + 1])} "
            if not any(more in text for text in texts):
                break
            longest += 1
    return longest


def probes(folder: Path) -> dict[str, list[dict]]:
    """By model: each question of our own, all answers to it, and the longest run of words shared with a training answer."""
    models, trained_on, written = read(folder / "params.yaml")["models"], {}, {}
    for path in sorted((folder / "data" / "answers").glob("*.jsonl")):
        dataset = models[path.stem]["dataset"]
        if dataset not in trained_on:
            train = read_rows(folder / "data" / dataset / "formatted" / "train")
            trained_on[dataset] = [plain(row["completion"]) for row in train if "completion" in row]
        for row in read_rows(path):
            if row["id"].startswith("probe#"):
                answers = {name: answer["text"] for name, answer in row["answers"].items()}
                question, shared = row["messages"][-1]["content"], longest_shared(answers["tuned"], trained_on[dataset])
                written.setdefault(path.stem, []).append({"question": question, **answers, "longest_shared_run": shared})
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="that of bench/reference_runs.py")
    parser.add_argument("--probes", action="store_true", help="write probes.json, and print no table")
    options = parser.parse_args()
    if options.probes:
        write_json(options.folder / "probes.json", probes(options.folder))
    else:
        report(options.folder)


if __name__ == "__main__":
    main()
