"""The tuned model behind a server of one's own: prompts as text, and the same tokens there as here."""

import shutil

import pytest

from affinage.commands import recipe
from stages.common.check_params import check
from stages.common.errors import StageError
from stages.common.params import read
from stages.decoding.causal.exported import llama_cpp
from stages.decoding.causal.exported.gguf_file import write_gguf
from stages.models.directory import load_tokenizer
from tests import answered, tiny
from tests.imports import ROOT
from tests.servers.loopback import Fault, Said


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    tiny.base(tmp_path / "tuned", seed=1)
    tiny.base(tmp_path / "root")
    tiny.formatted(tmp_path / "formatted")
    return tmp_path


def run(work, address, kind="vllm", out="answers.jsonl", **options) -> list[dict]:
    server = {"name": "fast", "kind": kind, "base_url": f"{address}/v1", "model": "mine"}
    return answered.run(work, tiny.generation(servers=[server], **options), work / "tuned", work / "root", out=out)


def counted(work):
    """A speaker that reads as many tokens as the tuned model's tokenizer."""
    tokenizer = load_tokenizer(work / "tuned")
    return lambda body: Said(" It is blue. END", prompt_tokens=len(tokenizer(body["prompt"])["input_ids"]), tokens=6)


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("vllm", {"add_special_tokens": False, "top_k": -1, "repetition_penalty": 1.3}),
        ("llama_cpp", {"top_k": 0, "repeat_penalty": 1.3, "min_p": 0.0}),
    ],
)
def test_it_is_asked_for_the_rendered_prompt_in_the_servers_own_names(work, serve, kind, own):
    server = serve(counted(work))
    rows = run(work, server.address, kind, repetition_penalty=1.3)
    assert server.wrong == [] and len(server.bodies) == 7
    assert {body["prompt"] for body in server.bodies} == {row["answers"]["tuned"]["prompt"] for row in rows}
    for body in server.bodies:
        assert {**own, "temperature": 0, "max_tokens": 12, "model": "mine"}.items() <= body.items()
    answer = rows[0]["answers"]["tuned_fast"]
    assert (answer["text"], answer["tokens"], answer["finish"]) == ("It is blue. END", 5, "stop")  # without the end token
    assert answer["prompt_tokens"] == rows[0]["answers"]["tuned"]["prompt_tokens"]


def test_answers_are_kept_until_the_model_is_trained_anew(work, serve):
    server = serve(counted(work))
    first = run(work, server.address)
    assert run(work, server.address) == first and len(server.bodies) == 7
    (work / "tuned" / "extra.txt").write_text("trained anew")
    run(work, server.address)
    assert len(server.bodies) == 14


def test_a_server_that_adds_tokens_is_refused(work, serve):
    with pytest.raises(StageError, match="1 tokens read of a prompt of"):
        run(work, serve(lambda body: Said("x", prompt_tokens=1)).address)


def test_a_server_that_tells_no_counts_is_refused(work, serve):
    with pytest.raises(StageError, match="None tokens read"):
        run(work, serve(lambda body: Said("x", tokens=None)).address)


def test_a_server_that_is_down_says_how_to_start_it(work, monkeypatch):
    from stages.servers import pool

    monkeypatch.setattr(pool, "pause", lambda *_: 0)
    with pytest.raises(StageError) as caught:
        run(work, "http://127.0.0.1:9")
    assert f"vllm serve {work / 'tuned'} --served-model-name mine" in str(caught.value)


def test_a_prompt_that_was_too_long_is_asked_again(work, serve):
    speak = counted(work)
    server = serve(lambda body: Fault(400, b'{"error": {"message": "longer than the maximum model length of 9"}}'))
    assert {row["answers"]["tuned_fast"]["finish"] for row in run(work, server.address)} == {"prompt too long"}
    server.speak = speak
    assert {row["answers"]["tuned_fast"]["finish"] for row in run(work, server.address)} == {"stop"}


def test_an_answer_that_was_broken_off_is_none(work, serve, monkeypatch):
    from stages.servers import pool

    monkeypatch.setattr(pool, "pause", lambda *_: 0)
    with pytest.raises(StageError, match="ended for the reason 'abort'"):
        run(work, serve(lambda body: Said("It", finish="abort")).address)


def test_an_unknown_model_is_named(work, serve):
    missing = Fault(404, b'{"error": {"message": "The model `mine` does not exist.", "code": 404}}')
    with pytest.raises(StageError, match="an address and a model that the server knows"):
        run(work, serve(lambda body: missing).address)


def test_llama_cpps_own_server_answers_as_the_tuned_model_does(work):
    server = llama_cpp.serve(write_gguf(work / "tuned", work / "gguf", "m", "f32"), 512)
    for row in run(work, server.listening_address, "llama_cpp"):
        served, tuned = (row["answers"][name] for name in ("tuned_fast", "tuned"))
        same = ("text", "tokens", "prompt_tokens", "finish")
        assert [served[key] for key in same] == [tuned[key] for key in same]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("exports", ["f16"]),
        ("servers", [{"name": "fast", "kind": "vllm", "base_url": "http://127.0.0.1:8000/v1", "model": "mine"}]),
    ],
)
def test_a_hosted_model_has_no_other_form(tmp_path, monkeypatch, key, value):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    recipe.apply("limericks_hosted", ROOT / "recipes")
    params, hosted = read(), "limericks_hosted"
    check(params, "params.yaml")
    params["models"][hosted]["generate"][key] = value
    with pytest.raises(StageError) as caught:
        check(params, "params.yaml")
    assert f"models.{hosted}.generate.{key}: a hosted model has no weights here" in caught.value.found


@pytest.mark.parametrize("address", ["127.0.0.1:8000/v1", "http://", "http://user@host/v1", "ftp://host/v1"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ValueError, match="base_url"):
        tiny.generation(servers=[{"name": "fast", "kind": "vllm", "base_url": address, "model": "mine"}])
