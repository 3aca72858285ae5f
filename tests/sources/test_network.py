"""What a network does to a whole source: names that are not known, servers that go away and come back."""

import socket

import pytest

from stages import scrape
from stages.common.errors import StageError
from stages.common.schema import Scrape
from tests.data_helpers import jsonl, web_params
from tests.server import Answer, Server

ROW = b'{"question": "q", "answer": "a"}\n'


def run(tmp_path, urls: dict[str, str], **changes) -> int:
    """Scrape one web source; how many rows there are."""
    params = Scrape.model_validate({"sources": {"web": web_params(urls, **changes)}})
    scrape.main("set", params, scrape.Paths(tmp_path / "none", tmp_path / "raw"))
    return sum(len(jsonl(path)) for path in (tmp_path / "raw" / "web").rglob("*.jsonl"))


def test_a_name_that_is_not_known_is_tried_again_and_then_told(tmp_path, naps, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(StageError, match="data.example.org.*\n.*Name or service not known.*after 3 tries"):
        run(tmp_path, {"a.jsonl": "http://data.example.org/a"}, retries=2)
    assert len(naps) == 2
    assert not (tmp_path / "raw").exists()


def test_a_server_that_restarts_during_a_run_costs_no_file_twice(tmp_path, server, monkeypatch):
    """It goes away with the third file, and is back after the second wait."""
    names = [f"{i}.jsonl" for i in range(6)]
    port, waits, later = server.http.server_port, [], []

    def gone(_: dict) -> Answer:
        server.http.socket.close()  # the listening one: what comes is refused
        return Answer(ROW, cut=3)

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            server.close()
            later.append(Server(port))
            later[0].answers.update({f"/{name}": [Answer(ROW)] for name in names})

    server.answers.update({f"/{name}": [Answer(ROW)] for name in names} | {"/2.jsonl": gone})
    monkeypatch.setattr("stages.common.http.sleep", wait)
    assert run(tmp_path, {name: f"{server.address}/{name}" for name in names}) == len(names)
    assert server.paths() == ["/0.jsonl", "/1.jsonl", "/2.jsonl"]
    assert later[0].paths() == ["/2.jsonl", "/3.jsonl", "/4.jsonl", "/5.jsonl"]
    later[0].close()
