import gzip
import hashlib
import threading
import time
import zlib
from pathlib import Path

import pytest

from stages import scrape
from stages.common.errors import StageError
from stages.common.files import read_json
from stages.common.schema import Scrape
from stages.sources import visitor
from tests.data_helpers import jsonl, web_params
from tests.server import Answer, Server, with_ranges

ROW = b'{"question": "q", "answer": "a"}\n'
LINES = {"reader": "lines", "columns": {"name": "name"}}


@pytest.fixture
def site(server, naps) -> Server:
    server.answers["/a"] = [Answer(ROW)]
    return server


def run(tmp_path, urls: dict[str, str], out: str = "raw", **changes) -> list[dict]:
    """Scrape one web source; the rows of all its files."""
    params = Scrape.model_validate({"sources": {"web": web_params(urls, **changes)}})
    scrape.main("set", params, scrape.Paths(tmp_path / "none", tmp_path / out))
    return [row for path in sorted((tmp_path / out / "web").rglob("*.jsonl")) for row in jsonl(path)]


def index(tmp_path) -> dict:
    return read_json(tmp_path / "raw" / "sources.json")["sources"]["web"]


def names(tmp_path, server, path: str = "/a", **changes) -> list[str]:
    return [row["name"] for row in run(tmp_path, {"a": server.address + path}, **LINES | changes)]


def refused(tmp_path, server, path: str = "/a", **changes) -> str:
    with pytest.raises(StageError) as caught:
        names(tmp_path, server, path, **changes)
    assert not (tmp_path / "raw").exists()
    return str(caught.value)


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_file_is_read_and_where_it_is_from_is_kept(tmp_path, site):
    site.answers["/a"] = [Answer(ROW, headers={"ETag": '"1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})]
    assert run(tmp_path, {"rows.jsonl": f"{site.address}/a"}) == [
        {"id": "web/rows.jsonl#1", "instruction": "q", "response": "a"}
    ]
    assert index(tmp_path) == {
        "kind": "web",
        "licence": "CC0-1.0",
        "yields": "rows",
        "left_out": {},
        "files": [
            {
                "file": "rows.jsonl",
                "url": f"{site.address}/a",
                "final_url": f"{site.address}/a",
                "etag": '"1"',
                "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT",
                "sha256": hash_of(ROW),
                "bytes": len(ROW),
                "rows": 1,
                "bad_lines": 0,
            }
        ],
    }


def test_a_rerun_needs_no_network_and_gives_the_same_bytes(tmp_path, site):
    urls = {"a": f"{site.address}/a"}
    run(tmp_path, urls)
    before = {path: path.read_bytes() for path in (tmp_path / "raw").rglob("*.json*")}
    site.close()
    run(tmp_path, urls)
    assert {path: path.read_bytes() for path in (tmp_path / "raw").rglob("*.json*")} == before


def test_a_damaged_cache_is_not_believed(tmp_path, site, own_scratch):
    names(tmp_path, site)
    (body,) = own_scratch.rglob("body-*")
    body.write_bytes(b"other")
    assert names(tmp_path, site) == [ROW.decode().strip()]
    assert len(site.paths()) == 2


# robots.txt and speed ------------------------------------------------------------------------------------------------


def test_robots_txt_is_asked_first_and_once(tmp_path, site):
    site.answers["/b"] = [Answer(ROW)]
    run(tmp_path, {"a": f"{site.address}/a", "b": f"{site.address}/b"})
    assert [path for path, _ in site.requests] == ["/robots.txt", "/a", "/b"]


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        (b"User-agent: *\nDisallow: /a", False),
        (b"User-agent: *\nDisallow: /\n\nUser-agent: affinage\nAllow: /", True),
        (b"User-agent: *\nAllow: /\n\nUser-agent: Affinage\nDisallow: /", False),
        (b"User-agent: *\nDisallow: /\nAllow: /a$", True),
        (b"User-agent: *\nDisallow: /*a", False),
        (b"\xef\xbb\xbfUser-agent: *\nDisallow: /a", False),
        (b"User-agent: affinage/0.1\nDisallow: /a", False),
        (b"User-agent: *\n#" + b"#" * (visitor.ROBOTS_BYTES - 26) + b"\nDisallow: /b\n", True),  # half a rule forbids all
        (b"<html>\xff\x00 not found", True),
        (b"", True),
    ],
)
def test_robots_txt_is_obeyed(tmp_path, site, rules, allowed):
    site.answers["/robots.txt"] = [Answer(rules)]
    if allowed:
        assert names(tmp_path, site)
    else:
        assert "robots.txt forbids it" in refused(tmp_path, site)
        assert site.paths() == []


@pytest.mark.parametrize("status", [500, 501, 507, 520, 599])
def test_robots_txt_of_a_server_in_trouble_forbids(tmp_path, site, status):
    site.answers["/robots.txt"] = [Answer(status=status)]
    assert f"robots.txt\n  found:    status {status}" in refused(tmp_path, site)
    assert site.paths() == []


@pytest.mark.parametrize("status", [520, 524, 529])
def test_trouble_of_a_gateway_passes(tmp_path, site, status):
    site.answers["/a"] = [Answer(status=status), Answer(b"one\n")]
    assert names(tmp_path, site) == ["one"]


def test_two_lengths_that_differ_are_the_servers_fault(tmp_path, site):
    site.answers["/a"] = [Answer(b"one\n", headers={"Content-Length": "4, 40"})]
    assert "expected: an answer" in refused(tmp_path, site)


def test_robots_txt_counts_where_a_redirect_leads(tmp_path, site):
    other = Server()
    try:
        other.answers = {"/robots.txt": [Answer(b"User-agent: *\nDisallow: /b")], "/b": [Answer(ROW)]}
        site.answers["/a"] = [Answer(status=302, headers={"Location": f"{other.address}/b"})]
        assert f"{other.address}/robots.txt forbids it" in refused(tmp_path, site)
        assert other.paths() == []
    finally:
        other.close()


class Clock:
    """Stands in for `time`: it goes on while someone sleeps and at no other time, and lists the sleeps."""

    def __init__(self):
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))

    def monotonic(self) -> float:
        return 100 + sum(self.slept)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(visitor, "time", stopped)
    return stopped


