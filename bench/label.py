"""Labelling reviews against FlashText and against bare pyahocorasick, all on the same reviews, in one run.

    python bench/label.py [--rows 100000] [--names 700]

The reviews are those of data/sources/car_reviews, repeated with changes (other sentences, numbers and lower or upper case), so
that no two are alike. FlashText gets every spelling that the labeller knows and finds the same kind of thing (longest names on
word boundaries). The bare automaton is pyahocorasick's: it holds the same spellings and lists every hit in the lower-cased
text: no boundaries, no overlaps resolved, no names. The labeller gives `List_part` and `Count_part`; the last line adds
`List_fault`.
"""

import argparse
import csv
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import ahocorasick  # noqa: E402

from stages.common.check_params import check  # noqa: E402
from stages.common.params import read  # noqa: E402
from stages.labels.dictionary import build  # noqa: E402
from stages.labels.parts import Finder  # noqa: E402
from stages.sources import SourceFile, rows_of  # noqa: E402

SOURCES = ROOT / "data" / "sources" / "car_reviews"


def entries() -> list[str]:
    """Names off the two pages, read as `scrape` reads them."""
    sources = check(read(ROOT / "params.yaml"), ROOT / "params.yaml").datasets["car_reviews"].scrape.sources
    pages = [sources["parts_list"], sources["parts_table"]]
    return [row["name"] for page in pages for row in rows_of(SourceFile(SOURCES / page.files), page.reader)]


def reviews(count: int, seed: int = 1) -> list[str]:
    """Real reviews of the corpus, each changed a little."""
    texts = [
        row["review"].strip()
        for path in sorted((SOURCES / "reviews").glob("*.csv"))
        for row in rows_of(SourceFile(path), "reviews_csv")
        if not row["problem"]
    ]
    rng, changed = random.Random(seed), []
    for number in range(count):
        own, donor = texts[number % len(texts)].split(". "), rng.choice(texts).split(". ")
        own[rng.randrange(len(own))] = rng.choice(donor)
        text = f"{'. '.join(own)} {rng.randrange(1, 300)},{rng.randrange(1000):03} miles."
        changed.append(text.upper() if rng.random() < 0.02 else text)
    return changed


def seconds(work: Callable[[str], object], texts: list[str]) -> float:
    start = time.perf_counter()
    for text in texts:
        work(text)
    return time.perf_counter() - start


def main() -> None:
    from flashtext import KeywordProcessor

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--names", type=int, default=700)
    options = parser.parse_args()
    with open(SOURCES / "synonyms.csv", encoding="utf-8", newline="") as file:
        dictionary = build(entries()[: options.names], csv.DictReader(file))
    finder, flash = Finder(dictionary), KeywordProcessor()
    for key, name in dictionary.written.items():
        flash.add_keyword(key.replace("|", "/"), name or key)
    texts = reviews(options.rows)
    automaton = ahocorasick.Automaton()
    for key in dictionary.written:
        automaton.add_word(key.replace("|", "/"), key)
    automaton.make_automaton()
    print(
        f"{len(texts)} reviews, {sum(map(len, texts)) / 1e6:.1f} million characters, "
        f"{len(finder.names)} names in {len(dictionary.written)} spellings"
    )
    warm = texts[:1000]
    works = {
        "bare pyahocorasick": lambda text: list(automaton.iter(text.lower())),
        "List_part and Count_part": finder.parts,
        "FlashText": flash.extract_keywords,
        "with List_fault": finder.label,
    }
    times = {}
    for name, work in works.items():
        seconds(work, warm)
        times[name] = min(seconds(work, texts) for _ in range(1 if name == "FlashText" else 3))
        print(f"{name}: {times[name]:.2f} s, {len(texts) / times[name]:.0f} reviews a second")
    ours = times["List_part and Count_part"]
    print(f"FlashText / ours {times['FlashText'] / ours:.1f}")
    print(f"ours / bare pyahocorasick {ours / times['bare pyahocorasick']:.2f}")
    full = times["with List_fault"]
    print(f"with List_fault: FlashText / ours {times['FlashText'] / full:.1f}", end=", ")
    print(f"ours / bare {full / times['bare pyahocorasick']:.2f}; List_fault takes {(full - ours) / full:.0%} of both")


if __name__ == "__main__":
    main()
