import json
import re
import time

import pytest

from affinage.reports import marking_page
from affinage.reports.outputs import Revision
from affinage.reports.results import Results
from stages.judging.marked import read_marks
from tests import browser
from tests.affinage.reports import made_up


@pytest.fixture
def results(tmp_path):
    return Results("model", Revision("workspace", made_up.write(tmp_path / "tree", 12)))


def test_answers_are_blind_shuffled_and_those_of_both(results):
    lines = marking_page.answers(results, "base", 6, 1)
    said = {(row.expected, row.text_of(contestant)) for row in results.judged for contestant in ("tuned", "base")}
    assert len(lines) == 12 and {(line["expected"], line["answer"]) for line in lines} <= said
    assert {tuple(line) for line in lines} == {("question", "expected", "answer")}
    assert lines == marking_page.answers(results, "base", 6, 1) != marking_page.answers(results, "base", 6, 2)


def test_the_page_needs_nothing_and_text_stays_text(tmp_path):
    hostile = "</script><script>alert(1)</script>"
    marking_page.write_page(tmp_path / "m.html", "model", [{"question": hostile, "expected": "e", "answer": "a"}])
    page = (tmp_path / "m.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 2 and "http" not in page.replace("http-equiv", "")
    data = re.search(r'id="answers">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(data)["answers"][0]["question"] == hostile


@pytest.mark.skipif(browser.find() is None, reason="no browser: apt-get install chromium")
def test_keys_mark_marks_stay_and_the_file_is_read_by_the_judge(tmp_path):
    lines = [{"question": f"Why {i}?", "expected": "So.", "answer": f"answer {i}"} for i in range(3)]
    marking_page.write_page(tmp_path / "m.html", "model", lines)
    tab = browser.Browser(tmp_path / "profile")
    try:
        tab.open(tmp_path / "m.html")
        for key in ("4", "9", "ArrowRight", "1"):
            tab.press(key)
        assert tab.run("part('place').textContent") == "Answer 3 of 3, 2 marked"
        for _ in range(50):  # a browser takes its time to write down what a page stores
            tab.open(tmp_path / "m.html")
            if (seen := tab.run("part('question').textContent")) == "Why 1?":
                break
            time.sleep(0.1)
        assert seen == "Why 1?"  # goes on where it stopped: the second was passed over
        text = tab.run("file()")
        assert tab.complaints() == []
    finally:
        tab.close()
    (tmp_path / "marks").mkdir()
    (tmp_path / "marks" / "model.json").write_text(text, encoding="utf-8")
    assert {marks.texts[2]: marks.value for marks in read_marks(tmp_path / "marks")} == {"answer 0": 0.75, "answer 2": 0.0}
