"""A web server on the loopback interface that replays queued answers and records what it is asked."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """What one request gets.

    Args:
        body: its bytes.
        status: of HTTP.
        headers: beside Content-Length, which is the body's length unless said here.
        cut: bytes after which the connection is closed; None sends all.
        stall: seconds of silence before the last byte.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    stall: float = 0


class Server:
    """Answers by path: a list is replayed, its last answer for ever; a function is asked with the request's headers."""

    def __init__(self, port: int = 0):
        self.answers: dict[str, list[Answer] | Callable[[dict], Answer]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []  # path and headers
        self.times: dict[str, list[float]] = defaultdict(list)
        handler = type("Handler", (_Handler,), {"server_of_test": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def paths(self) -> list[str]:
        """What was asked for, robots.txt left out."""
        return [path for path, _ in self.requests if path != "/robots.txt"]

    def asked(self, path: str) -> list[dict[str, str]]:
        """The headers of every request for one path."""
        return [headers for asked, headers in self.requests if asked == path]

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_of_test: Server

    def do_GET(self) -> None:
        server = self.server_of_test
        headers = {name.lower(): value for name, value in self.headers.items()}
        server.requests.append((self.path, headers))
        server.times[self.path].append(time.monotonic())
        queue = server.answers.get(self.path, [Answer(b"nothing here", 404)])
        answer = queue(headers) if callable(queue) else queue.pop(0) if len(queue) > 1 else queue[0]
        self.send_response(answer.status)
        sent = {name.lower() for name in answer.headers}
        if answer.status != 304 and "content-length" not in sent and "transfer-encoding" not in sent:
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            if answer.stall:
                self.wfile.write(answer.body[:-1])
                self.wfile.flush()
                time.sleep(answer.stall)
                self.wfile.write(answer.body[-1:])
            else:
                self.wfile.write(answer.body[: answer.cut])
        except OSError:  # the client has gone
            pass
        self.close_connection = True

    def log_message(self, *_) -> None:
        pass


def with_ranges(body: bytes, etag: str, cuts: list[int], most: int = 1 << 30, **headers: str) -> Callable[[dict], Answer]:
    """A file that can be resumed, whose first answers break off after so many bytes each; a part has at most `most` bytes.

    A part comes with no more headers than RFC 9110 (15.3.7) asks for.
    """
    left = list(cuts)

    def answer(asked: dict) -> Answer:
        cut = left.pop(0) if left else None
        if "range" in asked and asked.get("if-range") == etag:
            start = int(asked["range"].removeprefix("bytes=").rstrip("-"))
            part = body[start : start + most]
            said = {"ETag": etag, "Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(body)}"}
            return Answer(part, 206, said, cut)
        return Answer(body, 200, {"ETag": etag, **headers}, cut)

    return answer
