"""What kind of file this is, by its first bytes; its name decides where several would do."""

import json
import re
import zipfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from stages.common.errors import StageError
from stages.sources import SourceFile
from stages.sources.encodings import detect

HEAD = 1 << 18  # bytes by which a kind and the encoding of a huge file are told
READABLE = ("csv", "json", "jsonl", "parquet", "excel", "xml", "html", "text")
ARCHIVES = ("zip", "tar", "packed")
MAGIC = {  # first bytes of what cannot be read: what it is, and what helps
    rb"\x89PNG|\xff\xd8\xff|GIF8|BM.{4}\0\0|II\*\0|MM\0\*|RIFF....WEBP|\0\0\x01\0": ("image", "texts: images hold none"),
    rb"%PDF": ("PDF", "its text: save it as text or Markdown"),
    rb"\xd0\xcf\x11\xe0": ("old Office file, or one with a password", "an .xlsx file without a password, or CSV"),
    rb"SQLite format 3": ("SQLite database", "a table of it as CSV"),
    rb"7z\xbc\xaf\x27\x1c|Rar!": ("7z or RAR archive", "a zip or tar archive, or a folder"),
}
PACKED = {rb"\x1f\x8b": "gz", rb"BZh[1-9]": "bz2", rb"\xfd7zXZ\x00": "xz"}
TABLES = (".csv", ".tsv", ".psv", ".tab")
MARKDOWN = (".md", ".markdown")
PAGES = (".html", ".htm", ".xhtml")


def kind_of(path: Path, name: str = "", place: str = "") -> str:
    """One of READABLE or ARCHIVES. `name` is its own where it lies in a cache, `place` what errors call it.

    Raises:
        StageError: for an empty file, an image, a binary and the like, in words.
    """
    place = place or name or str(path)
    suffix = PurePosixPath(name or path.name).suffix.lower()
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if not head.strip():
        raise StageError(place, "an empty file" if not head else "nothing but white space", "a file with rows", "fill it")
    for magic, (content, expected) in MAGIC.items():
        if re.match(magic, head, re.DOTALL):
            raise StageError(place, content, expected, "convert it, then affinage add what comes of it")
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(path, place)
    if head[257:262] == b"ustar":
        return "tar"
    if any(re.match(magic, head) for magic in PACKED):
        return "tar" if re.search(r"\.(tar\.(gz|bz2|xz)|tgz|tbz2?|txz)$", place.lower()) else "packed"
    return _of_text(_text(head, place), suffix)


def head_of(file: SourceFile, folder: Path) -> SourceFile:
    """The whole lines of the first HEAD bytes of a file, as a file of its own."""
    with open(file.path, "rb") as stream:
        head = stream.read(HEAD)
    path = folder / f"head{PurePosixPath(file.name).suffix}"
    path.write_bytes(head if len(head) < HEAD else head[: head.rfind(b"\n") + 1] or head)
    return SourceFile(path, file.name, file.place, charset=file.charset)


def _zip(path: Path, place: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise StageError(place, f"a broken zip archive: {error}", "a whole one", "download or pack it again") from None
    if "xl/workbook.xml" in names:
        return "excel"
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise StageError(place, "an Office document", "an .xlsx sheet, or text", "save it as text, Markdown, CSV or .xlsx")
    return "zip"


def _text(head: bytes, place: str) -> str:
    """The head as text."""
    binary = StageError(place, "a binary file", f"one of {', '.join(READABLE)}, or an archive of them", "convert it")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "head"
        path.write_bytes(head if len(head) < HEAD else head[: head.rfind(b"\n") + 1] or head)
        try:
            encoding = detect(SourceFile(path, place=place))
            text = path.read_bytes().decode(encoding, "replace").removeprefix("\ufeff")
        except StageError as error:
            raise error if "not UTF-8" in error.found else binary from None
    odd = sum(letter < " " and letter not in "\t\r\n\f\v\x1a" or letter == "\ufffd" for letter in text)
    if odd > 0.01 * len(text) or (b"\0" in head and odd):
        raise binary
    return text


def _of_text(text: str, suffix: str) -> str:
    start = text.lstrip()[:2000]
    if suffix in TABLES:
        return "csv"
    if start.startswith(("{", "[")) and suffix not in MARKDOWN and (kind := _json(text, suffix)):
        return kind
    if start.startswith("<") and suffix not in MARKDOWN:
        page = suffix in PAGES or re.search(r"<!doctype html|<html[\s>]", start, re.I)
        return "html" if page else "xml"
    if suffix not in MARKDOWN and _parted(text):
        return "csv"
    return "text"


def _json(text: str, suffix: str) -> str:
    lines = [line for line in text.splitlines()[:3] if line.strip()]
    whole = [_parses(line) for line in lines]
    if suffix in (".jsonl", ".ndjson") or (len(lines) > 1 and all(whole) and start_of(text) == "{"):
        return "jsonl"
    if suffix == ".json" or _parses(text) or re.match(r"\s*(\[\s*[\[{]|\{\s*\")", text):
        return "jsonl" if start_of(text) == "{" and len(lines) == 1 and whole[0] and suffix != ".json" else "json"
    return ""


def start_of(text: str) -> str:
    return text.lstrip()[:1]


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parted(text: str) -> bool:
    """Whether a text without a telling name is a table: tabs, semicolons or bars, as many in every line."""
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    return len(lines) > 1 and any(
        lines[0].count(mark) and len({line.count(mark) for line in lines}) == 1 for mark in ("\t", ";", "|")
    )
