"""The figures of bench/reference_runs.py, and the answers to questions of our own.

    python bench/reference_report.py [--folder FOLDER] [--probes]

A table for each system: the best that was not tuned, the tuned models of all seeds, what each gains with its 95 % interval,
and the shuffled twin. A second one where the folder holds the data: content by how much of the expected answer stands in
training answers, too. Where it holds the answers: what a round brought over the one before. `--probes` writes probes.json to
the folder: every model's answers to questions of our own, and the longest run of words that each shares with a training answer.
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
from stages.judging.measures import parts  # noqa: E402

Run = tuple[str, ...]  # words in a row

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
RUN = 8  # words in a row that two texts hardly share by chance
SHARES = {"none": (0, 0), "up to a half": (0, 0.5), "over a half": (0.5, 1)}  # of an answer's runs: from (not with it), to
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


def contents(metrics: Path, copy: str, answer: str) -> dict[str, float]:
    """Content by row of a copy's answers (`tuned`, `base_chat`); empty where it was not judged."""
    path = metrics / copy / "scores.csv"
    if not path.exists():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        table = [row for row in csv.DictReader(file) if row.get("judge") == "content" and row["answer"] == answer]
    return {row["id"]: float(row["score"]) for row in table}


def difference(scores: dict[str, float], others: dict[str, float]) -> dict | None:
    """Mean of `scores` less that of `others` over the rows of both, with a paired interval; None without such rows."""
    if not (shared := [key for key in scores if key in others]):
        return None
    first, second = (with_count([of_row[key] for key in shared]) for of_row in (scores, others))
    return Bootstrap(len(shared), 2000, 0.95, 1).difference(first, second, mean)


def beside(copies: dict[str, dict], name: str) -> Iterable[str]:
    """One figure of those that are neither base nor tuned: the round before, and the labeller that made the training rows."""
    seeds = [details for ending, details in copies.items() if ending != TWIN]
    if name in seeds[0].get("labeller", {}):
        yield f"{name} of the labeller: {shown(seeds[0]['labeller'][name])}"
    if name in seeds[0].get("parent", {}):
        values = ", ".join(f"{details['parent'][name]['value']:.4g}" for details in seeds)
        yield f"{name} of the round before, by seed: {values}"


def last_round(folder: Path, system: str) -> Iterable[str]:
    """What a round brought over the one before: F1 of parts, paired by row, with each seed and with the rows of all seeds."""
    sums = {}
    for path in sorted((folder / "data" / "answers").glob(f"{system}_s[0-9].jsonl")):
        rows = [row for row in read_rows(path) if row["expected"] is not None]
        if not rows or "parent" not in rows[0]["answers"]:
            return
        sums[path.stem.removeprefix(f"{system}_")] = [_f1(rows, contestant) for contestant in ("tuned", "parent")]
    if sums:
        statistic = next(iter(sums.values()))[0][1]
        tables = {seed: [figure[0] for figure in pair] for seed, pair in sums.items()}
        tables["all seeds"] = [sum(of_seeds) for of_seeds in zip(*tables.values(), strict=True)]
        for seed, (after, before) in tables.items():
            gain = Bootstrap(len(after), 2000, 0.95, 1).difference(after, before, statistic)
            yield f"parts_f1 of {seed}, less the round before: {shown(gain, True)}"


def _f1(rows: list[dict], contestant: str) -> tuple:
    """F1 of a contestant's lists of parts, as a figure."""
    answers = [row["answers"][contestant] for row in rows]
    whole = [answer["finish"] == "stop" for answer in answers]
    return parts([row["expected"] for row in rows], [answer["text"] for answer in answers], whole)["parts_f1"]


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
        for sentence in (*beside(copies, names[0]), *(last_round(folder, system) if names == PARTS else ())):
            print(f"\n{sentence}")
        tuned, twin = (contents(metrics, f"{system}_{ending}", "tuned") for ending in ("s1", TWIN))
        if beyond := difference(tuned, twin):
            print(f"\ncontent of seed 1 less that of its twin: {shown(beyond, True)}")
        if tuned and "content" in names and (shares := familiar(folder, system)):
            by_share(metrics, system, shares, copies["s1"]["gain"]["content"]["over"])


def runs(text: str) -> set[Run]:
    """All runs of eight words of a text."""
    words = plain(text).split()
    return {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}


def familiar(folder: Path, system: str) -> dict[str, float]:
    """By test row, the share of its expected answer's runs of eight words that training answers have, too.

    An answer of fewer words has no share and is left out. Empty where the folder holds no formatted rows.
    """
    formatted = folder / "data" / read(folder / "params.yaml")["models"][f"{system}_s1"]["dataset"] / "formatted"
    if not formatted.exists():
        return {}
    known = set().union(*(runs(row["completion"]) for row in read_rows(formatted / "train")))
    test = {row["id"]: runs(row["completion"]) for row in read_rows(formatted / "test")}
    return {key: len(own & known) / len(own) for key, own in test.items() if own}


def by_share(metrics: Path, system: str, shares: dict[str, float], over: str) -> None:
    """Print content of the base, of seed 1 and of its twin for answers that are new, half known and mostly known."""
    print("\n| runs of eight words in training answers, too | rows | " + over + " | seed 1 | gain | shuffled twin |")
    print("|" + " --- |" * 6)
    columns = [(f"{system}_s1", over), (f"{system}_s1", "tuned"), (f"{system}_{TWIN}", "tuned")]
    scores = [contents(metrics, copy, answer) for copy, answer in columns]
    for name, (low, high) in SHARES.items():
        keys = [key for key, share in shares.items() if low < share <= high or share == low == high]
        base, tuned, twin = ({key: of_row[key] for key in keys if key in of_row} for of_row in scores)
        if keys:
            means = [f"{np.mean([*of_row.values()]):.1f}" if of_row else "–" for of_row in (base, tuned, twin)]
            print(f"| {name} | {len(keys)} | {means[0]} | {means[1]} | {shown(difference(tuned, base), True)} | {means[2]} |")


def plain(text: str) -> str:
    """Words with single spaces around them, in lower case."""
    return " ".join(["", *re.findall(r"\w+", text.lower()), ""])


def longest_shared(answer: str, texts: list[str]) -> int:
    """The most words in a row that an answer has in common with one of the texts, which are `plain`."""
    words, longest = plain(answer).split(), 0
    for start in range(len(words)):
        while start + longest < len(words):
            more = f" {' '.join(words[start : start + longest + 1])} "
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
