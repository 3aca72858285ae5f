"""A real llama.cpp server, embedded in a package, with the GGUF weights of the default base: judged through it end to end.

The weights are those that the base stage fetched (`.cache/base`), or those that AFFINAGE_GGUF names; without them, or where
the package has no wheel, the tests are skipped.
"""

import os
from pathlib import Path

import pytest

from stages.judging.asking import Asker
from stages.judging.prompt_files import INTEGER, SCORE, load
from stages.judging.server import asked
from stages.servers.chat_server import Options
from stages.servers.families import connect
from tests.imports import ROOT
from tests.judging.test_server import options
from tests.servers.llama import start

ROW = {
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "expected": "The capital of France is Paris.",
}


@pytest.fixture(scope="module")
def real():
    """Starts the server once; an object with its address."""
    llama = pytest.importorskip("xllamacpp")
    weights = [*map(Path, filter(None, [os.environ.get("AFFINAGE_GGUF")])), *(ROOT / ".cache" / "base").rglob("*.gguf")]
    if not weights:
        pytest.skip("no GGUF weights here: dvc repro base@smollm2, or set AFFINAGE_GGUF")
    server = start(llama, weights[0])
    yield type("Real", (), {"address": server.listening_address, "server": server})


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.mark.slow
def test_an_answer_by_schema(real):
    chat = connect("openai", f"{real.address}/v1", "smollm2", 120, 0)
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    options_ = Options(0, 1.0, 0, 1.0, 30, 1, schema=schema)
    reply = chat.ask([{"role": "user", "content": "Which colour is the sky? Answer in JSON."}], options_)
    assert not chat.refused and reply.finish == "stop" and set(reply.text.split('"')) & {"red", "blue"}
    assert reply.prompt_tokens > 10 and 0 < reply.tokens <= 30
    assert chat.ask([{"role": "user", "content": "Go on."}], Options(0, 1.0, 0, 1.0, 3, 1)).finish == "length"


@pytest.mark.slow
@pytest.mark.parametrize("prompt", ["score_100.v1", "rubric_5.v1"])
def test_two_answers_judged(real, prompt):
    judge = Asker("real", options(real, "openai", model="smollm2", timeout_seconds=200.0, max_tokens=120, concurrency=2), 1)
    wanted = load(prompt, (INTEGER, SCORE))
    verdicts = judge.ask(wanted, [asked(ROW, answer=text) for text in ("It is Paris.", "I like trains.")], "scores")
    for verdict in verdicts:  # the server keeps to the schema; so small a model's reasons may not end in time
        assert verdict.failed == "" or (prompt == "rubric_5.v1" and verdict.failed == "truncated")
        assert verdict.failed or (wanted.low <= verdict.value <= wanted.high and verdict.model.endswith(".gguf"))
        assert "/" not in verdict.model
