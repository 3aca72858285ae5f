import email.utils
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import requests

from stages.common import http
from stages.common.errors import StageError
from tests.server import Answer

PATIENCE = http.Patience(connect_seconds=2.0, read_seconds=0.5, retries=3)


def send(server, path: str = "/a", patience=PATIENCE, **options) -> requests.Response:
    return http.Client(patience).send("GET", server.address + path, **options)


def date(seconds: float) -> str:
    return email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def test_an_answer_comes_back_and_the_project_is_named(server):
    server.answers["/a"] = [Answer(b"text")]
    assert send(server).content == b"text"
    assert server.requests[0][1]["user-agent"].startswith("affinage/")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_that_passes_is_tried_again(server, naps, status):
    server.answers["/a"] = [Answer(status=status), Answer(status=status), Answer(b"text")]
    assert send(server).content == b"text"
    assert 0.5 <= naps[0] <= 1 <= naps[1] <= 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_other_statuses_are_the_callers(server, naps, status):
    server.answers["/a"] = [Answer(b"why", status)]
    assert send(server).status_code == status
    assert (len(server.requests), naps) == (1, [])


def test_retry_after_in_seconds_is_obeyed(server, naps):
    server.answers["/a"] = [Answer(status=429, headers={"Retry-After": "7"}), Answer(b"text")]
    assert send(server).content == b"text"
    assert naps == [7]


def test_retry_after_as_a_date_is_obeyed(server, naps):
    server.answers["/a"] = [Answer(status=503, headers={"Retry-After": date(30)}), Answer(b"text")]
    assert send(server).content == b"text"
    assert 28 <= naps[0] <= 30


@pytest.mark.parametrize("said", ["", "soon", "-5", "٣", "Thu, 99 Foo 2020 00:00:00 GMT", "0"])
def test_retry_after_that_says_nothing_leaves_our_own_wait(server, naps, said):
    server.answers["/a"] = [Answer(status=503, headers={"Retry-After": said} if said.isascii() else {}), Answer(b"text")]
    assert send(server).content == b"text"
    assert 0.5 <= naps[0] <= 1


def test_a_date_gone_by_is_no_wait_at_all(server, naps):
    server.answers["/a"] = [Answer(status=503, headers={"Retry-After": date(-60)}), Answer(b"text")]
    send(server)
    assert naps[0] <= 1


def test_a_wait_beyond_reason_ends_with_what_was_asked(server, naps):
    server.answers["/a"] = [Answer(status=429, headers={"Retry-After": "86400"})]
    with pytest.raises(StageError, match="status 429[^$]*asks to wait 86400 s"):
        send(server)
    assert naps == []


def test_tries_end(server, naps):
    server.answers["/a"] = [Answer(status=500)]
    with pytest.raises(StageError, match=r"/a\n[^$]*status 500[^$]*after 4 tries"):
        send(server)
    assert len(server.requests) == 4
    assert len(naps) == 3


def test_nobody_there(naps, free_port):
    with pytest.raises(StageError, match="after 4 tries"):
        http.Client(PATIENCE).send("GET", f"http://127.0.0.1:{free_port}/")
    assert len(naps) == 3


def test_silence_ends_at_the_read_timeout_and_is_tried_again(server, naps):
    server.answers["/a"] = [Answer(b"slow", stall=3), Answer(b"text")]
    assert send(server).content == b"text"  # the silent answer would have been b"slow"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "nothing", "http://", "http://a\nb/", "http://[::1"])
def test_what_is_no_address_is_refused_at_once(url, naps):
    with pytest.raises(StageError):
        http.Client(PATIENCE).send("GET", url)
    assert naps == []


def test_cookies_are_not_kept_and_passwords_of_netrc_not_sent(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.answers["/a"] = [Answer(headers={"Set-Cookie": "a=b"})]
    client = http.Client(PATIENCE)
    for _ in range(2):
        client.send("GET", server.address + "/a")
    assert not any({"cookie", "authorization"} & set(headers) for headers in server.asked("/a"))


def test_tries_that_get_on_are_not_counted(naps):
    tries = Counter()

    def attempt():
        tries["all"] += 1
        if tries["all"] < 10:
            raise http.Again("cut", progress=True)
        return "done"

    assert http.Client(http.Patience(1, 1, 0)).persist("there", attempt) == "done"


def test_options_reach_the_request(server):
    server.answers["/a"] = [Answer(b"{}", headers={"Content-Type": "application/json"})]
    assert json.loads(send(server, headers={"X-Key": "k"}).content) == {}
    assert server.asked("/a")[0]["x-key"] == "k"