def test_a_host_is_not_hurried(tmp_path, site, clock):
    for name in "abc":
        site.answers[f"/{name}"] = [Answer(ROW)]
    run(tmp_path, {name: f"{site.address}/{name}" for name in "abc"}, per_host_seconds=0.2)
    assert clock.slept == [0, 0.2, 0.2, 0.2]  # robots.txt is the first


def test_a_longer_crawl_delay_is_obeyed(tmp_path, site, clock):
    site.answers["/robots.txt"] = [Answer(b"User-agent: *\nCrawl-delay: 0.4")]
    site.answers["/b"] = [Answer(ROW)]
    run(tmp_path, {"a": f"{site.address}/a", "b": f"{site.address}/b"})
    assert clock.slept[-1] == 0.4


@pytest.mark.parametrize("delay", ["61", "3600", "1e12"])
def test_a_crawl_delay_beyond_the_time_limit_is_said_at_once(tmp_path, site, clock, delay):
    site.answers["/robots.txt"] = [Answer(f"User-agent: *\nCrawl-delay: {delay}".encode())]
    site.answers["/b"] = [Answer(ROW)]
    with pytest.raises(StageError, match=r"/robots\.txt asks for a Crawl-delay of [^$]*total_seconds, 60 s"):
        run(tmp_path, {"a": f"{site.address}/a", "b": f"{site.address}/b"})
    assert set(clock.slept) == {0}


@pytest.mark.parametrize("delay", ["nan", "-3", "inf", "-1e12", "soon", "1e999"])
def test_a_crawl_delay_that_is_none_is_no_delay(tmp_path, site, clock, delay):
    site.answers["/robots.txt"] = [Answer(f"User-agent: *\nCrawl-delay: {delay}".encode())]
    site.answers["/b"] = [Answer(ROW)]
    assert len(run(tmp_path, {"a": f"{site.address}/a", "b": f"{site.address}/b"})) == 2
    assert set(clock.slept) == {0}


