"""Files of the kinds that people bring: each is ready by one command with its options alone, with the right counts."""

import json
from pathlib import Path

import openpyxl
import pytest

from stages.common.errors import StageError
from stages.common.params import read
from tests.affinage.adding.place import add, run
from tests.affinage.adding.test_to_formatted_rows import lines, table

MAKERS = ["Alder", "Birch", "Cedar", "Dogwood", "Elm"]
MODELS = "".join(
    f"<tr><th scope=row>Model {i}</th>"
    + (f"<td rowspan=4>{MAKERS[i // 4]}<sup>[{i}]</sup></td>" if i % 4 == 0 else "")
    + f"<td>{10 + i % 5} m</td><td>{['City', 'Coach'][i % 2]}</td></tr>"
    for i in range(20)
)
BUSES = f"""<!DOCTYPE html><html><body><nav><ul><li>Home</li></ul></nav><h1>Bus models</h1>
<table class=infobox><tr><th colspan=2>Buses</th></tr><tr><th>Wheels</th><td>6</td></tr></table>
<h2>Built today</h2><table><tr><th>Model</th><th>Maker</th><th>Length</th><th>Service</th></tr>{MODELS}</table>
<h2>Nicknames</h2><ul>{"".join(f"<li>Name {i}</li>" for i in range(12))}</ul>
<h2>Former</h2><h3>Fir</h3><table><tr><th>Name</th><th>Years</th></tr><tr><td>Old 1</td><td>1920</td></tr></table>
<h3>Gorse</h3><table><tr><th>Name</th><th>Years</th></tr><tr><td>Old 2</td><td>1930</td></tr>
<tr><td>Old 3</td><td>1931</td></tr></table></body></html>"""


@pytest.fixture
def buses(outside) -> Path:
    (outside / "buses.html").write_text(BUSES)
    return outside / "buses.html"


def test_a_page_says_its_tables_and_what_is_likely(here, buses):
    with pytest.raises(StageError) as error:
        add(buses)
    assert '--rows "Built today", html_rows:\n    Model ' in error.value.found
    assert "--rows lists, html_items:" in error.value.found
    assert 'likeliest: --question "What is the Maker of {Model}?" --answer "Maker"' in error.value.fix


