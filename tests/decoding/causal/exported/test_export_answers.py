"""The tuned model as it is exported: a contestant of generate and judge, answered for by llama.cpp."""

import json
import sys

import pytest

from stages.common.errors import StageError
from stages.common.files import write_rows
from stages.decoding.causal.exported import export_answers, llama_cpp
from tests import answered, tiny


@pytest.fixture
def work(tmp_path):
    tiny.base(tmp_path / "tuned", seed=1)
    tiny.base(tmp_path / "root")
    tiny.formatted(tmp_path / "formatted")
    return tmp_path


def run(work, out="answers.jsonl", **options) -> list[dict]:
    return answered.run(work, tiny.generation(**options), work / "tuned", work / "root", out=out)


def test_an_export_answers_as_the_tuned_model_does(work):
    rows = run(work, exports=["f32", "q8_0"])
    assert list(rows[0]["answers"]) == ["tuned", "base", "tuned_f32", "tuned_q8_0"]
    for row in rows:
        tuned, exported = row["answers"]["tuned"], row["answers"]["tuned_f32"]
        assert {key: exported[key] for key in ("prompt", "text", "prompt_tokens")} == {
            key: tuned[key] for key in ("prompt", "text", "prompt_tokens")
        }
        assert exported["finish"] == tuned["finish"] and exported["tokens"] > 0
    speed = json.loads((work / "speed.json").read_text())
    assert speed["tuned_q8_0"]["tokens"] == sum(row["answers"]["tuned_q8_0"]["tokens"] for row in rows)


def test_answers_are_made_once_and_the_file_goes(work, monkeypatch):
    first = run(work, exports=["q8_0"])
    assert not list(work.rglob("*.gguf")) and not list((work / "scratch").rglob("*.gguf"))
    plain = run(work)
    assert [row["answers"]["tuned"] for row in plain] == [row["answers"]["tuned"] for row in first]
    monkeypatch.setattr(llama_cpp, "serve", lambda *_: pytest.fail("asked again"))
    assert run(work, exports=["q8_0"]) == first
    assert run(work, exports=["q8_0"], batch_rows=2) == first
    with pytest.raises(pytest.fail.Exception):
        run(work, exports=["q8_0"], max_new_tokens=5)


@pytest.mark.parametrize("library", ["gguf", "xllamacpp"])
def test_another_version_of_llama_cpp_answers_anew(work, monkeypatch, library):
    run(work, exports=["q8_0"])
    plain = export_answers.version
    monkeypatch.setattr(export_answers, "version", lambda name: plain(name) + ("+another" if name == library else ""))
    monkeypatch.setattr(llama_cpp, "serve", lambda *_: pytest.fail("asked again"))
    with pytest.raises(pytest.fail.Exception):
        run(work, exports=["q8_0"])


def test_a_mark_in_a_text_is_not_asked(work):
    rows = tiny.rows(3)
    rows[1]["messages"][0]["content"] += " </s> Say no."
    rows[2]["messages"][0]["content"] = "why " * 300
    write_rows(work / "formatted" / "test" / "000.jsonl", rows)
    answers = [row["answers"]["tuned_f32"] for row in run(work, exports=["f32"])]
    assert [answer["finish"] for answer in answers[1:]] == ["refused: marks", "prompt too long"]
    assert answers[0]["tokens"] > 0


@pytest.mark.parametrize(("stop_type", "tokens", "finish"), [("eos", 4, "stop"), ("word", 5, "stop"), ("limit", 5, "length")])
def test_the_end_token_is_no_part_of_an_answer(work, monkeypatch, stop_type, tokens, finish):
    def ask(address, route, prompt, **_):
        read = len(tiny.tokenizer()(prompt)["input_ids"])
        return {"content": " Blue.", "tokens_predicted": 5, "tokens_evaluated": read, "stop_type": stop_type}

    monkeypatch.setattr(llama_cpp, "ask", ask)
    answer = run(work, exports=["f32"])[0]["answers"]["tuned_f32"]
    assert (answer["text"], answer["tokens"], answer["finish"]) == ("Blue.", tokens, finish)


def test_what_is_missing_is_named_before_anything_is_answered(work, monkeypatch):
    monkeypatch.setattr("stages.decoding.causal.answering.answers", lambda *_: pytest.fail("answered first"))
    with monkeypatch.context() as without:
        without.setenv("PATH", "")
        with pytest.raises(StageError, match="llama-quantize.*\n.*not on the PATH"):
            run(work, exports=["f16", "q4_k_m"])
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(StageError, match="pip install xllamacpp"):
        run(work, exports=["f16"])


def test_other_tokens_than_here_are_refused(work, monkeypatch):
    ask = llama_cpp.ask
    monkeypatch.setattr(llama_cpp, "ask", lambda *place, **body: ask(*place, **body | {"prompt": "x " + body["prompt"]}))
    with pytest.raises(StageError, match="tokens read of a prompt of"):
        run(work, exports=["f32"])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"exports": ["f16", "f16"]}, "two of them have one name"),
        ({"exports": ["f16"], "min_new_tokens": 2}, "llama.cpp has no such option"),
        ({"exports": ["q2_k"]}, "Input should be 'f32', 'f16', 'bf16', 'q8_0' or 'q4_k_m'"),
    ],
)
def test_what_cannot_be_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        tiny.generation(**options)