@pytest.mark.parametrize(("at_once", "together"), [(1, 1), (3, 3)])
def test_so_many_hosts_at_once_and_each_alone(tmp_path, server, naps, at_once, together):
    servers, lock, state = [Server() for _ in range(3)], threading.Lock(), {"now": 0, "most": 0}

    def slow(_) -> Answer:
        with lock:
            state["now"] += 1
            state["most"] = max(state["most"], state["now"])
        time.sleep(0.2)
        with lock:
            state["now"] -= 1
        return Answer(ROW)

    try:
        urls = {}
        for number, listener in enumerate(servers):
            listener.answers = {"/a": slow, "/b": slow}
            urls |= {f"a{number}": f"{listener.address}/a", f"b{number}": f"{listener.address}/b"}
        rows = run(tmp_path, urls, hosts_at_once=at_once)
    finally:
        for listener in servers:
            listener.close()
    assert [row["id"] for row in rows] == [f"web/{file}#1" for file in sorted(urls)]
    assert state["most"] == together


def test_the_operators_are_told_whom_to_ask(tmp_path, site):
    names(tmp_path, site, contact="me@example.org")
    agents = [headers["user-agent"] for _, headers in site.requests]
    assert agents and all("affinage" in agent and "me@example.org" in agent for agent in agents)


# failures that pass --------------------------------------------------------------------------------------------------


def test_429_with_retry_after_and_500_then_200(tmp_path, site, naps):
    site.answers["/a"] = [Answer(status=429, headers={"Retry-After": "3"}), Answer(status=500), Answer(b"name")]
    assert names(tmp_path, site) == ["name"]
    assert naps[0] == 3


def test_a_body_that_stalls_is_taken_up_again(tmp_path, site):
    site.answers["/a"] = [Answer(b"name\nother", stall=3), Answer(b"name\nother")]
    assert names(tmp_path, site, read_seconds=0.3) == ["name", "other"]


def test_a_download_that_takes_too_long_is_given_up_and_goes_on_later(tmp_path, site):
    site.answers["/a"] = [Answer(b"x" * 10, stall=0.5)]
    assert "not whole after 0.2 s" in refused(tmp_path, site, total_seconds=0.2)


def test_a_cut_body_is_resumed_where_it_was_cut(tmp_path, site):
    body = bytes(range(33, 127)) * 2000
    site.answers["/a"] = with_ranges(body, '"v1"', [50_000, 30_000])
    assert names(tmp_path, site, retries=0) == [body.decode()]  # tries that bring something are not counted
    ranges = [said.get("range") for said in site.asked("/a")]
    assert ranges == [None, "bytes=50000-", "bytes=80000-"]


