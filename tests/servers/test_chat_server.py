"""Both clients, through the official packages, over real sockets: what is sent, what comes back, what goes wrong."""

import json
import subprocess
import sys

import pytest

from stages.common.errors import StageError
from stages.servers.chat_server import Options, separated
from stages.servers.failures import Rejected, Unanswered
from stages.servers.families import connect
from stages.servers.ollama_chat import was_cut
from stages.servers.wire import MOST_BYTES
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
    client = chat(server, "openai")
    assert [client.ask(MESSAGES, options()).finish for _ in range(2)] == ["refused", "refused"]


def test_a_server_without_schemas_is_asked_without(serve):
    def speak(body):
        return Fault(400, b'{"error": {"message": "no response_format here"}}') if "response_format" in body else Said("{}")

    server = serve(speak)
    client = chat(server, "openai")
    for _ in range(2):
        assert client.ask(MESSAGES, options(schema=SCHEMA)).text == "{}"
    client.ask(MESSAGES, options(schema={**SCHEMA, "title": "another"}))
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


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"choices": []}, "without choices"),
        ({"finish_reason": None}, "without finish_reason"),
        ({"content": [{"type": "text", "text": "so"}]}, "content that is no text but list"),
        ({"usage": {"prompt_tokens": "many", "completion_tokens": 1}}, "usage is no numbers"),
    ],
)
def test_what_an_answer_lacks_is_told(serve, changes, lacking):
    choice = {"finish_reason": changes.get("finish_reason", "stop"), "message": {"content": changes.get("content", "so")}}
    body = {"choices": changes.get("choices", [choice]), "usage": changes.get("usage")}
    assert lacking in fault(serve, "openai", Fault(200, json.dumps(body).encode())).reason


@BOTH
def test_a_failure_that_comes_with_status_200(serve, provider):
    error = fault(serve, provider, Fault(200, b'{"error": {"message": "slow down", "code": 429}}', {"Retry-After": "7"}))
    assert (error.kind, error.wait) == ("rate_limited", 7) and "slow down" in error.reason


def test_a_text_that_is_declined_is_not_asked_with_fewer_options(serve):
    server = serve(lambda body: openai_error("The prompt was filtered", "content_filter", "prompt"))
    with pytest.raises(Rejected) as caught:
        chat(server, "openai").ask(MESSAGES, options(schema=SCHEMA))
    assert caught.value.declined and len(server.bodies) == 1


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
    client = connect(provider, f"http://127.0.0.1:{free_port}", "llama3", 2.0, 512)
    with pytest.raises(Unanswered) as caught:
        client.ask(MESSAGES, options())
    assert caught.value.kind == "unreachable"
    fix = client.down(caught.value.reason).fix
    assert "ollama serve" in fix and "ollama pull llama3" in fix if provider == "ollama" else "base_url" in fix


def test_the_digest_tells_the_model(serve):
    server = serve(lambda body: Said(""), models={"llama3:latest": "b" * 64, "llama3:70b": "c" * 64})
    assert connect("ollama", server.address, "llama3", 5, 512).identity() == {"digest": "b" * 64}
    assert connect("ollama", server.address, "llama3:70b", 5, 512).identity() == {"digest": "c" * 64}


@pytest.mark.parametrize(
    ("read", "cut"), [(300, False), (492, False), (493, True), (512, True), (None, True), (100, True)], ids=str
)
def test_a_cut_prompt_is_noticed(serve, read, cut):
    """Of 2,000 bytes with 20 tokens for the answer and a context of 512: too much read, too little, or not told."""
    messages = [{"role": "user", "content": "word " * 400}]
    reply = chat(serve(lambda body: Said("x", prompt_tokens=read)), "ollama").ask(messages, options())
    assert (reply.finish == "prompt too long") == cut


def test_a_row_of_dashes_is_no_cut_prompt():
    """Tokenizers have tokens of many dashes, spaces or line ends."""
    assert not was_cut([{"role": "user", "content": "Is this good?\n" + "-" * 3000 + "\n" * 500}], 60, 4096, 20)


@pytest.mark.parametrize("read", [None, 0, 1, 30])
def test_a_prompt_that_fits_needs_no_count(read):
    """Older servers count what they did not know from the prompt before, or say nothing."""
    assert not was_cut([{"role": "user", "content": "word " * 120}], read, 512, 20)


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


