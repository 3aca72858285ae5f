"""Both clients, through the official packages, over real sockets: what is sent, what comes back, what goes wrong."""

import subprocess
import sys

import pytest

from stages.common.errors import StageError
from stages.servers.chat import MOST_BYTES, Options, Rejected, Unanswered, connect
from stages.servers.ollama_chat import was_cut
from tests.servers.loopback import DIGEST, Fault, Said

BOTH = pytest.mark.parametrize("provider", ["ollama", "openai"])
SCHEMA = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
KEY = "sk-very-secret"


def options(**changes) -> Options:
    return Options(
        **({"temperature": 0, "top_p": 0.9, "top_k": 7, "repetition_penalty": 1.2, "max_tokens": 20, "seed": 3} | changes)
    )


def chat(server, provider, seconds=5.0, num_ctx=512):
    return connect(provider, server.address + "/v1" * (provider == "openai"), "llama3", seconds, num_ctx)


def fault(serve, provider, said, seconds=5.0) -> Exception:
    """What asking raises when the server answers so."""
    with pytest.raises((Unanswered, Rejected, StageError)) as caught:
        chat(serve(lambda body: said), provider, seconds).ask(MESSAGES, options())
    return caught.value


@BOTH
def test_an_answer_with_its_counts(serve, provider):
    server = serve(lambda body: Said("Because.", prompt_tokens=12, tokens=3))
    reply = chat(server, provider).ask(MESSAGES, options())
    assert (reply.text, reply.finish, reply.prompt_tokens, reply.tokens) == ("Because.", "stop", 12, 3)
    assert reply.seconds > 0
    assert server.bodies[0]["messages"] == MESSAGES


@BOTH
def test_every_option_is_sent(serve, provider):
    server = serve(lambda body: Said("{}"))
    chat(server, provider).ask(MESSAGES, options(stop=(" END",), schema=SCHEMA))
    body = server.bodies[0]
    if provider == "ollama":
        assert body["format"] == SCHEMA and not body["stream"]
        assert body["options"] == {
            "temperature": 0,
            "top_p": 0.9,
            "top_k": 7,
            "repeat_penalty": 1.2,
            "num_predict": 20,
            "seed": 3,
            "num_ctx": 512,
            "stop": [" END"],
        }
    else:
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA
        sent = {name: body[name] for name in ("temperature", "top_p", "max_tokens", "seed", "stop")}
        assert sent == {"temperature": 0, "top_p": 0.9, "max_tokens": 20, "seed": 3, "stop": [" END"]}


@BOTH
def test_an_answer_cut_at_its_limit_says_so(serve, provider):
    assert chat(serve(lambda body: Said("Bec", "length")), provider).ask(MESSAGES, options()).finish == "length"


def test_refusals(serve):
    said = [Said("", refusal="I will not."), Said("", "content_filter")]
    server = serve(lambda body: said.pop())
    found = chat(server, "openai")
    assert [found.ask(MESSAGES, options()).finish for _ in range(2)] == ["refused", "refused"]


def test_a_server_without_schemas_is_asked_without(serve):
    def speak(body):
        return Fault(400, b'{"error": {"message": "no response_format here"}}') if "response_format" in body else Said("{}")

    server = serve(speak)
    found = chat(server, "openai")
    for _ in range(2):
        assert found.ask(MESSAGES, options(schema=SCHEMA)).text == "{}"
    found.ask(MESSAGES, options(schema={**SCHEMA, "title": "another"}))
    assert ["response_format" in body for body in server.bodies] == [True, False, False, True, False]


@BOTH
@pytest.mark.parametrize(
    ("status", "kind"), [(429, "rate_limited"), (500, "server_error"), (503, "server_error"), (408, "server_error")]
)
def test_statuses_that_pass(serve, provider, status, kind):
    error = fault(serve, provider, Fault(status, b'{"error": "busy"}', {"Retry-After": "7"}))
    assert (error.kind, error.wait) == (kind, 7)
    assert "busy" in error.reason


@BOTH
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_refused(serve, provider, status):
    error = fault(serve, provider, Fault(status, b'{"error": {"message": "exceeds the context length", "code": null}}'))
    assert isinstance(error, Rejected) and error.too_long


@BOTH
@pytest.mark.parametrize("status", [401, 403, 302, 418])
def test_statuses_that_stop_the_run(serve, provider, status):
    error = fault(serve, provider, Fault(status, b"go away", {"Location": "http://127.0.0.1:1/"}))
    assert isinstance(error, StageError) and f"status {status}" in str(error)


def test_an_account_without_quota_stops_the_run(serve):
    body = b'{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}'
    assert isinstance(fault(serve, "openai", Fault(429, body)), StageError)