def test_a_gzipped_cut_body_is_resumed_too(tmp_path, site):
    body = "\n".join(f"name {number}" for number in range(5000)).encode()
    packed = gzip.compress(body, mtime=0)
    site.answers["/a"] = with_ranges(packed, '"v1"', [len(packed) // 2], **{"Content-Encoding": "gzip"})
    assert names(tmp_path, site) == body.decode().split("\n")
    assert site.asked("/a")[1]["range"] == f"bytes={len(packed) // 2}-"


def test_what_was_said_of_a_cut_body_holds_for_the_rest(tmp_path, site):
    said = {"Content-Type": "text/plain; charset=latin-1", "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    site.answers["/a"] = with_ranges("name é".encode("latin-1"), '"v1"', [3], **said)
    assert names(tmp_path, site, encoding="auto") == ["name é"]
    assert index(tmp_path)["files"][0]["last_modified"] == said["Last-Modified"]


def test_a_server_that_gives_smaller_parts_is_asked_for_the_rest(tmp_path, site):
    site.answers["/a"] = with_ranges(b"n" * 100, '"v1"', [10], most=30)
    assert names(tmp_path, site, retries=0) == ["n" * 100]
    assert [said.get("range") for said in site.asked("/a")] == [None, "bytes=10-", "bytes=40-", "bytes=70-"]


def test_a_kill_between_two_tries_loses_nothing(tmp_path, site):
    body = b"x" * 100_000
    site.answers["/a"] = with_ranges(body, '"v1"', [60_000])
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("stages.common.http.sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        names(tmp_path, site)
    assert names(tmp_path, site) == [body.decode()]
    assert site.asked("/a")[1]["range"] == "bytes=60000-"


def test_a_file_that_changed_in_between_starts_anew(tmp_path, site):
    old, new = with_ranges(b"a" * 1000, '"v1"', [500]), with_ranges(b"b" * 1000, '"v2"', [])
    turns = iter([old])
    site.answers["/a"] = lambda said: next(turns, new)(said)
    assert names(tmp_path, site) == ["b" * 1000]


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
def test_without_a_strong_validator_a_cut_body_starts_anew(tmp_path, site, etag):
    said = {"ETag": etag} if etag else {}
    site.answers["/a"] = [Answer(b"name", headers=said, cut=2), Answer(b"other", headers=said)]
    assert names(tmp_path, site) == ["other"]
    assert "range" not in site.asked("/a")[1]


@pytest.mark.parametrize("wrong", ["bytes 0-99/100", "bytes 49-99/100", "nonsense", ""])
def test_another_part_than_asked_for_is_not_glued_on(tmp_path, site, wrong):
    whole = with_ranges(b"n" * 100, '"v1"', [50])
    site.answers["/a"] = lambda said: Answer(b"x" * 50, 206, {"Content-Range": wrong}) if "range" in said else whole(said)
    assert names(tmp_path, site) == ["n" * 100]


def test_a_range_that_cannot_be_had_starts_anew(tmp_path, site):
    whole = with_ranges(b"n" * 100, '"v1"', [50])
    site.answers["/a"] = lambda said: Answer(status=416) if "range" in said else whole(said)
    assert names(tmp_path, site) == ["n" * 100]


def test_a_body_in_chunks_is_whole_only_with_its_last_one(tmp_path, site):
    headers = {"Transfer-Encoding": "chunked"}
    chunks = b"4\r\nname\r\n4\r\n two\r\n0\r\n\r\n"
    site.answers["/a"] = [
        Answer(chunks, headers=headers, cut=9),
        Answer(chunks, headers=headers, cut=17),
        Answer(chunks, headers=headers),
    ]
    assert names(tmp_path, site) == ["name two"]
    assert len(site.paths()) == 3


def test_a_kill_while_noting_what_comes_starts_anew(tmp_path, site, own_scratch):
    site.answers["/a"] = with_ranges(b"n" * 100, '"v1"', [50])
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("stages.common.http.sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        names(tmp_path, site)
    (about,) = own_scratch.rglob("partial.json")
    about.write_text('{"valid')
    assert names(tmp_path, site) == ["n" * 100]
    assert "range" not in site.asked("/a")[1]


# redirects, sizes, encodings -----------------------------------------------------------------------------------------


def test_redirects_are_followed_and_the_last_address_kept(tmp_path, site):
    site.answers |= {"/a": [Answer(status=301, headers={"Location": "b?c=d"})], "/b?c=d": [Answer(b"name")]}
    assert names(tmp_path, site) == ["name"]
    assert index(tmp_path)["files"][0]["final_url"] == f"{site.address}/b?c=d"


def test_a_redirect_loop_ends(tmp_path, site):
    site.answers |= {
        "/a": [Answer(status=302, headers={"Location": "/b"})],
        "/b": [Answer(status=302, headers={"Location": "/a"})],
    }
    assert "at most 5" in refused(tmp_path, site)
    assert len(site.paths()) == 6


def test_the_body_of_a_redirect_is_not_waited_for(tmp_path, site):
    site.answers |= {"/a": [Answer(b"xx", 302, {"Location": "/b"}, stall=60)], "/b": [Answer(b"name")]}
    begin = time.monotonic()
    assert names(tmp_path, site) == ["name"]
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/a", "http://me:pw@example.org/", "http://[::1"])
def test_a_redirect_to_no_web_address_is_refused(tmp_path, site, target):
    site.answers["/a"] = [Answer(status=302, headers={"Location": target})]
    assert "http and https addresses without passwords" in refused(tmp_path, site)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "10.0.0.1", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_private_addresses_are_refused_unless_allowed(tmp_path, naps, host):
    with pytest.raises(StageError, match="a private address[^$]*allow_private"):
        run(tmp_path, {"a": f"http://{host}/a"}, allow_private=False, **LINES)


def test_a_name_that_turns_out_to_be_private_is_refused_when_connected(tmp_path, site, monkeypatch):
    monkeypatch.setattr(visitor, "private", lambda host: host[0].isdigit())  # `localhost` looks public, 127.0.0.1 does not
    with pytest.raises(StageError, match=r"a private address: [^$]*at 127\.0\.0\.1"):
        run(tmp_path, {"a": site.address.replace("127.0.0.1", "localhost") + "/a"}, allow_private=False, **LINES)
    assert site.requests == []


@pytest.mark.parametrize("host", ["8.8.8.8", "example.org", "2606:4700::1111", "local.example"])
def test_public_addresses(host):
    assert not visitor.private(host)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "-"}])
def test_a_body_beyond_the_limit_is_refused(tmp_path, site, headers):
    site.answers["/a"] = [Answer(b"x" * 1001, headers=headers)]
    assert "at most 1000" in refused(tmp_path, site, max_bytes=1000)


def test_a_bomb_is_refused(tmp_path, site):
    site.answers["/a"] = [Answer(gzip.compress(bytes(10_000_000)), headers={"Content-Encoding": "gzip"})]
    assert "at most 1000000" in refused(tmp_path, site)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZip", lambda data: gzip.compress(data[:3]) + gzip.compress(data[3:])),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),  # without its header
        ("gzip, gzip", lambda data: gzip.compress(gzip.compress(data))),
        ("aws-chunked,gzip", gzip.compress),
        *((coding, bytes) for coding in ("none", "identity", "UTF-8", "utf8", "aws-chunked", "binary", "8bit", "x-unknown")),
    ],
)
def test_packed_bodies(tmp_path, site, coding, pack):
    site.answers["/a"] = [Answer(pack(b"name\nother"), headers={"Content-Encoding": coding})]
    assert names(tmp_path, site, sha256={"a": hash_of(b"name\nother")}) == ["name", "other"]


