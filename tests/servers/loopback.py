"""A server on the loopback interface that speaks as Ollama and as an OpenAI-compatible server do.

What it is asked and what it answers is checked against the descriptions of both (contracts.py); faults are sent as they are.
"""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers.contracts import problems

DIGEST = "a" * 64


@dataclass
class Said:
    """A reply. `finish`: stop, length or, by an OpenAI-compatible server, content_filter.

    Tokens read are told as one for four bytes unless said here; None: not told.
    """

    text: str
    finish: str = "stop"
    prompt_tokens: int | None = -1
    tokens: int | None = 5
    refusal: str | None = None
    thinking: str = ""


@dataclass
class Fault:
    """What goes wrong: a status with a body, the first `cut` bytes of it, or silence of `stall` seconds before each byte."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    stall: float = 0


Speaker = Callable[[dict], Said | Fault]


class Loopback:
    """Asks `speak(body)` what to answer; `bodies` are the chats asked for, `wrong` what broke a description.

    Args:
        models: names and digests that Ollama's list holds.
        parallel: answers at a time; the others wait in line, as with a real server.
        delay: seconds that one answer takes.
    """

    def __init__(self, speak: Speaker, models: dict[str, str] | None = None, parallel: int = 0, delay: float = 0):
        self.speak, self.models = speak, models if models is not None else {"llama3:latest": DIGEST}
        self.room, self.delay = threading.Semaphore(parallel) if parallel else nullcontext(), delay
        self.bodies: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.wrong: list[str] = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def asked(self) -> list[str]:
        """The last message of every chat asked for."""
        return [body["messages"][-1]["content"] for body in self.bodies]

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def chat(self, provider: str, body: dict, headers: dict) -> Said | Fault:
        with self.lock:
            self.bodies.append(body)
            self.headers.append(headers)
            self.wrong += problems(provider, REQUESTS[provider], body)
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        try:
            with self.room:
                time.sleep(self.delay)
                return self.speak(body)
        finally:
            with self.lock:
                self.busy -= 1

    def check(self, provider: str, name: str, data: dict) -> None:
        with self.lock:
            self.wrong += problems(provider, name, data)


REQUESTS = {"ollama": "ChatRequest", "openai": "CreateChatCompletionRequest", "completions": "CreateCompletionRequest"}


class _Handler(BaseHTTPRequestHandler):
    owner: Loopback
    protocol_version = "HTTP/1.1"  # connections are kept, as by real servers
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path != "/api/tags":
            return self.send(404, b'{"error": "no such page"}')
        listed = {"models": [{"name": name, "model": name, "digest": digest} for name, digest in self.owner.models.items()]}
        self.owner.check("ollama", "ListResponse", listed)
        return self.send(200, json.dumps(listed).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        provider = {"/api/chat": "ollama", "/v1/chat/completions": "openai", "/v1/completions": "completions"}[self.path]
        said = self.owner.chat(provider, body, {name.lower(): value for name, value in self.headers.items()})
        if isinstance(said, Fault):
            return self.fault(said)
        name, answer = {"ollama": ollama, "openai": openai, "completions": completions}[provider](body, said)
        self.owner.check(provider, name, answer)
        return self.send(200, json.dumps(answer).encode())

    def fault(self, fault: Fault) -> None:
        headers = {"Connection": "close", **fault.headers}
        if not fault.stall:
            return self.send(fault.status, fault.body, fault.cut, headers)
        self.send(fault.status, fault.body, 0, headers)
        for i in range(len(fault.body)):
            time.sleep(fault.stall)
            try:
                self.wfile.write(fault.body[i : i + 1])
            except OSError:
                return None
        return None

    def send(self, status: int, body: bytes, cut: int | None = None, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body[:cut])
        except OSError:  # the client has gone
            self.close_connection = True

    def log_message(self, *_) -> None:
        pass


def read(body: dict, said: Said) -> int | None:
    """Tokens of the prompt, as the server tells them."""
    size = sum(len(turn["content"].encode()) for turn in body["messages"])
    return size // 4 + 1 if said.prompt_tokens == -1 else said.prompt_tokens


def ollama(body: dict, said: Said) -> tuple[str, dict]:
    """As `/api/chat` answers."""
    counts = {"prompt_eval_count": read(body, said), "eval_count": said.tokens}
    return "ChatResponse", {
        "model": body["model"],
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": said.text} | ({"thinking": said.thinking} if said.thinking else {}),
        "done": True,
        "done_reason": said.finish,
        **{name: count for name, count in counts.items() if count is not None},
    }


def openai(body: dict, said: Said) -> tuple[str, dict]:
    """As `/v1/chat/completions` answers."""
    message = {"role": "assistant", "content": None if said.refusal else said.text, "refusal": said.refusal}
    message |= {"reasoning_content": said.thinking} if said.thinking else {}
    prompt = read(body, said)
    return "CreateChatCompletionResponse", {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1767225600,
        "model": f"{body['model']}-2026",
        "choices": [{"index": 0, "finish_reason": said.finish, "logprobs": None, "message": message}],
        **({} if said.tokens is None else {"usage": usage(prompt, said.tokens)}),
    }


def completions(body: dict, said: Said) -> tuple[str, dict]:
    """As `/v1/completions` answers; tokens read are told as one for four bytes unless said."""
    prompt = len(body["prompt"].encode()) // 4 + 1 if said.prompt_tokens == -1 else said.prompt_tokens
    return "CreateCompletionResponse", {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1767225600,
        "model": body["model"],
        "choices": [{"index": 0, "finish_reason": said.finish, "logprobs": None, "text": said.text}],
        **({} if said.tokens is None else {"usage": usage(prompt, said.tokens)}),
    }


def usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def texts(body: dict) -> list[str]:
    """The enclosed texts of a judge's prompt, in their order."""
    enclosed = re.findall(r"<(text-[0-9a-f]{16})>\n(.*?)\n</\1>", body["messages"][-1]["content"], re.DOTALL)
    return [text for _, text in enclosed]


def killed(work: Callable[[], object], reached: threading.Event) -> None:
    """Does `work()` in a process of its own, killed as soon as the server here says that it came so far."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    try:
        assert reached.wait(60)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def likeness(text: str, other: str) -> float:
    """Share of words in common, word order included: what a good judge may go by."""
    a, b = ({(x, y) for x, y in zip(words, words[1:], strict=False)} for words in (text.split(), other.split()))
    return len(a & b) / max(1, len(a | b))


def honest(body: dict) -> Said:
    """A judge that goes by likeness to the expected answer, whatever it is asked for."""
    _, expected, *answers = texts(body)
    near = [likeness(expected, answer) for answer in answers]
    asked = body["messages"][-1]["content"]
    if len(near) == 2:
        winner = "tie" if near[0] == near[1] else "A" if near[0] > near[1] else "B"
        return Said(json.dumps({"reasons": f"{near}", "winner": winner}))
    if '"score"' in asked:
        return Said(json.dumps({"reasons": f"likeness {near[0]:.2f}", "score": 1 + round(4 * near[0])}))
    return Said(str(round(100 * near[0])))