def test_questions_on_a_table_of_a_page(here, buses):
    said = add(buses, "--question", "Who makes the bus {Model}?", "--answer", "Maker")
    assert 'not read 3 rows of heading, Name, Years: --rows "Name, Years"' in said
    rows = run("buses")["labelled"]
    assert [(row["instruction"], row["response"]) for row in rows] == [
        (f"Who makes the bus Model {i}?", MAKERS[i // 4]) for i in range(20)
    ]


@pytest.mark.parametrize(
    ("rows", "options", "count"),
    [
        ("2", ["--text", "Model", "--label", "Service"], 20),
        ("Built today", ["--question", "How long is {Model}?", "--answer", "Length"], 20),
        ("lists", ["--question", "What is {item} one of?", "--answer", "heading"], 12),
    ],
)
def test_another_part_of_a_page(here, buses, rows, options, count):
    add(buses, "--rows", rows, *options)
    assert run("buses")["label"]["kept"] == count


def test_tables_that_are_alike_go_together(here, buses):
    said = add(buses, "--rows", "Name, Years", "--question", "Who made {Name}?", "--answer", "heading", "--dry-run")
    assert "3 rows: 3 kept" in said
    assert "reader: {kind: html_rows, table: [Name, Years]}" in said


def test_names_of_parts_out_of_a_column(here, outside):
    rows = "".join(f"<tr><td>{part}<td>{i}" for i, part in enumerate(["Engine", "Brake", "Seat", "Clutch"]))
    (outside / "parts.html").write_text(f"<table><tr><th>Part<th>Price{rows}</table>")
    add(outside / "parts.html", "--as", "parts")
    assert {part for row in run("parts")["labelled"] for part in row["List_part"]} <= {"engine", "brake", "seat", "clutch"}


def test_seed_tasks_in_two_languages(here, outside):
    """JSON Lines under two suffixes, answers in nested instances, several of them in some tasks."""
    (outside / "seeds").mkdir()
    for file, words in (("seed_tasks.jsonl", ("Name the colour", "red")), ("zh_seed_tasks.json", ("说出颜色", "红色"))):
        rows = [
            {
                "id": f"seed_{i}",
                "instruction": f"{words[0]} {i}",
                "instances": [{"input": f"x{i}.{j}", "output": f"{words[1]} {i}.{j}"} for j in range(1 + i % 2)],
                "is_classification": bool(i % 2),
            }
            for i in range(20)
        ]
        (outside / "seeds" / file).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    add(outside / "seeds")
    rows = run("seeds")["labelled"]
    assert len(rows) == 2 * 30
    assert {(row["instruction"], row["input"], row["response"]) for row in rows} == {
        (f"{asked} {i}", f"x{i}.{j}", f"{answer} {i}.{j}")
        for asked, answer in (("Name the colour", "red"), ("说出颜色", "红色"))
        for i in range(20)
        for j in range(1 + i % 2)
    }


def chart(folder: Path, header: tuple[str, str], numbers: list) -> Path:
    rows = [{header[0]: number, header[1]: f"Compte de {number} et autres"} for number in numbers]
    (folder / "chart.csv").write_text(table(rows, delimiter=";"), "utf-8")
    return folder / "chart.csv"


FRENCH = [*range(1, 8), 10, 101, 401, 411, 512, 6061, 6063, 6064, 607, 6135, 6152, 6155, 6156, 6226, 6251, 626, 627, 701, 706]


@pytest.mark.parametrize("header", [("numero", "libelle"), ("account", "name"), ("Compte", "Intitulé")])
def test_a_chart_of_accounts_names_what_may_be_meant(here, outside, header):
    with pytest.raises(StageError) as error:
        add(chart(outside, header, FRENCH))
    assert "likeliest: --as accounts" in error.value.fix
    assert f'or:        --text "{header[1]}" --label "{{{header[0]}:.1}}"' in error.value.fix


def test_a_chart_labels_the_invoice_lines_of_this_repository(here, outside):
    said = add(chart(outside, ("numero", "libelle"), FRENCH), "--as", "accounts", "--model", "minilm")
    assert "kind     accounts" in said
    done = run("chart")
    assert done["label"]["kept"] > 400
    assert {row["label"] for row in done["labelled"]} <= set(map(str, FRENCH))
    assert read(Path("params.yaml"))["models"]["chart"]["train"] == {"method": "classifier"}


def test_a_chart_of_another_country_says_that_no_line_fits(here, outside):
    with pytest.raises(StageError, match="name an account that it does not have[^$]*--text"):
        add(chart(outside, ("account", "name"), [1000 + 10 * i for i in range(40)]), "--as", "accounts")


def test_the_class_of_an_account_out_of_its_name(here, outside):
    add(
        chart(outside, ("account", "name"), [1000 * (1 + i % 4) + i for i in range(40)]),
        "--text",
        "name",
        "--label",
        "{account:.1}",
    )
    done = run("chart")
    assert done["label"]["kept"] == 40
    assert {row["label"] for row in done["labelled"]} == {"1", "2", "3", "4"}


def test_invoice_lines_with_their_accounts_by_the_chart_of_this_repository(here, outside):
    rows = [
        {
            "Date": "2024-01-02",
            "Fournisseur": f"Maison {chr(97 + i % 26)}{chr(97 + i // 26)}",
            "Libellé": f"Achat de papier {i}",
            "Compte": [6064, 6061, 9999][i % 3],
        }
        for i in range(60)
    ]
    (outside / "lines.csv").write_text(table(rows), "utf-8")
    assert "60 rows: 40 kept, 20 dropped" in add(outside / "lines.csv", "--as", "accounts")
    assert {row["label"] for row in run("lines")["labelled"]} == {"6064", "6061"}


def test_labels_of_bank_lines(here, outside):
    rows = [
        {"date": f"0{1 + i % 9}/01/2024", "libelle": f"CB ACHAT {i} MAGASIN", "montant": -i, "categorie": f"c{i % 4}"}
        for i in range(60)
    ]
    (outside / "banque.csv").write_text(table(rows, delimiter=";"), "cp1252")
    add(outside / "banque.csv")
    done = run("banque")
    assert (done["label"]["kept"], {row["label"] for row in done["labelled"]}) == (60, {"c0", "c1", "c2", "c3"})


def test_a_workbook_says_its_other_sheets(here, outside):
    book = openpyxl.Workbook()
    for sheet, of in ((book.active, "red"), (book.create_sheet("More colours"), "blue")):
        sheet.append(["question", "answer"])
        for i in range(20):
            sheet.append([f"What is {of} {i}?", f"It is {of} number {i}."])
    book.save(outside / "colours.xlsx")
    assert 'not read 20 rows of question, answer: --rows "More colours"' in add(outside / "colours.xlsx")


def test_a_model_answer_is_an_answer_where_there_is_no_other(here, outside):
    rows = [
        {"question": f"What is {i}?", "reference": f"It is {i}.", "first": f"One {i} is it.", "second": f"{i} it is, I say."}
        for i in range(30)
    ]
    (outside / "pairs.jsonl").write_text(lines(rows))
    add(outside / "pairs.jsonl")
    assert {row["response"] for row in run("pairs")["labelled"]} == {f"It is {i}." for i in range(30)}


def test_parts_as_attributes_of_xml(here, outside):
    parts = {"Power": ["Engine", "Clutch"], "Body": ["Seat", "Door", "Window", "Hood"]}
    sections = "".join(
        f"<section title='{title}'>" + "".join(f"<part no='{name[0]}' name='{name}'/>" for name in some) + "</section>"
        for title, some in parts.items()
    )
    (outside / "parts.xml").write_text(f"<catalog xmlns='http://example.org/parts'>{sections}</catalog>")
    add(outside / "parts.xml", "--as", "parts")
    found = {part for row in run("parts")["labelled"] for part in row["List_part"]}
    assert {"engine", "seat"} <= found <= {"engine", "clutch", "seat", "door", "window", "hood"}


def test_a_test_file_without_labels_is_named(here, outside):
    (outside / "tweets").mkdir()
    (outside / "tweets/train.csv").write_text(table([{"text": f"Tweet {i} of many.", "target": i % 2} for i in range(40)]))
    (outside / "tweets/test.csv").write_text(table([{"text": f"Another tweet {i}.", "id": i} for i in range(9)]))
    with pytest.raises(StageError, match="target +not in all files: test.csv lack it"):
        add(outside / "tweets")
    with pytest.raises(StageError, match=r"test.csv\n[^$]*no column 'target'; train.csv has it[^$]*add [^$]*train.csv"):
        add(outside / "tweets", "--text", "text", "--label", "target")
    assert "40 rows: 40 kept" in add(outside / "tweets/train.csv")