def test_a_packed_body_that_ends_too_early_is_no_whole_one(tmp_path, site):
    headers = {"Content-Encoding": "gzip"}
    site.answers["/a"] = [
        Answer(gzip.compress(b"name" * 100)[:-9], headers=headers),
        Answer(gzip.compress(b"name"), headers=headers),
    ]
    assert names(tmp_path, site) == ["name"]


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {"Content-Encoding": "br"}])
def test_a_packing_that_cannot_be_undone_is_an_error(tmp_path, site, headers):
    site.answers["/a"] = [Answer(b"plain text", headers=headers)]
    assert site.address in refused(tmp_path, site)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("é".encode("latin-1"), "text/plain; charset=ISO-8859-1"),
        ("é".encode(), "text/plain"),
        ("é".encode(), "text/plain; charset=ISO-8859-1"),  # a wrong charset: the bytes are UTF-8
        ("é".encode("latin-1"), 'text/plain; charset="utf-8"; charset=latin-1'),
        ("é".encode("utf-16"), "text/plain; charset=utf-8"),  # the byte order mark is right
        ("é".encode("utf-8-sig"), "text/plain; charset=nonsense"),
    ],
)
def test_the_charset_is_found_out(tmp_path, site, body, kind):
    site.answers["/a"] = [Answer(body, headers={"Content-Type": kind})]
    assert names(tmp_path, site, encoding="auto") == ["é"]


def test_quotes_of_windows_are_what_pages_that_say_latin_1_mean(tmp_path, site):
    site.answers["/a"] = [Answer(b"\x93name\x94", headers={"Content-Type": "text/plain; charset=latin-1"})]
    assert names(tmp_path, site, encoding="auto") == ["“name”"]


def test_a_status_that_is_none_of_these_is_named(tmp_path, site):
    assert "/none\n  found:    status 404" in refused(tmp_path, site, "/none")


# refreshing and pinning ----------------------------------------------------------------------------------------------