# options that a server refuses -----------------------------------------------------------------------------------------


def openai_error(message: str, code: str | None = None, param: str | None = None, status: int = 400) -> Fault:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Fault(status, json.dumps({"error": error}).encode())


FINICKY = {  # what is refused, and how a server says so
    "temperature, by its parameter": (
        lambda body: body.get("temperature", 1) != 1,
        openai_error(
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
            "unsupported_value",
            "temperature",
        ),
        "temperature",
    ),
    "temperature, in words": (
        lambda body: "temperature" in body,
        Fault(400, b'{"error": "litellm.UnsupportedParamsError: model-x does not support temperature=0"}'),
        "temperature",
    ),
    "seed, by a validator": (
        lambda body: "seed" in body,
        Fault(
            422, b'{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}'
        ),
        "seed",
    ),
    "stop": (
        lambda body: "stop" in body,
        openai_error("Unsupported parameter: 'stop' is not supported with this model.", "unsupported_parameter", "stop"),
        "stop",
    ),
    "the schema": (
        lambda body: "response_format" in body,
        openai_error("Invalid schema for response_format", None, "response_format.json_schema"),
        "response_format",
    ),
    "one of two": (
        lambda body: "temperature" in body and "top_p" in body,
        openai_error("`temperature` and `top_p` cannot both be specified for this model."),
        "top_p",
    ),
}


@pytest.mark.parametrize("habit", FINICKY)
def test_an_option_that_a_server_refuses_is_left_out_and_recorded(serve, habit, capsys):
    refuses, refusal, left_out = FINICKY[habit]
    server = serve(lambda body: refusal if refuses(body) else Said("{}"))
    client = chat(server, "openai")
    replies = [client.ask(MESSAGES, options(stop=(" END",), schema=SCHEMA)) for _ in range(2)]
    assert [reply.left_out for reply in replies] == [(left_out,)] * 2
    assert [left_out in body for body in server.bodies] == [True, False, False]
    assert capsys.readouterr().err.count(f"refuses {left_out}") == 1


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_limit_of_tokens_goes_by_the_name_that_the_server_knows(serve, name, monkeypatch):
    other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}[name]
    refusal = openai_error(f"Unsupported parameter: '{other}'. Use '{name}' instead.", "unsupported_parameter", other)
    server = serve(lambda body: refusal if other in body else Said("so"))
    client = chat(server, "openai")
    client.limit = other
    for _ in range(2):
        assert client.ask(MESSAGES, options()).left_out == ()
    assert [name in body for body in server.bodies] == [False, True, True]


def test_a_limit_that_is_refused_under_both_names_stops_the_run(serve):
    def speak(body):
        name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
        return openai_error(f"{name} is too large: 20000", "invalid_value", name)

    with pytest.raises(StageError, match="lower max_tokens"):
        chat(serve(speak), "openai").ask(MESSAGES, options())


def test_a_server_that_names_nothing_is_asked_without_all_that_is_optional(serve):
    def speak(body):
        return Fault(400, b"bad request") if "seed" in body else Said("so")

    server = serve(speak)
    client = chat(server, "openai")
    assert client.ask(MESSAGES, options(schema=SCHEMA)).left_out == ("response_format", "seed", "temperature", "top_p")
    client.ask(MESSAGES, options(schema=SCHEMA))
    assert len(server.bodies) == 4


def test_a_row_that_is_refused_for_its_own_sake_is_asked_once(serve):
    server = serve(lambda body: Said("so") if len(server.bodies) == 1 else Fault(400, b"bad words"))
    client = chat(server, "openai")
    client.ask(MESSAGES, options(schema=SCHEMA))
    with pytest.raises(Rejected, match="bad words"):
        client.ask(MESSAGES, options(schema=SCHEMA))
    assert len(server.bodies) == 2
    assert client.refused == {}


def test_ollama_without_schemas(serve):
    server = serve(lambda body: Fault(400, b'{"error": "invalid format: expected json"}') if body.get("format") else Said("5"))
    client = chat(server, "ollama")
    assert [client.ask(MESSAGES, options(schema=SCHEMA)).left_out for _ in range(2)] == [("format",)] * 2
    assert len(server.bodies) == 3


# thinking --------------------------------------------------------------------------------------------------------------


