"""Files of many kinds, each added by one command; then the stages run on the entry, and the counts are right."""

import csv
import gzip
import io
import json
import re
import zipfile
from pathlib import Path

import pandas
import pytest
from ruamel.yaml import YAML

from stages.common.params import read
from tests.affinage.adding.place import add, run

COLOURS = ["red", "blue", "green", "white", "black", "grey", "brown", "orange", "purple", "pink"]
QUESTIONS = [
    {"question": f"Which colour has the {thing} number {i}?", "answer": f"The {thing} {i} is {COLOURS[i % 10]}."}
    for i, thing in enumerate(["bus", "door", "chair", "boat", "lamp"] * 8)
]
TEXTS = [
    {"text": f"The {thing} that I bought {i} days ago {'works well' if i % 2 else 'broke at once'}.", "label": i % 2}
    for i, thing in enumerate(["bus", "door", "chair", "boat", "lamp"] * 8)
]


def turns(row: dict) -> list[dict]:
    return [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": row["answer"]}]


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(rows: list[dict], **dialect) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def plain(folder: Path) -> Path:
    (folder / "colours.csv").write_text(table(QUESTIONS))
    return folder / "colours.csv"


def french(folder: Path) -> Path:
    rows = [{"Question": f"Qui a créé l'œuvre n° {i} ?", "Réponse": f"L'élève n° {i} de l'école."} for i in range(40)]
    (folder / "leçons.csv").write_bytes(table(rows, delimiter=";").encode("cp1252"))
    return folder / "leçons.csv"


def excel(folder: Path) -> Path:
    pandas.DataFrame(QUESTIONS).to_excel(folder / "colours.xlsx", index=False)
    return folder / "colours.xlsx"


def parquet(folder: Path) -> Path:
    pandas.DataFrame(QUESTIONS).to_parquet(folder / "colours.parquet")
    return folder / "colours.parquet"


def seed_tasks(folder: Path) -> Path:
    rows = [
        {"id": f"seed_{i}", "instruction": row["question"], "instances": [{"input": "", "output": row["answer"]}]}
        for i, row in enumerate(QUESTIONS)
    ]
    (folder / "seed_tasks.jsonl").write_text(lines(rows))
    return folder / "seed_tasks.jsonl"


def questions_a_record(folder: Path) -> Path:
    records = [
        {"title": f"thing {i}", "qas": [{"question": row["question"], "answer": row["answer"]} for row in QUESTIONS[i : i + 4]]}
        for i in range(0, 40, 4)
    ]
    (folder / "records.json").write_text(json.dumps({"version": 1, "data": records}))
    return folder / "records.json"


def texts_of_questions(folder: Path) -> Path:
    records = [{"answer": row["answer"], "questions": [row["question"]]} for row in QUESTIONS]
    (folder / "lists.json").write_text(json.dumps(records))
    return folder / "lists.json"


def object_of_objects(folder: Path) -> Path:
    (folder / "keyed.json").write_text(json.dumps({f"k{i}": row for i, row in enumerate(QUESTIONS)}))
    return folder / "keyed.json"


def openai_chat(folder: Path) -> Path:
    (folder / "chat.jsonl").write_text(lines([{"messages": turns(row)} for row in QUESTIONS]))
    return folder / "chat.jsonl"


def sharegpt(folder: Path) -> Path:
    names = {"user": "human", "assistant": "gpt"}
    rows = [
        {"id": i, "conversations": [{"from": names[turn["role"]], "value": turn["content"]} for turn in turns(row)]}
        for i, row in enumerate(QUESTIONS)
    ]
    (folder / "sharegpt.json").write_text(json.dumps(rows))
    return folder / "sharegpt.json"


def preferences(folder: Path) -> Path:
    rows = [{"prompt": row["question"], "chosen": row["answer"], "rejected": "I do not know."} for row in QUESTIONS]
    (folder / "pairs.jsonl").write_text(lines(rows))
    return folder / "pairs.jsonl"


def preferences_of_turns(folder: Path) -> Path:
    rows = [{"prompt": row["question"], "chosen": turns(row), "rejected": turns({**row, "answer": "No."})} for row in QUESTIONS]
    (folder / "turns.jsonl").write_text(lines(rows))
    return folder / "turns.jsonl"


def differing_columns(folder: Path) -> Path:
    (folder / "several").mkdir()
    (folder / "several" / "a.csv").write_text(table(QUESTIONS[:20]))
    more = [{"nr": i, "answer": row["answer"], "question": row["question"]} for i, row in enumerate(QUESTIONS[20:])]
    (folder / "several" / "b.csv").write_text(table(more, delimiter=";"))
    (folder / "several" / "README.md").write_text("# Colours\n")
    return folder / "several"


def zip_of_xml(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "medical.zip", "w") as archive:
        for i in range(0, 40, 4):
            pairs = "".join(
                f"<QAPair><Question qtype='a'>{row['question']}</Question><Answer>{row['answer']}</Answer></QAPair>"
                for row in QUESTIONS[i : i + 4]
            )
            archive.writestr(f"set/{i:04}.xml", f"<Document id='{i}'><Focus>f{i}</Focus><QAPairs>{pairs}</QAPairs></Document>")
    return folder / "medical.zip"


def packed(folder: Path) -> Path:
    (folder / "colours.jsonl.gz").write_bytes(gzip.compress(lines(QUESTIONS).encode()))
    return folder / "colours.jsonl.gz"


ASKED = [
    *(plain, french, excel, parquet, seed_tasks, questions_a_record, texts_of_questions, object_of_objects),
    *(openai_chat, sharegpt, preferences, preferences_of_turns, differing_columns, zip_of_xml, packed),
]


@pytest.mark.parametrize("make", ASKED, ids=lambda make: make.__name__)
def test_questions_with_answers(here, outside, make):
    path = make(outside)
    before = read(Path("params.yaml"))
    said = add(path, "--model", "smollm2")
    assert "40 rows: 40 kept, 0 dropped" in said
    after = read(Path("params.yaml"))
    (name,) = after["datasets"].keys() - before["datasets"].keys()
    (model,) = after["models"].keys() - before["models"].keys()
    assert after["models"][model]["dataset"] == name
    done = run(name)
    assert done["label"]["kept"] == 40
    assert sum(done["split"][part] for part in ("train", "validation", "test")) + sum(done["split"]["dropped"].values()) == 40
    answers = {row["completion"].strip() for row in done["train"]}
    right = {f"L'élève n° {i} de l'école." for i in range(40)} if make is french else {row["answer"] for row in QUESTIONS}
    assert answers <= right
    asked = {row["messages"][-1]["content"] for row in done["train"]}
    assert asked <= (
        {f"Qui a créé l'œuvre n° {i} ?" for i in range(40)} if make is french else {q["question"] for q in QUESTIONS}
    )
    text = Path("params.yaml").read_text()
    assert add(path, "--model", "smollm2").count("nothing to do") == 1
    assert Path("params.yaml").read_text() == text
    assert int(re.search(r"wrote +(\d+) lines", said)[1]) <= 15


def test_texts_with_number_labels(here, outside):
    (outside / "reviews.jsonl").write_text(lines(TEXTS))
    said = add(outside / "reviews.jsonl", "--text", "text", "--label", "label", "--model", "minilm")
    assert "nothing to do" in add(outside / "reviews.jsonl", "--model", "minilm")  # the same is found out
    assert "labels   2: 0 20, 1 20" in said
    done = run("reviews")
    assert {row["label"] for row in done["labelled"]} == {"0", "1"}
    assert done["format"]["labels"] == 2
    assert read(Path("params.yaml"))["models"]["reviews"]["train"] == {"method": "classifier"}


def test_rows_at_a_path_that_is_said(here, outside):
    add(questions_a_record(outside), "--rows", "data[*].qas")
    reader = read(Path("params.yaml"))["datasets"]["records"]["scrape"]["sources"]["rows"]["reader"]
    assert reader == {"kind": "json_records", "at": "data[*].qas"}
    assert run("records")["label"]["kept"] == 40


def test_a_template_of_several_columns(here, outside):
    rows = [{"name": f"Element{i}", "family": f"family {i % 4}", "mass": i} for i in range(40)]
    (outside / "table.csv").write_text(table(rows))
    add(
        outside / "table.csv", "--question", "Which family does {name} belong to?", "--answer", "{family}", "--name", "families"
    )
    done = run("families")
    assert done["label"]["kept"] == 40
    assert all(row["messages"][0]["content"].startswith("Which family does Element") for row in done["train"])


def test_a_chart_of_accounts(here, outside):
    rows = [
        {"number": 100 + i, "label": f"Compte de {COLOURS[i % 10]} {i}", "system": ["minimal", "full"][i % 2]}
        for i in range(40)
    ]
    (outside / "chart.json").write_text(json.dumps({"version": 2, "flat": rows}))
    add(outside / "chart.json", "--question", "What is account {number}?", "--answer", "label")
    assert run("chart")["label"]["kept"] == 40


def test_parts_of_reviews_by_a_list_of_ones_own(here, outside):
    (outside / "pieces.txt").write_text("Engine\nBrakes\nSteering wheel\nTransmission\nSeat\n")
    assert "kind     parts" in add(outside / "pieces.txt", "--as", "parts")
    done = run("pieces")
    assert done["label"]["kept"] > 400
    assert {part for row in done["labelled"] for part in row["List_part"]} <= {
        "engine",
        "brake",
        "steering wheel",
        "transmission",
        "seat",
    }


def test_parts_out_of_xml(here, outside):
    parts = "".join(
        f"<Part no='{i}'><Name>{name}</Name></Part>" for i, name in enumerate(["Engine", "Brake", "Seat", "Clutch"])
    )
    (outside / "catalogue.xml").write_text(f"<Catalogue><Group title='all'>{parts}</Group></Catalogue>")
    add(outside / "catalogue.xml", "--as", "parts")
    done = run("catalogue")
    assert {part for row in done["labelled"] for part in row["List_part"]} <= {"engine", "brake", "seat", "clutch"}
    assert done["label"]["share_with_part"] > 0.1


def test_reviews_of_another_brand(here, outside):
    header = "Review_Date,Author_Name,Vehicle_Title,Review_Title,Review,Rating\n"
    rows = [
        f" on 10/13/05 15:30 PM (PDT),a{i},2002 Brand Van 3dr,Good,The {part} number {i} failed after a year.,4\n"
        for i, part in enumerate(["engine", "clutch", "radiator", "seat"] * 10)
    ]
    (outside / "brand.csv").write_text(header + "".join(rows))
    assert "40 rows: 40 kept" in add(outside / "brand.csv", "--model", "smollm2")
    done = run("brand")
    assert {part for row in done["labelled"] for part in row["List_part"]} == {"engine", "clutch", "radiator", "seat"}


def test_markdown_by_headings(here, outside):
    (outside / "notes").mkdir()
    for i, row in enumerate(QUESTIONS):
        (outside / "notes" / f"{i:02}.md").write_text(f"# {row['question']}\n\n{row['answer']}\n")
    add(outside / "notes", "--question", "heading", "--answer", "text")
    assert run("notes")["label"]["kept"] == 40


def test_tool_turns_are_counted(here, outside):
    rows = [{"messages": turns(row)} for row in QUESTIONS]
    rows[3]["messages"].insert(1, {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]})
    rows[3]["messages"].insert(2, {"role": "tool", "content": "42"})
    (outside / "tools.jsonl").write_text(lines(rows))
    said = add(outside / "tools.jsonl")
    assert "40 rows: 39 kept, 1 dropped (not usable: messages: turn 2 calls a tool 1)" in said


def test_the_entry_keeps_every_line_of_the_file(here, outside):
    before = Path("params.yaml").read_text().splitlines()
    add(plain(outside), "--model", "smollm2")
    text = Path("params.yaml").read_text()
    kept = iter(text.splitlines())
    assert all(line in kept for line in before)
    assert YAML(typ="safe", pure=True).load(text)["datasets"]["colours"]["source"] == "data/sources/colours"
    assert Path("data/sources/colours/colours.csv").read_bytes() == (outside / "colours.csv").read_bytes()


def test_a_dry_run_writes_nothing(here, outside):
    before = Path("params.yaml").read_bytes()
    said = add(plain(outside), "--dry-run")
    assert "\n+  colours:\n" in said
    assert Path("params.yaml").read_bytes() == before
    assert not Path("data/sources/colours").exists()


def test_a_file_that_stays_where_it_is(here, outside):
    add(plain(outside), "--in-place")
    assert read(Path("params.yaml"))["datasets"]["colours"]["source"] == str(outside / "colours.csv")
    assert run("colours")["label"]["kept"] == 40
    assert not Path("data/sources/colours").exists()