def test_a_model_not_pulled(serve):
    error = fault(serve, "ollama", Fault(404, b'{"error": "model \'llama3\' not found"}'))
    assert error.fix == "ollama pull llama3"
    server = serve(lambda body: Said(""), models={"phi3:latest": DIGEST})
    with pytest.raises(StageError, match="there are: phi3:latest") as caught:
        chat(server, "ollama").identity()
    assert caught.value.fix == "ollama pull llama3"


def test_a_model_unknown_to_an_openai_server(serve):
    error = fault(serve, "openai", Fault(404, b'{"error": {"message": "The model does not exist", "code": "x"}}'))
    assert "The model does not exist" in error.found


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [{"finish_reason": "stop", "message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}}',
        b'{"choices": [{"finish_reason": "stop", "message": {"content": 5}}], "message": {"role": "a", "content": 5}}',
        b'{"message": {"role": "assist',
        b"[]",
        b"nonsense",
        b"{}",
        b"\xff\xfe",
        b'{"choices": []}',
        b'{"choices": "x", "message": 3}',
    ],
)
def test_answers_of_no_protocol(serve, provider, body):
    assert fault(serve, provider, Fault(200, body)).kind == "server_error"


@BOTH
def test_half_an_answer(serve, provider):
    assert fault(serve, provider, Fault(200, b'{"message": {"content": "Be"}}', cut=12)).kind == "server_error"


@BOTH
def test_an_endless_answer_is_not_read_to_its_end(serve, provider):
    assert fault(serve, provider, Fault(200, b" " * (MOST_BYTES + 100_000))).kind == "too_large"


@BOTH
def test_a_compressed_answer_is_not_unpacked(serve, provider):
    assert fault(serve, provider, Fault(200, b"x" * 50, {"Content-Encoding": "gzip"})).kind == "server_error"


@BOTH
def test_a_silent_server(serve, provider):
    assert fault(serve, provider, Fault(200, b"{}", stall=1.0), seconds=0.2).kind == "timeout"


@BOTH
def test_a_server_that_drips(serve, provider):
    """Every byte comes in time, the whole never does."""
    assert fault(serve, provider, Fault(200, b"{" + b" " * 100, stall=0.05), seconds=0.3).kind == "timeout"


@BOTH
def test_nobody_listens(provider, free_port, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = connect(provider, f"http://127.0.0.1:{free_port}", "llama3", 2.0, 512)
    with pytest.raises(Unanswered) as caught:
        found.ask(MESSAGES, options())
    assert caught.value.kind == "unreachable"
    fix = found.down(caught.value.reason).fix
    assert "ollama serve" in fix and "ollama pull llama3" in fix if provider == "ollama" else "base_url" in fix


def test_the_digest_tells_the_model(serve):
    server = serve(lambda body: Said(""), models={"llama3:latest": "b" * 64, "llama3:70b": "c" * 64})
    assert connect("ollama", server.address, "llama3", 5, 512).identity() == {"digest": "b" * 64}
    assert connect("ollama", server.address, "llama3:70b", 5, 512).identity() == {"digest": "c" * 64}


@pytest.mark.parametrize(
    ("read", "cut"), [(100, False), (492, False), (493, True), (512, True), (None, True), (20, True)], ids=str
)
def test_a_cut_prompt_is_noticed(serve, read, cut):
    """Of 600 bytes with 20 tokens for the answer and a context of 512: too much read, too little, or not told."""
    messages = [{"role": "user", "content": "word " * 120}]
    reply = chat(serve(lambda body: Said("x", prompt_tokens=read)), "ollama").ask(messages, options())
    assert (reply.finish == "prompt too long") == cut


def test_a_row_of_dashes_is_no_cut_prompt():
    """Tokenizers have tokens of many dashes, spaces or line ends."""
    assert not was_cut([{"role": "user", "content": "Is this good?\n" + "-" * 3000 + "\n" * 500}], 60, 4096, 20)


def test_a_short_prompt_needs_no_count():
    assert not was_cut(MESSAGES, None, 512, 20)


def test_the_key_is_sent_and_never_told(serve, monkeypatch):
    server = serve(lambda body: Fault(401, f"no access with {KEY}".encode()))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(StageError) as caught:
        chat(server, "openai").ask(MESSAGES, options())
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(caught.value) and "<key>" in str(caught.value)


def test_openai_itself_needs_a_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(StageError, match="OPENAI_API_KEY"):
        connect("openai", "", "gpt-4o-mini", 5, 0).ask(MESSAGES, options())


def test_ollama_host_is_heeded(serve, monkeypatch):
    server = serve(lambda body: Said("here"))
    monkeypatch.setenv("OLLAMA_HOST", server.address)
    assert connect("ollama", "", "llama3", 5, 512).ask(MESSAGES, options()).text == "here"


def test_no_client_is_loaded_where_none_is_used():
    """A run without servers starts as fast as before."""
    code = "import sys, stages.judging.asking; print({'openai', 'ollama'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
