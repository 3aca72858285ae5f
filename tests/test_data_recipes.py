"""Every recipe for public data runs from its servers to formatted rows, its own parameters unchanged: small stand-ins for the
files, a web server on the loopback interface for the hosts, a module for kagglehub."""

import csv
import io
import json
import random
import shutil
import sys
import types
import zipfile
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from affinage.commands import recipe
from stages import format, label, scrape, split
from stages.common.check_params import check
from stages.common.errors import StageError
from stages.common.files import read_json, read_rows
from stages.common.params import read
from stages.common.schema_sources import Scrape
from stages.splits import PARTS
from tests.data_helpers import jsonl
from tests.imports import ROOT
from tests.server import Answer, Server

RECIPES = {path.stem for path in (ROOT / "recipes").glob("*.yaml") if "datasets" in read(path) and "models" not in read(path)}
ROBOTS = b"User-agent: *\nDisallow: /w/\nDisallow: /api/\nDisallow: /*/archive/\n"  # what these hosts forbid


@pytest.fixture
def server():
    running = Server()
    running.answers["/robots.txt"] = [Answer(ROBOTS)]
    yield running
    running.close()


def nearby(params: Scrape, server: Server, bodies: dict[str, bytes]) -> Scrape:
    """The same sources, whose hosts are this machine; no sha256 is that of a stand-in."""
    sources = {}
    for key, source in params.sources.items():
        sources[key] = source.model_dump()
        if source.kind == "web":
            for file, url in source.urls.items():
                parts = urlsplit(url)
                path = parts.path + (f"?{parts.query}" if parts.query else "")
                server.answers[path] = [Answer(bodies[file])]
                sources[key]["urls"][file] = server.address + path
                sources[key]["sha256"][file] = ""
            sources[key] |= {"allow_private": True, "per_host_seconds": 0.0}
    return Scrape.model_validate({"sources": sources})


@pytest.fixture
def run(server, tmp_path, monkeypatch):
    """Scrapes, labels, splits and formats the dataset of a recipe; its folder."""
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(tmp_path / "scratch"))

    def run(name: str, bodies: dict[str, bytes]):
        recipe.apply(name, ROOT / "recipes", shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))
        (key,) = read(ROOT / "recipes" / f"{name}.yaml")["datasets"]
        params, out = check(read(tmp_path / "params.yaml"), tmp_path / "params.yaml").datasets[key], tmp_path / "out"
        assert (ROOT / params.source).is_dir()  # DVC wants every dependency
        scrape.main(key, nearby(params.scrape, server, bodies), scrape.Paths(source=ROOT / params.source, out=out / "raw"))
        files = {output: out / f"{output}.json" for output in ("labeled", "dropped", "metrics")}
        label.main(key, params.label, label.Paths(raw=out / "raw", **files))
        split.main(key, params.split, split.Paths(labeled=files["labeled"], splits=out / "splits", metrics=out / "split.json"))
        tables = {"metrics": out / "format.json", "lengths": out / "lengths.csv"}
        format.main(key, params.format, format.Paths(splits=out / "splits", formatted=out / "formatted", **tables))
        return out

    return run


def words(seed: int, count: int = 25) -> str:
    rng = random.Random(seed)
    return " ".join("".join(rng.choices("abcdefghij", k=6)) for _ in range(count))


def formatted(out) -> list[dict]:
    return [row for part in PARTS for row in read_rows(out / "formatted" / part)]


def test_there_is_a_test_for_each():
    tested = {name.removeprefix("test_recipe_") for name in globals() if name.startswith("test_recipe_")}
    assert tested == RECIPES


