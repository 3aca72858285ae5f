"""The row types say what is in the files, and nothing in their module runs."""

import ast
import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from stages import format as format_stage
from stages import label, scrape, split
from stages.common import rows
from stages.common.files import read_rows, write_rows
from stages.decoding.answers import Answer
from stages.decoding.classifier.label_answers import answered
from stages.decoding.contestants import Contestant
from stages.decoding.text_answers import side_by_side
from stages.judging.opinion import Opinion, verdict_rows
from tests import tiny
from tests.data_helpers import chat_params, classification_params, format_params, label_params, scrape_params, split_params
from tests.labelled import rows as label_rows

OPEN = {rows.RawRow, rows.LabelledRow, rows.DroppedRow}  # columns of the source's own come beside


def check(kind: type, row: dict) -> None:
    """A row has the keys of its type, and where the type is closed no others."""
    assert kind.__required_keys__ <= row.keys(), (kind, row)
    assert kind in OPEN or row.keys() <= kind.__annotations__.keys(), (kind, row)


def test_nothing_in_the_module_runs():
    """So it can change no output, and is no dependency of a stage."""
    for node in ast.parse(inspect.getsource(rows)).body:
        if isinstance(node, ast.ClassDef):
            assert all(isinstance(part, ast.AnnAssign | ast.Expr) for part in node.body), node.name
        elif isinstance(node, ast.Assign):
            assert ast.unparse(node) == "FormattedRow = FormattedText | FormattedLabel"
        else:
            assert isinstance(node, ast.ImportFrom) and node.module == "typing" or isinstance(node, ast.Expr)


SOURCES = {
    "alpaca": [{"instruction": f"Say {word}.", "input": "", "response": f"{word}!"} for word in tiny.THINGS],
    "chat": [
        {"messages": [{"role": "user", "content": f"Say {word}."}, {"role": "assistant", "content": f"{word}!"}]}
        for word in tiny.THINGS
    ],
    "classification": [{"text": f"the {word}", "label": "thing"} for word in tiny.THINGS],
}
STYLES = {"alpaca": format_params, "chat": chat_params, "classification": classification_params}


@pytest.mark.parametrize("style", STYLES)
def test_rows_of_the_data_stages_are_what_their_types_say(tmp_path, style):
    source, columns = SOURCES[style], {name: name for name in SOURCES[style][0]}
    write_rows(tmp_path / "source" / "rows.jsonl", [*source, source[0]])
    required = {"required": [name for name in columns if name != "input"]}
    scrape.main("x", scrape_params(columns=columns), scrape.Paths(tmp_path / "source", tmp_path / "raw"))
    paths = [tmp_path / name for name in ("labeled.jsonl", "dropped.jsonl", "label.json")]
    label.main("x", label_params(**required), label.Paths(tmp_path / "raw", *paths))
    split.main("x", split_params(), split.Paths(paths[0], tmp_path / "splits", tmp_path / "split.json"))
    format_stage.main(
        "x",
        STYLES[style](),
        format_stage.Paths(tmp_path / "splits", tmp_path / "formatted", *(tmp_path / n for n in ("m", "l.csv"))),
    )
    formatted = rows.FormattedLabel if style == "classification" else rows.FormattedText
    files = {"raw": rows.RawRow, "labeled.jsonl": rows.LabelledRow, "dropped.jsonl": rows.DroppedRow}
    files |= {f"formatted/{part}": formatted for part in ("train", "validation", "test")}
    files |= {f"splits/{part}.jsonl": rows.LabelledRow for part in ("train", "validation", "test")}
    for name, kind in files.items():
        written = list(read_rows(tmp_path / name))
        assert written, name
        for row in written:
            check(kind, row)


def test_rows_of_answers_and_verdicts_are_what_their_types_say():
    contestant = Contestant("tuned", Path(), None, [" END"], shots=("row#0",))
    asked = {**tiny.rows(1)[0], "completion": "Red. END", "paraphrase": "It is red.", "weak": "Blue."}
    text = side_by_side(asked, [(contestant, Answer("Red.", 2, 3, "stop"))])
    check(rows.TextAnswers, text)
    check(rows.TextAnswer, text["answers"]["tuned"])
    check(
        rows.TextAnswers,
        side_by_side({"id": "probe#1", "task": "text", "messages": []}, [(contestant, Answer("", 0, 3, "stop"))]),
    )
    of_label = answered(label_rows(1)[0], {"tuned": {"animal": 1.0}})
    check(rows.LabelAnswers, of_label)
    check(rows.LabelAnswer, of_label["answers"]["tuned"])
    notes = {"reasons": {"tuned": {0: "well put"}}, "failed": {"base": {0: "timeout"}}, "pairs": {0: {"winner": "tie"}}}
    scores = {"tuned": np.array([80.0]), "base": np.array([np.nan])}
    (line,) = verdict_rows([text], {"judge": Opinion(scores, [], {}, (0, 100), {}, **notes)})
    check(rows.TextVerdicts, json.loads(json.dumps(line)))