def test_a_refresh_asks_whether_anything_changed(tmp_path, site):
    said = {"ETag": '"1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    site.answers["/a"] = [Answer(b"old", headers=said), Answer(status=304), Answer(b"new", headers={"ETag": '"2"'})]
    assert [names(tmp_path, site, refresh=number) for number in (0, 0, 1, 1, 0, 2)] == [["old"]] * 5 + [["new"]]
    first, second, third = site.asked("/a")
    assert "if-none-match" not in first
    assert (second["if-none-match"], second["if-modified-since"]) == ('"1"', said["Last-Modified"])
    assert third["if-none-match"] == '"1"'


def test_what_is_pinned_is_not_asked_for_again(tmp_path, site):
    pin = {"a": hash_of(ROW)}
    for number in (0, 1):
        names(tmp_path, site, sha256=pin, refresh=number)
    assert len(site.paths()) == 1


def test_content_that_is_not_what_was_pinned_is_an_error_that_shows_both(tmp_path, site):
    pin = hash_of(b"other")
    text = refused(tmp_path, site, sha256={"a": pin})
    assert f"sha256 {hash_of(ROW)}" in text
    assert f"expected: sha256 {pin}" in text
    site.answers["/a"] = [Answer(b"other")]
    assert names(tmp_path, site, sha256={"a": pin}) == ["other"]


def test_one_bad_address_loses_no_other(tmp_path, site):
    site.answers["/b"] = [Answer(status=404)]
    with pytest.raises(StageError, match="/b\n"):
        run(tmp_path, {"a": f"{site.address}/a", "b": f"{site.address}/b"}, **LINES)
    site.answers["/b"] = [Answer(b"name")]
    assert len(run(tmp_path, {"a": f"{site.address}/a", "b": f"{site.address}/b"}, **LINES)) == 2
    assert site.paths() == ["/a", "/b", "/b"]


def test_two_processes_do_not_mix_their_bytes(tmp_path, site):
    site.answers["/a"] = [Answer(b"x" * 100_000, stall=0.2)]
    contents = []
    threads = [
        threading.Thread(target=lambda n=n: contents.append(run(tmp_path, {"a": f"{site.address}/a"}, f"r{n}", **LINES)))
        for n in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [rows[0]["name"] for rows in contents] == ["x" * 100_000] * 2
    assert site.paths() == ["/a"]  # the second found what the first had brought


def test_a_bad_line_names_the_address_and_the_line(tmp_path, site):
    site.answers["/a"] = [Answer(ROW + b"{bad\n")]
    with pytest.raises(StageError) as caught:
        run(tmp_path, {"rows.jsonl": f"{site.address}/a"})
    assert caught.value.where == f"{site.address}/a line 2"


def test_an_archive_from_the_web(tmp_path, site):
    site.answers["/a"] = [Answer(gzip.compress(b"name", mtime=0), headers={"Content-Type": "application/gzip"})]
    rows = run(tmp_path, {"names.txt.gz": f"{site.address}/a"}, members="*", **LINES)
    assert rows == [{"id": "web/names.txt.gz/names.txt#1", "name": "name"}]
    assert index(tmp_path)["files"][0]["url"] == f"{site.address}/a"


def test_the_cache_lies_in_scratch(tmp_path, site, own_scratch):
    names(tmp_path, site)
    assert {Path(path).parts[0] for path in (file.relative_to(own_scratch) for file in own_scratch.rglob("*.json"))} == {"http"}


@pytest.mark.parametrize("notes", ["keep", "apart"])
def test_names_of_a_page_in_an_encoding_that_only_the_page_states(tmp_path, site, notes):
    page = '<meta charset="windows-1252"><nav><li>Shop</li></nav><ul><li>Câble (frein)</li><li>Roue</li></ul>'
    page += "<h2>Voir aussi</h2><li>x</li>"
    site.answers["/a"] = [Answer(page.encode("cp1252"), headers={"Content-Type": "text/html"})]
    choice = {"kind": "html_list", "within": "//body", "without": ["voir aussi"], "notes": notes}
    columns = {"reader": choice, "columns": {"name": "name"}, "keep": ["note"], "encoding": "auto"}
    first = {"name": "Câble (frein)", "note": ""} if notes == "keep" else {"name": "Câble", "note": "frein"}
    assert run(tmp_path, {"parts.html": f"{site.address}/a"}, **columns) == [
        {"id": "web/parts.html#1", **first},
        {"id": "web/parts.html#2", "name": "Roue", "note": ""},
    ]
    assert index(tmp_path)["yields"] == "names"