@BOTH
def test_thinking_that_the_server_tells_apart(serve, provider):
    reply = chat(serve(lambda body: Said("5", thinking=" Two and three. ")), provider).ask(MESSAGES, options())
    assert (reply.text, reply.thinking) == ("5", "Two and three.")


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("5", "", "5"),
        ("<think>Two and three.</think>5", "Two and three.", "5"),
        ("\n<think>\nTwo.\n</think>\n\n5\n", "Two.", "5"),
        ("<Thinking>Two.</Thinking> 5", "Two.", "5"),
        ("Two and three.\n</think>\n5", "Two and three.", "5"),  # the template opened it
        ("<think>It says </think> here.</think>5", "It says </think> here.", "5"),
        ("<think>Two and", "Two and", ""),
        ("<think></think>5", "", "5"),
        ("[THINK]Two.[/THINK]5", "Two.", "5"),
        ("◁think▷Two.◁/think▷5", "Two.", "5"),
        ("<seed:think>Two.</seed:think>5", "Two.", "5"),
        ("<|channel|>analysis<|message|>Two.<|end|><|channel|>final<|message|>5", "Two.<|end|>", "5"),
        ("The mark <think> is named", "", "The mark <think> is named"),
    ],
)
def test_thinking_that_stands_in_the_text(text, thought, answer):
    assert separated(text) == (thought, answer)


# what a refusal means --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "x", "code": "context_length_exceeded"}),
        (400, {"message": "x", "type": "exceed_context_size_error", "code": 400}),
        (500, {"message": "x", "code": "context_length_exceeded"}),
        (400, {"message": "litellm.ContextWindowExceededError: the context window of this model is smaller"}),
        (400, {"message": "prompt is too long: 200000 tokens > 100000 maximum"}),
        (400, {"message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}),
        (400, {"message": "This model's maximum context length is 2048 tokens; 'max_tokens' is too large"}),
        (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 1500"),
        (413, {"message": "Payload Too Large"}),
        (400, "Trying to keep the first 5000 tokens when context the overflows: context overflow"),
    ],
    ids=str,
)
def test_a_prompt_that_does_not_fit(serve, status, error):
    error_ = fault(serve, "openai", Fault(status, json.dumps({"error": error}).encode()))
    assert isinstance(error_, Rejected) and error_.too_long


@BOTH
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "x", "code": "model_not_found"}}),
        (400, {"error": {"message": "x", "param": "model"}}),
        (400, {"error": {"message": "Invalid model name passed in model=gpt-x. Call `/v1/models` to view available models"}}),
        (400, {"error": "model 'llama9' not found"}),
        (400, {"error": {"message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}),
        (400, {"error": {"message": "x", "code": "invalid_api_key"}}),
        (429, {"error": {"message": "x", "code": "insufficient_quota"}}),
        (402, {"error": {"message": "Insufficient Balance"}}),
        (422, {"detail": [{"loc": ["body", "model"], "msg": "unknown model"}]}),
        (400, [{"error": {"code": 400, "message": "API key expired", "status": "INVALID_ARGUMENT"}}]),
    ],
    ids=str,
)
def test_what_names_the_model_the_key_or_the_account_stops_the_run(serve, provider, status, body):
    assert isinstance(fault(serve, provider, Fault(status, json.dumps(body).encode())), StageError)


def test_a_server_elsewhere_is_started_there():
    assert "on the machine of http://gpu:11434" in connect("ollama", "http://gpu:11434", "llama3", 5, 512).down("gone").fix
    assert "vllm" not in connect("openai", "", "gpt-4o", 5, 0).down("gone").fix


@BOTH
@pytest.mark.parametrize("reason", ["error", "abort", "load", "unload", "network_error"])
def test_an_answer_that_the_server_broke_off_is_none(serve, provider, reason):
    error = fault(serve, provider, Said("Because it", finish=reason))
    assert error.kind == "server_error" and repr(reason) in error.reason


@BOTH
@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("RECITATION", "refused"),
        ("model_context_window_exceeded", "length"),
        ("STOP", "stop"),
        ("eos_token", "stop"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("safety", "refused"),
    ],
)
def test_ends_in_the_words_of_other_servers(serve, provider, reason, finish):
    server = serve(lambda body: Said("Because.", finish=reason))
    assert chat(server, provider).ask(MESSAGES, options()).finish == finish
