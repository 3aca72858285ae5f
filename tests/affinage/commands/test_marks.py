import csv

import pytest

from stages.common.errors import StageError
from tests.affinage.reports import made_up
from tests.affinage.running import affinage


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(made_up.write(tmp_path, 12))


def fill(path: str) -> None:
    with open(path, encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        line.update(mark_a="4", mark_b="2", preferred="a")
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, lines[0], delimiter=";")
        table.writeheader()
        table.writerows(lines)


def test_from_export_to_agreement(there):
    assert "exports/marks/model.csv: the same as a table of 6 rows" in affinage("marks", "export", "model", "--rows", "6")
    fill("exports/marks/model.csv")
    text = affinage("marks", "agreement", "model", "exports/marks/model.csv")
    assert "6 rows marked" in text and "judge embedded: 12 answers marked and scored, 6 rows with a preference" in text
    assert "kappa, quadratic weights" in text and "95 % intervals" in text


def test_marks_are_never_overwritten(there):
    affinage("marks", "export", "model")
    with pytest.raises(StageError, match="the file is there"):
        affinage("marks", "export", "model")
    affinage("marks", "export", "model", "--out", "other.csv")


def test_another_rival(there):
    affinage("marks", "export", "model", "--against", "base_chat")
    fill("exports/marks/model.csv")
    text = affinage("marks", "agreement", "model", "exports/marks/model.csv", "--against", "base_chat")
    assert "base, its own prompt" in text
    with pytest.raises(StageError, match="--against"):  # the better base is another: its answers are not in the file
        affinage("marks", "agreement", "model", "exports/marks/model.csv")
    with pytest.raises(StageError, match="no answers of 'parent'(.|\n)*one of: base, base_chat"):
        affinage("marks", "export", "model", "--against", "parent")


def test_labels_need_no_marks(tmp_path, monkeypatch):
    def label(answered, verdict):
        answered.update(task="label", answers={"tuned": {"label": "a"}, "majority": {"label": "b"}})

    monkeypatch.chdir(made_up.write(tmp_path, 3, change=label))
    with pytest.raises(StageError, match="labels need no marks"):
        affinage("marks", "export", "model")
