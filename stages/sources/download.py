"""One address brought to disk whole: resumed where it was cut, bounded, kept with what its server said about it.

Below `.cache/http/<host>/<address>/` lie `entry.json` and the body that it names; `partial` is a body on its way, as sent
(gzip and all, for only so can it be resumed), and `partial.json` what identifies it.
"""

import hashlib
import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import requests

from stages.common import kept
from stages.common.errors import StageError
from stages.common.files import read_json, write_json
from stages.common.http import Again, passing
from stages.common.locks import alone
from stages.common.schema_sources import WebSource
from stages.sources.visitor import Visitor

BLOCK = 1 << 16  # bytes
NOTED = ("etag", "last_modified", "content_type", "content_encoding")  # headers that are noted
FIX = "edit datasets.<name>.scrape.sources.<source>"
# content codings: those that are undone here, and those that are not asked for; whatever else servers write there (none, utf-8,
# aws-chunked, …) is no coding, and browsers read the body as it is
UNDONE = ("gzip", "x-gzip", "deflate")
NOT_UNDONE = ("br", "zstd", "compress", "x-compress", "dcb", "dcz")


class Download:
    """What is known of one address, and the way to know more.

    Args:
        url: the address.
        visitor: opens it.
        params: of the source.
    """

    def __init__(self, url: str, visitor: Visitor, params: WebSource):
        self.url, self.visitor, self.params = url, visitor, params
        host = re.sub(r"[^a-z0-9.-]", "_", urlsplit(url).hostname or "none")
        self.folder = kept.fetched("download", url, name=host).folder
        self.partial, self.about = self.folder / "partial", self.folder / "partial.json"

    def entry(self) -> dict | None:
        """What is kept of the address, its body checked; None where nothing whole is."""
        if not (self.folder / "entry.json").exists():
            return None
        entry = read_json(self.folder / "entry.json")
        body = self.folder / entry["body"]
        return entry if body.exists() and _sha256(body) == entry["sha256"] else None

    def bring(self, fresh: Callable[[dict], bool]) -> dict:
        """The entry that is kept, if it is `fresh`; else after asking the server, whether it holds or there is another body.

        Raises:
            StageError: where it cannot be had, is larger than `max_bytes` or takes longer than `total_seconds`.
        """
        with alone(self.folder, wait=True):  # queued experiments share the cache
            entry = self.entry()
            if entry and fresh(entry):
                return entry
            self.deadline = time.monotonic() + self.params.total_seconds
            return self.visitor.client.persist(self.url, self._attempt)

    def _known(self) -> dict:
        """What its server said of the body that `partial` is a part of; nothing where there is no part to go on from."""
        try:
            known = json.loads(self.about.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # the latter: killed while it was written
            return {}
        return known if known["validator"] and self.partial.exists() else {}

    def _attempt(self) -> dict:
        self._in_time()
        before = self.entry()
        known = self._known()
        at = self.partial.stat().st_size if known else 0
        headers = {"Accept-Encoding": "gzip"}
        if at:
            headers |= {"Range": f"bytes={at}-", "If-Range": known["validator"]}
        elif before:
            conditions = {"If-None-Match": before["etag"], "If-Modified-Since": before["last_modified"]}
            headers |= {name: value for name, value in conditions.items() if value}
        response = self.visitor.open(self.url, headers)
        with response:
            if response.status_code == 304 and before and not at:
                return self._keep(before | {"refresh": self.params.refresh})
            if response.status_code == 416 and at:
                self._forget()
                raise Again("the rest of the file is no longer there")
            if response.status_code not in (200, 206):
                words = f"status {response.status_code} {response.reason or ''}".strip()
                raise StageError(self.url, words, "status 200", f"check the address, or {FIX}.urls")
            if response.status_code == 200:
                known, at, whole = self._start(response), 0, _length(response)
            else:
                whole = self._go_on(response, at)
            self._receive(response, at, whole, bool(known["validator"]))
        return self._finish(known, response.url)

    def _start(self, response: requests.Response) -> dict:
        """Note what is coming, for the answer to a Range need not say it again."""
        noted = {name: response.headers.get(name.replace("_", "-"), "") for name in NOTED}
        strong = noted["etag"] if not noted["etag"].startswith("W/") else ""  # If-Range takes no weak one
        known = noted | {"validator": strong or noted["last_modified"]}
        self._forget()
        self.about.write_text(json.dumps(known), encoding="utf-8")
        return known

    def _go_on(self, response: requests.Response, at: int) -> int | None:
        """The size of the whole body, of which the rest is coming; None where it is not said."""
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if not at or not span or int(span[1]) != at:
            self._forget()
            raise Again(f"another part than asked for: {response.headers.get('Content-Range')}")
        return int(span[2]) if span[2] != "*" else None

    def _receive(self, response: requests.Response, at: int, whole: int | None, resumable: bool) -> None:
        """Append what comes to `partial`, which has `at` bytes."""
        self._bounded(whole or 0)
        size = at
        with open(self.partial, "ab" if at else "wb") as file:
            while True:
                self._in_time()
                try:
                    with passing(self.url):
                        block = response.raw.read1(BLOCK)
                except Again as again:
                    raise Again(f"{again.reason}, at byte {size}", None, resumable and size > at) from None
                if not block:
                    break
                size += len(block)
                self._bounded(size)
                file.write(block)
        if whole is not None and size < whole:
            raise Again(f"cut at byte {size} of {whole}", None, resumable and size > at)

    def _finish(self, known: dict, final_url: str) -> dict:
        """Undo the transfer's compression and keep the body under its hash, then the entry that names it."""
        decoded, digest, size = self.folder / "decoded", hashlib.sha256(), 0
        with open(decoded, "wb") as file:
            for block in self._decoded(known["content_encoding"].strip().lower()):
                size += len(block)
                self._bounded(size)
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        body = f"body-{digest.hexdigest()[:16]}"
        os.replace(decoded, self.folder / body)
        kind = Message()
        kind["content-type"] = known["content_type"]
        entry = {
            "url": self.url,
            "final_url": final_url,
            "etag": known["etag"],
            "last_modified": known["last_modified"],
            "content_type": known["content_type"],
            "charset": str(kind.get_content_charset() or ""),
            "sha256": digest.hexdigest(),
            "bytes": size,
            "body": body,
            "refresh": self.params.refresh,
        }
        self._forget()
        for old in self.folder.glob("body-*"):
            if old.name != body:
                old.unlink()
        return self._keep(entry)

    def _decoded(self, header: str) -> Iterator[bytes]:
        """The body's blocks, of which no single one is much larger than BLOCK."""
        codings = [coding.strip() for coding in header.split(",")]
        if other := next((coding for coding in codings if coding in NOT_UNDONE), None):
            self._forget()
            raise StageError(
                self.url, f"content encoding {other}", "gzip, deflate or none, which were asked for", "choose another address"
            )
        with open(self.partial, "rb") as file:
            blocks = iter(lambda: file.read(BLOCK), b"")
            for coding in reversed([coding for coding in codings if coding in UNDONE]):
                blocks = self._unpacked(blocks, coding)
            yield from blocks

    def _unpacked(self, blocks: Iterator[bytes], coding: str) -> Iterator[bytes]:
        data, decoder = next(blocks, b""), None
        try:
            while data:
                decoder = decoder or zlib.decompressobj(_window(data, coding))
                yield decoder.decompress(data, BLOCK * 16)
                data = decoder.unconsumed_tail or next(blocks, b"")
                if decoder.eof and (data := decoder.unused_data + data):  # another member follows
                    decoder = None
            if decoder is not None:
                yield decoder.flush()
        except zlib.error as error:
            self._forget()
            raise Again(f"broken {coding} ({error})") from None
        if decoder is None or not decoder.eof:
            self._forget()
            raise Again(f"{coding} that ends too early")

    def _keep(self, entry: dict) -> dict:
        write_json(self.folder / "entry.json", entry)
        return entry

    def _forget(self) -> None:
        self.partial.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)

    def _bounded(self, size: int) -> None:
        if size > self.params.max_bytes:
            self._forget()
            raise StageError(self.url, f"{size} bytes or more", f"at most {self.params.max_bytes}", f"{FIX}.max_bytes")

    def _in_time(self) -> None:
        if time.monotonic() > self.deadline:
            seconds = f"{self.params.total_seconds:g} s"
            raise StageError(
                self.url,
                f"not whole after {seconds}",
                f"a download in {seconds}",
                f"run the same command again: it goes on from where it stopped; or {FIX}.total_seconds",
            )


def _length(response: requests.Response) -> int | None:
    """The bytes that the answer says it has; None where it says nothing, or comes in chunks, which say their own end."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and "Transfer-Encoding" not in response.headers else None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _window(start: bytes, coding: str) -> int:
    """What zlib calls the format: gzip or zlib by the header; deflate without one, which some servers send."""
    zlib_header = len(start) < 2 or (start[0] & 15 == 8 and int.from_bytes(start[:2], "big") % 31 == 0)
    return -15 if coding == "deflate" and not zlib_header and not start.startswith(b"\x1f\x8b") else 47
