"""Text files in a declared encoding, byte order marks removed, broken bytes refused with their place."""

import codecs
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import TextIO

from stages.common.errors import StageError
from stages.sources import SourceFile


def open_text(file: SourceFile):
    """Open for reading lines; `read()` and iteration raise UnicodeError, which `undecodable` explains."""
    encoding = file.encoding
    utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    try:
        return open(file.path, encoding="utf-8-sig" if utf8 else encoding, newline="")
    except (LookupError, ValueError):
        raise StageError(
            file.place,
            f"encoding {encoding!r}",
            "a text encoding that Python knows: utf-8, latin-1, cp1252, utf-16, …",
            "set datasets.<name>.scrape.sources.<source>.encoding",
        ) from None


def lines_of(stream: TextIO | None, head: str = "") -> Iterator[str]:
    """Lines with their ends, of `head` and what follows it in `stream`.

    A bare carriage return ends lines only where it ends the first one, as on old Macintoshes; elsewhere it is part of a field.
    """
    rest, end = head, ""
    while True:
        chunk = stream.read(1 << 20) if stream is not None else ""
        rest += chunk
        if not end and (first := re.search(r"\r\n|\r(?!\Z)|\n", rest)):
            end = "\r" if first[0] == "\r" else "\n"
        if end:
            *lines, rest = rest.split(end)
            yield from (line + end for line in lines)
        if not chunk:
            break
    if rest:
        yield rest


def undecodable(file: SourceFile, error: UnicodeError) -> StageError:
    """The error for bytes that are not in the file's encoding; `error.start` counts from its chunk, so the file is searched."""
    encoding, place = file.encoding, file.place
    if not isinstance(error, UnicodeDecodeError) or "\n".encode(encoding) != b"\n":  # UTF-16: bytes are no lines
        return StageError(place, str(error), f"text in {encoding}", "set datasets.<name>.scrape.sources.<source>.encoding")
    with open(file.path, "rb") as raw:
        for number, line in enumerate(io.BufferedReader(raw), 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as bad:
                return StageError(
                    f"{place} line {number}",
                    f"byte 0x{line[bad.start]:02x} at column {bad.start + 1}",
                    f"text in {encoding}",
                    "set datasets.<name>.scrape.sources.<source>.encoding (latin-1, cp1252, …)",
                )
    return StageError(place, str(error), f"text in {encoding}", "set datasets.<name>.scrape.sources.<source>.encoding")


MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
MARKS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # after UTF-32, whose mark begins with UTF-16's
META = re.compile(rb"<meta[^>]+?charset\s*=\s*[\"']?\s*([\w.:-]+)|<\?xml[^>]+?encoding\s*=\s*[\"']([\w.:-]+)", re.I)
LIKE_BROWSERS = {"iso8859-1": "cp1252", "ascii": "cp1252"}  # what pages that say Latin-1 mean (WHATWG Encoding)


def detect(file: SourceFile) -> str:
    """The encoding of a text file: by its byte order mark; UTF-8 where it is that; else by the server's word; else by `<meta>`;
    else by its letters: cp1252 where all are those of Western Europe, else what charset-normalizer takes for likeliest.

    UTF-8 comes before what is declared because text in another encoding is never UTF-8 by chance, and servers are often
    set to a charset of their own; an encoding that shifts by escape sequences is taken at its word.
    """
    with open(file.path, "rb") as raw:
        start = raw.read(4096)
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    inside = META.search(start)
    served, written = file.charset, (inside[1] or inside[2]).decode("ascii", "replace") if inside else ""
    if wide := _utf16_without_mark(start):
        return wide
    known = [encoding for encoding in map(_known, (served, written)) if encoding]
    shifting = [encoding for encoding in known if encoding.startswith(("iso2022", "hz"))]
    tried = list(dict.fromkeys([*shifting, "utf-8", *known]))
    for encoding in [*tried, *_guesses(file)]:
        for candidate in (LIKE_BROWSERS.get(encoding, encoding), encoding):
            if _decodes(file, candidate):
                return candidate
        if encoding == "utf-8":
            _refuse_broken_utf8(file)
    raise StageError(
        file.place,
        f"bytes that are not in {', '.join(tried)}; the server said {served or 'nothing'}, <meta> {written or 'nothing'}",
        "text whose encoding can be told",
        "set datasets.<name>.scrape.sources.<source>.encoding (latin-1, cp1252, …)",
    )


# letters and signs of Western Europe beyond ASCII, in what is written there day by day
CYRILLIC = ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic")
_LETTERS = "àâäáãåæçéèêëíìîïñóòôöõøœúùûüýÿßÀÂÄÁÃÅÆÇÉÈÊËÍÌÎÏÑÓÒÔÖÕØŒÚÙÛÜÝŸ"
WESTERN = frozenset(_LETTERS + "«»‹›‘’‚“”„–—…·•°²³¹½¼¾±×÷µ€£¥§¶©®™¡¿ªº\u00a0\u00ad")


def _refuse_broken_utf8(file: SourceFile) -> None:
    """Refuse UTF-8 with a broken place: cut within a letter, or with a line that came from another file. Read in any other
    encoding, all other letters would be wrong.

    Raises:
        StageError: if at least as many lines with letters beyond ASCII are UTF-8 as are not.
    """
    good, bad = 0, []
    with open(file.path, "rb") as raw:
        for number, line in enumerate(raw, 1):
            for piece in re.split(rb"\r(?!\n)", line):
                try:
                    good += not piece.decode("utf-8").isascii()
                except UnicodeDecodeError:
                    bad.append(number)
    if good and good >= len(bad):
        mixed = f"bytes that are not UTF-8, in {len(bad)} of {good + len(bad)} lines with letters beyond ASCII"
        raise StageError(f"{file.place} line {bad[0]}", mixed, "text in one encoding", "edit the line, or convert it to UTF-8")


def _utf16_without_mark(start: bytes) -> str:
    """UTF-16 by its zero bytes, every other one in texts that are mostly ASCII; "" for what is not that."""
    half = len(start) // 2
    for encoding, zeros in (("utf-16-le", start[1::2].count(0)), ("utf-16-be", start[0::2].count(0))):
        if half and zeros > 0.7 * half and start.count(0) < 1.1 * zeros:
            return encoding
    return ""


def _guesses(file: SourceFile) -> Iterator[str]:
    """Encodings to try where nothing is said, by the lines that are not ASCII."""
    with open(file.path, "rb") as raw:
        sample = b"".join(islice((line for line in raw if not line.isascii()), 2000))[: 1 << 18]
    try:
        letters = sample.decode("cp1252")
    except UnicodeDecodeError:
        letters = ""
    if letters and all(letter.isascii() or letter in WESTERN for letter in letters):
        yield "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    if best is None:
        return
    if re.search("[\u0400-\u04ff]", sample.decode(best.encoding, "replace")):  # they swap the case of each other's letters
        yield max(CYRILLIC, key=lambda encoding: len(re.findall("[а-яё]", sample.decode(encoding, "replace"))))
    yield best.encoding


def _known(name: str) -> str:
    """Python's own name of a text encoding; "" for what is none."""
    try:
        info = codecs.lookup(name.strip("\"' ")) if name.isascii() and "\0" not in name else None
    except (LookupError, ValueError):
        return ""
    return info.name if info and info._is_text_encoding and info.name not in ("idna", "punycode", "unicode_escape") else ""


def _decodes(file: SourceFile, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with open(file.path, "rb") as raw:
            while block := raw.read(1 << 20):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True
