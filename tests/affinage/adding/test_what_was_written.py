"""Whatever way a file is written in, `affinage add` reads back what was written."""

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affinage.adding.deciding import Options, decided
from affinage.adding.locating import material
from affinage.adding.reading import reader_of, readings
from stages.common.params import read
from stages.sources import SourceFile, rows_of
from stages.sources.columns import column
from tests.data_helpers import ROOT

NAMES = [("Frage", "Antwort"), ("user_query", "BotReply"), ("prompt", "completion"), ("x", "z")]
NOTHING = Options()
DEFAULTS = read(ROOT / "params.yaml")["defaults"]
# letters that every encoding below has, signs that dialects quote, and line ends within fields
texts = st.text("abcdefgxyzäöüéèàçß ,;\t|\"'\n", min_size=3, max_size=30).map(lambda text: f"ab{text}yz")
answers = st.lists(st.tuples(texts, texts), min_size=4, max_size=12)
words = st.sampled_from(["rows", "data", "qa", "items", "entries"])


def read_back(file: Path, said: Options = NOTHING) -> list[tuple[str, str]]:
    """Question and answer of every row, by the reader, encoding and columns that were found out."""
    material_read = material(str(file), "", DEFAULTS)
    ways, encoding = readings(material_read, DEFAULTS, "")
    decision = decided(ways, said, str(file))
    columns = [column(decision.roles.columns[ours], ours) for ours in ("instruction", "response")]
    source = SourceFile(file, encoding=encoding or "utf-8")
    return [tuple(value_of(row) for value_of in columns) for row in rows_of(source, reader_of(decision.way.reader, DEFAULTS))]


def written(name: str, content: bytes, said: Options = NOTHING) -> list[tuple[str, str]]:
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        return read_back(Path(folder) / name, said)


@given(
    rows=answers,
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]),
    extra=st.booleans(),
)
def test_any_dialect_and_encoding_of_csv(rows, delimiter, quoting, end, encoding, extra):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerow(["question", "answer", *["topic"] * extra])
    writer.writerows([*row, *["t"] * extra] for row in rows)
    read_rows = written("a.csv", text.getvalue().encode(encoding))
    # a record over several lines, each of which looks like one, is a bad line that is counted: tests/sources/test_csv_rows.py
    left_out = [row for row in rows if "\n" in "".join(row) and row not in read_rows]
    assert read_rows == [row for row in rows if row not in left_out]


@given(rows=answers, path=st.lists(words, max_size=3, unique=True), encoding=st.sampled_from(["utf-8", "utf-16"]))
def test_json_at_any_depth_of_objects(rows, path, encoding):
    document = [{"question": question, "answer": answer} for question, answer in rows]
    for key in path:
        document = {"version": 1, key: document}
    assert written("a.json", json.dumps(document, ensure_ascii=False).encode(encoding)) == rows


@given(rows=answers, size=st.integers(1, 4), outer=words)
def test_json_with_several_questions_a_record(rows, size, outer):
    pairs = [{"question": question, "answer": answer} for question, answer in rows]
    records = [{"title": f"t{i}", "qas": pairs[i : i + size]} for i in range(0, len(pairs), size)]
    assert written("a.json", json.dumps({outer: records}).encode()) == rows
    assert written("a.jsonl", "".join(json.dumps(record) + "\n" for record in records).encode()) == rows


@given(rows=answers)
def test_instances_one_a_task(rows):
    tasks = [{"instruction": question, "instances": [{"input": "", "output": answer}]} for question, answer in rows]
    assert written("seed.jsonl", "".join(json.dumps(task) + "\n" for task in tasks).encode()) == rows


@given(
    rows=answers,
    names=st.sampled_from([("Frage", "Antwort"), ("user_query", "BotReply"), ("prompt", "completion"), ("x", "z")]),
)
def test_columns_of_any_name(rows, names):
    """Those of no telling name are said by options."""
    said = Options() if names[0] != "x" else Options(question="x", answer="z")
    lines = (json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)
    assert written("a.jsonl", "".join(lines).encode(), said) == rows


@pytest.mark.parametrize("size", [1, 5])
def test_xml_with_the_names_of_its_own(tmp_path, size):
    rows = "".join(f"<Row nr='{i}'><Question>What is {i}?</Question><Answer>It is {i}.</Answer></Row>" for i in range(size))
    (tmp_path / "a.xml").write_text(f"<?xml version='1.0'?><Set><Rows>{rows}</Rows></Set>")
    assert read_back(tmp_path / "a.xml") == [(f"What is {i}?", f"It is {i}.") for i in range(size)]
