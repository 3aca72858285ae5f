"""What came out, on one screen."""

from tests.affinage.reports import made_up
from tests.affinage.running import affinage


def test_a_model_takes_two_lines_and_the_next_commands_stand_below(tmp_path, monkeypatch):
    monkeypatch.chdir(made_up.write(tmp_path))
    lines = affinage("summary", "--width", "100").splitlines()
    assert lines[2].startswith("model: Question 1") and lines[3].strip().endswith("+35.0 [+30.0, +40.0], better")
    assert lines[4:6] == ["", "go on with"] and len(lines[6:]) == 3 and "affinage ask model" in lines[7]
    assert all(len(line) <= 100 for line in lines[:5])


def test_what_was_never_judged_says_how_to(tmp_path, monkeypatch):
    monkeypatch.chdir(made_up.write(tmp_path))
    (tmp_path / "metrics/model/scores.json").unlink()
    text = affinage("summary")
    assert "no scores yet: dvc repro judge@model" in text and "  dvc repro\n" in text


def test_a_warning_is_shown_and_a_question_cannot_steer_the_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(made_up.write(tmp_path, texts=["\x1b[2Jgone\nbreak"]))
    made_up.edit_json(tmp_path / "metrics/model/scores.json", lambda d: d.update(alarms={"same_answers": "8 of 8"}))
    text = affinage("summary", "--width", "80")
    assert "  beware: model/scores.json: same_answers (8 of 8)" in text
    assert all(character.isprintable() or character == "\n" for character in text)
