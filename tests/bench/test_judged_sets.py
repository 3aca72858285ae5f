"""Sets of judged answers are built from their sources as these are written. The texts here are made up."""

import hashlib
import io
import json
import zipfile

import pytest

from bench import judged_sets, judged_sources
from bench.agreement import read_sets

ASKED = """<All><NLM-QUESTION qid="TQ7"><NIST-PARAPHRASE>What helps?</NIST-PARAPHRASE><ReferenceAnswers><RefAnswer><ANSWER>
 Rest  helps. </ANSWER></RefAnswer></ReferenceAnswers></NLM-QUESTION></All>"""
PASSAGES = """<All><Question QID="7"><Answer ReferenceScore="2"><AnswerText>Tea.</AnswerText></Answer></Question>
<Question QID="8"><Answer ReferenceScore="4"><AnswerText>Not asked.</AnswerText></Answer></Question></All>"""
STUDENTS = """<question id="Q1"><questionText>Why is it dark?</questionText><referenceAnswers>
<referenceAnswer category="GOOD">No light.</referenceAnswer><referenceAnswer category="BEST">The bulb is out.</referenceAnswer>
</referenceAnswers><studentAnswers><studentAnswer accuracy="correct">bulb out</studentAnswer>
<studentAnswer accuracy="contradictory">bulb is on</studentAnswer></studentAnswers></question>"""
COMPARED = {"instruction": "Name a fruit", "input": "", "response1": "Fig", "response2": "Fog"}


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for folder in ("beetle", "sciEntsBank"):
            file.writestr(f"test/3way/{folder}/test-unseen-answers/one.xml", STUDENTS)
            file.writestr(f"test/3way/{folder}/test-unseen-domains/one.xml", STUDENTS)
    return content.getvalue()


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def copies(tmp_path, monkeypatch):
    judged = {f"answer_{model}": "Rome" for model in judged_sets.MODELS}
    judged |= {f"judge_{model}": model != "fid" for model in judged_sets.MODELS}
    judged |= {"answer_fid": "Oslo", "judge_gpt4": None}
    contents = {
        "liveqa questions": ASKED,
        "liveqa marks": "7 4 Rest\n7 2  Rest \n7 -2 x\n7 1 Nothing helps\n9 4 unknown\n",
        "mediqa": PASSAGES,
        "mohler": 'id,question,desired_answer,student_answer,score_me,score_other,score_avg\n1.1,Why?,"So, it is",so,4,5,4.5\n',
        "semeval": archive(),
        "evouna": json.dumps([{"question": "Which city?", "golden_answer": "Rome/Roma", "improper": False, **judged}]),
        "truth": lines(
            *({"prompt": f"Q: Is it?\nA: {a}\nTrue:", "completion": c} for a, c in (("It is so", " yes"), ("It was", " no")))
        ),
        "information": lines(
            *({"prompt": f"Q: Is it?\nA: {a}\nHelpful:", "completion": " yes"} for a in ("It is so", "It was"))
        ),
        "truthful": "Question,Best Answer,Correct Answers,Incorrect Answers\n"
        "Is it?,It is,It is; It is indeed,It is not; Never\n",
        "pandalm": json.dumps([{**COMPARED, "annotator1": 1, "annotator2": 1, "annotator3": 0}]),
        "self-instruct": lines({"instruction": "Name a fruit", "instances": [{"input": "", "output": "A fig"}]}),
    }
    sources = {}
    for name, content in contents.items():
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name.replace(" ", "_")).write_bytes(content)
        sources[name] = (name.replace(" ", "_"), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(judged_sources, "SOURCES", sources)
    return tmp_path


def test_every_set_is_built_as_people_marked_it(copies, tmp_path, capsys):
    judged_sets.main([str(tmp_path / "out"), "--copies", str(copies)])
    _, judged = read_sets(tmp_path / "out")
    result = {
        name: [
            (*texts, float(mark))
            for texts, mark, entry in zip(judged.texts, judged.marks, judged.sets, strict=True)
            if entry == name
        ]
        for name in judged_sets.SETS
    }
    assert result["liveqa"] == [
        ("What helps?", "Rest helps.", "Rest", pytest.approx(2 / 3)),  # marked twice: 4 and 2
        ("What helps?", "Rest helps.", "Nothing helps", 0.0),
    ]
    assert result["mediqa"] == [("What helps?", "Rest helps.", "Tea.", pytest.approx(1 / 3))]
    assert result["mohler"] == [("Why?", "So, it is", "so", 0.9)]
    students = [
        ("Why is it dark?", "The bulb is out.", "bulb out", 1.0),
        ("Why is it dark?", "The bulb is out.", "bulb is on", 0.0),
    ]
    assert result["beetle"] == result["scientsbank"] == students
    assert result["evouna"] == [("Which city?", "Rome", "Oslo", 0.0), ("Which city?", "Rome", "Rome", 1.0)]
    assert result["truthful"] == [("Is it?", "It is", "It is so", 1.0), ("Is it?", "It is", "It was", 0.0)]
    hand = {"It is indeed": 1.0, "It is not": 0.0, "Never": 0.0}
    assert {answer: mark for _, _, answer, mark in result["truthful_hand"]} == hand
    assert result["pandalm"] == [
        ("Name a fruit", "A fig", "Fig", pytest.approx(5 / 6)),
        ("Name a fruit", "A fig", "Fog", pytest.approx(1 / 6)),
    ]
    assert "liveqa: 2 answers to 1 questions" in capsys.readouterr().out


def test_another_file_than_the_pinned_one_is_refused(copies, tmp_path):
    (copies / "mohler").write_text("changed")
    with pytest.raises(SystemExit, match="another file than"):
        judged_sets.main([str(tmp_path / "out"), "--copies", str(copies), "--sets", "mohler"])
