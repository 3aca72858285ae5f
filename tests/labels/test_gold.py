"""The shipped pages, synonyms and gold rows: enough names, and a labeller that finds them."""

import csv
import json

import pytest

from stages.common.check_params import check
from stages.common.params import read
from stages.labels.dictionary import build
from stages.labels.parts import Finder
from stages.labels.reviews import against_gold
from stages.sources import SourceFile, rows_of
from tests.imports import ROOT

SOURCES = ROOT / "data" / "sources" / "car_reviews"


@pytest.fixture(scope="module")
def dictionary():
    sources = check(read(ROOT / "params.yaml"), ROOT / "params.yaml").datasets["car_reviews"].scrape.sources
    pages = [sources["parts_list"], sources["parts_table"]]
    entries = [row["name"] for page in pages for row in rows_of(SourceFile(SOURCES / page.files), page.reader)]
    with open(SOURCES / "synonyms.csv", encoding="utf-8", newline="") as file:
        return build(entries, csv.DictReader(file))


def test_names(dictionary):
    assert len(dictionary.names) >= 650
    assert not {"and", "set", "home", "privacy", "advertisement", "references"} & set(dictionary.names)
    assert dictionary.canonical("Bonnets") == "hood"


def test_the_labeller_against_the_gold_rows(dictionary):
    with open(SOURCES / "gold.jsonl", encoding="utf-8") as file:
        rates = against_gold(Finder(dictionary), dictionary, map(json.loads, file))
    assert rates["reviews"] >= 120
    assert rates["parts"]["precision"] >= 0.95
    assert rates["parts"]["recall"] >= 0.90
    assert rates["faults"]["f1"] >= 0.75


@pytest.mark.parametrize(
    ("review", "parts"),
    [
        ("A fine starter car, cheap to boot, and the dealer gave support.", []),
        ("We drove it to Palm Springs with 60,000 miles on the clock.", []),
        ("In third gear the gears whine. I plug it in at night.", []),
        ("The superchargers on the way are free; nav and touch screen are great.", ["navigation system", "touchscreen"]),
        ("Head lights dim, the interior lights flicker, it is light on its feet.", ["headlight", "light"]),
        ("New engine, new breaks, both wheels bent, back seat torn.", ["engine", "brake", "wheel", "seat"]),
        ("I am a Dodge fan; the fan broke.", ["fan"]),
    ],
)
def test_what_people_write_of_parts_and_of_other_things(dictionary, review, parts):
    assert Finder(dictionary).parts(review) == parts