def test_the_example_of_the_documentation_is_legal_and_its_recipes_are_there():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    params = read(ROOT / "params.yaml")
    params["datasets"] |= YAML(typ="safe").load(text.split("```yaml")[1].split("```")[0])["datasets"]
    check(params, ROOT / "docs" / "data.md")
    table = text.split("## Public sources")[1].split("## ")[0]
    assert {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")} == RECIPES


def test_recipe_instructions_alpaca(run, server):
    rows = [
        {"instruction": f"{words(i, 9)}?", "input": words(i + 5000, 4) * (i % 3 == 0), "output": words(i + 9000)}
        for i in range(1200)
    ]
    rows += [rows[0], {"instruction": "Say it.", "input": "", "output": ""}]
    out = run("instructions_alpaca", {"alpaca_data.json": json.dumps(rows).encode()})
    assert read_json(out / "metrics.json")["dropped"] == {"duplicate": 1, "missing response": 1}
    assert 60 < len(formatted(out)) < 180  # a tenth
    entry = read_json(out / "raw" / "sources.json")["sources"]["json"]
    assert entry["licence"] == "CC BY-NC 4.0" and len(entry["files"][0]["sha256"]) == 64
    (path,) = server.paths()
    assert path.startswith("/tatsu-lab/stanford_alpaca/") and path.endswith("/alpaca_data.json")


def document(number: int, answers: bool = True) -> str:
    pairs = "".join(
        f'<QAPair pid="{i}"><Question qid="{number}-{i}" qtype="{kind}">What is {kind} of {words(number, 2)} ?</Question>'
        f"<Answer>{words(number * 10 + i) * answers}</Answer></QAPair>"
        for i, kind in enumerate(("information", "treatment"))
    )
    return f'<Document id="{number}"><Focus>{words(number, 2)}</Focus><QAPairs>{pairs}</QAPairs></Document>'


def test_recipe_medical_medquad(run, server):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for number in range(60):
            archive.writestr(f"MedQuAD-577bd37/{number % 3}_QA/{number:07}.xml", document(number, answers=number % 10 > 0))
        archive.writestr("MedQuAD-577bd37/readme.txt", "not a document")
    out = run("medical_medquad", {"medquad.zip": body.getvalue()})
    metrics = read_json(out / "metrics.json")
    assert (metrics["rows"], metrics["kept"], metrics["dropped"]) == (120, 108, {"missing response": 12})
    sides = {(row["focus"], part) for part in PARTS for row in jsonl(out / "splits" / f"{part}.jsonl")}
    assert len(sides) == 54  # a disease is on one side
    assert server.paths()[0].startswith("/abachaa/MedQuAD/zip/577bd37")


def test_recipe_elements_facts(run):
    elements = [
        {"name": f"Element{i}", "summary": words(i), "symbol": f"E{i}", "number": i, "shells": [2, 8]} for i in range(90)
    ]
    out = run("elements_facts", {"elements.json": json.dumps({"elements": elements}).encode()})
    rows = formatted(out)
    assert len(rows) == 90
    assert [turn["role"] for turn in rows[0]["messages"]] == ["system", "user"]
    assert {row["symbol"] for part in PARTS for row in jsonl(out / "splits" / f"{part}.jsonl")} == {f"E{i}" for i in range(90)}


def chart(accounts: list[dict]) -> bytes:
    flat = [{"number": int(account["compte"]), "label": account["libelle"], "parent": None} for account in accounts]
    return json.dumps({"version": 2026, "flat": flat, "nested": []}).encode()


def test_recipe_invoices_pcg(run):
    with open(ROOT / "data" / "sources" / "invoices" / "comptes.csv", encoding="utf-8", newline="") as file:
        accounts = list(csv.DictReader(file))
    out = run("invoices_pcg", {"pcg.json": chart(accounts)})
    labels = read_json(out / "formatted" / "labels.json")
    assert set(labels["labels"]) <= {account["compte"] for account in accounts}
    assert len(formatted(out)) == read_json(out / "metrics.json")["kept"] > 700


def test_a_chart_in_another_shape_names_the_keys_that_there_are(run):
    with pytest.raises(StageError, match=r"no 'flat'; there is accounts\n[^$]*reader\.at"):
        run("invoices_pcg", {"pcg.json": b'{"accounts": []}'})


PAGE = """<html><head><meta charset="utf-8"><title>List of auto parts</title></head><body><nav><li>Main page</li></nav>
<div id="toc"><h2>Contents</h2><ul><li>1 Body</li></ul></div><h2>Body</h2><ul><li>Bonnet/hood<ul>
<li>Bonnet/hood latch</li></ul></li>
<li>Flux capacitor</li></ul><h2>See also</h2><ul><li>42-volt electrical system</li></ul></body></html>"""


def test_recipe_car_reviews_edmunds(run, tmp_path, monkeypatch, server):
    folder = tmp_path / "kaggle" / "versions" / "4"
    folder.mkdir(parents=True)
    for brand in ("Acura", "Dodge", "Tesla"):
        with open(folder / f"Scraped_Car_Review_{brand.lower()}.csv", "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["", "Review_Date", "Author_Name", "Vehicle_Title", "Review_Title", "Review", "Rating"])
            for i in range(40):
                review = f"{words(hash_of(brand) + i)}. The flux capacitor of my {brand} broke at {i} miles, the hood is fine."
                table.writerow([i, "on 02/02/17 19:53 PM (PST)", "somebody", f"2007 {brand} Sedan", "Fine", review, "4"])
    package = types.ModuleType("kagglehub")
    package.dataset_download = lambda handle: str(folder)
    monkeypatch.setitem(sys.modules, "kagglehub", package)
    out = run("car_reviews_edmunds", {"list.html": PAGE.encode()})
    rows = list(read_rows(out / "formatted" / "train"))
    assert {row["completion"] for row in rows} == {" flux capacitor, hood END"}
    assert len({row["id"].rsplit("_")[-1].partition(".")[0] for row in rows[:20]}) == 3  # the first rows are of all brands
    names = [row["name"] for row in read_rows(out / "raw" / "parts_list")]
    assert names == ["Bonnet/hood", "Bonnet/hood latch", "Flux capacitor"]
    assert server.paths() == ["/wiki/List_of_auto_parts?oldid=786468536"]
    reviews = read_json(out / "raw" / "sources.json")["sources"]["reviews"]["files"]
    assert {entry["url"].rpartition("/")[2] for entry in reviews} == {"4"}  # the version to write into the recipe


def hash_of(brand: str) -> int:
    return sum(map(ord, brand)) * 1000
