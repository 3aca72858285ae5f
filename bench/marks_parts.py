"""How well the labeller finds the parts of reviews that people marked, with intervals.

    python bench/marks_parts.py MARKS.jsonl [--page list.html] [--only-page] [--errors]

A row of MARKS.jsonl holds `review`, `parts` (names of parts as the review writes them) and perhaps `open` (names that count
neither way, for people may differ on them). A found name is right if the dictionary calls a mark so, or the longest ending of
the mark that it knows: for `rear seats` that is `seat`. Names are looked up in our list, table and synonyms, and in the lists
of `--page`, a page such as Wikipedia's List of auto parts; with `--only-page` in that page and the synonyms.

Intervals are 95 % by bootstrap over reviews (Efron 1979, percentiles of 2,000 draws).
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.label import SOURCES, entries  # noqa: E402
from stages.common.schema_sources import HtmlList  # noqa: E402
from stages.labels.dictionary import Dictionary, build, key_of  # noqa: E402
from stages.labels.parts import Finder  # noqa: E402
from stages.sources.names import read_html_list  # noqa: E402

WITHOUT = ["Contents", "See also", "References", "External links"]
DRAWS = 2000


def called(mark: str, dictionary: Dictionary) -> str:
    """What the dictionary calls a mark or its longest known ending; the mark itself where it knows none."""
    words = mark.split()
    endings = (dictionary.canonical(" ".join(words[place:])) for place in range(len(words)))
    return next(filter(None, endings), key_of(mark))


def endings(mark: str, dictionary: Dictionary) -> set[str]:
    """What the dictionary calls a mark and each of its endings."""
    words = mark.split()
    return {name for place in range(len(words)) if (name := dictionary.canonical(" ".join(words[place:])))}


def sums(row: dict, finder: Finder) -> tuple[list[int], set[str], set[str]]:
    """Right, found and marked names of one review; what was found wrongly; what was missed."""
    dictionary = finder.dictionary
    marked = {called(mark, dictionary) for mark in row["parts"]}
    undecided = {name for mark in row.get("open", []) for name in endings(mark, dictionary)} - marked
    named = set(finder.parts(row["review"])) - undecided
    return [len(named & marked), len(named), len(marked)], named - marked, marked - named


def rates(totals: np.ndarray) -> np.ndarray:
    """[..., 3] sums to [..., 2] precision and recall."""
    return np.stack([totals[..., 0] / np.maximum(totals[..., 1], 1), totals[..., 0] / np.maximum(totals[..., 2], 1)], -1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("marks", type=Path)
    parser.add_argument("--page", type=Path, help="a page whose lists hold further names")
    parser.add_argument("--only-page", action="store_true", help="no names of our own but the synonyms")
    parser.add_argument("--errors", action="store_true", help="print what was wrong and what was missed")
    options = parser.parse_args()
    names = [] if options.only_page else entries()
    if options.page:
        page = HtmlList(kind="html_list", within="//body", without=WITHOUT, notes="keep")
        names += [row["name"] for row in read_html_list(page, options.page, "utf-8")]
    with open(SOURCES / "synonyms.csv", encoding="utf-8", newline="") as file:
        finder = Finder(build(names, csv.DictReader(file)))
    table = []
    for line in options.marks.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        counts, wrong, missed = sums(row, finder)
        table.append(counts)
        if options.errors and (wrong or missed):
            print(f"wrong: {', '.join(sorted(wrong)) or '-'}; missed: {', '.join(sorted(missed)) or '-'}")
    table = np.array(table)
    draws = np.random.default_rng(1).integers(0, len(table), (DRAWS, len(table)))
    low, high = np.percentile(rates(table[draws].sum(1)), [2.5, 97.5], axis=0)
    right, named, marked = table.sum(0)
    print(f"{len(table)} reviews, {len(finder.names)} names, {marked} marked, {named} found, {right} right")
    for place, (name, value) in enumerate(zip(("precision", "recall"), rates(table.sum(0)), strict=True)):
        print(f"{name} {value:.3f} [{low[place]:.3f}, {high[place]:.3f}]")


if __name__ == "__main__":
    main()
