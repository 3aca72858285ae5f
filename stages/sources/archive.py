"""Archives opened as if they were folders: zip, tar, and gz, bz2, xz with or without a tar inside, told by their first bytes.

Nothing is unpacked beside the members wanted, one at a time, under a name of ours: no member can write anywhere else.
"""

import bz2
import errno
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from stages.common.errors import DISK, StageError
from stages.common.temporary import Temporary
from stages.common.text_keys import shorten
from stages.sources import SourceFile
from stages.sources.unmeant import is_meant

MEMBERS = 100_000  # more than that in one archive is refused
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)
_PIECES = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def matches(pattern: str, path: str) -> bool:
    """Whether a glob fits a whole relative path: `*` and `?` stay in a folder, `**/` goes through any number of them."""
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.fullmatch("".join(_PIECES.get(piece) or re.escape(piece) for piece in pieces), path, re.DOTALL) is not None


def opened(file: SourceFile, members: str, max_bytes: int, left_out: Counter) -> Iterator[SourceFile]:
    """The file itself, or the members of the archive that it is; `members` "" opens none.

    Members that nobody meant are counted in `left_out`; what else does not fit `members` is passed over, links too.

    Raises:
        StageError: for a broken archive, a path that leaves it, a name that comes twice, more bytes than `max_bytes` in all;
            for a link or a member with a password that fits `members`, or nothing that does.
    """
    kind = _kind(file.path) if members else ""
    if not kind:
        yield file
        return
    fix = "edit datasets.<name>.scrape.sources.<source>.members or .max_bytes, or repair the archive"
    bytes_left, any_fits, names = max_bytes, False, []
    with Temporary() as folder, _refusing(file, fix):
        for name, size, unfit, start in {"zip": _zip, "tar": _tar, "packed": _packed}[kind](file):
            wanted = matches(members, name) and is_meant(name, members, left_out)
            names.append(name)
            if len(names) > MEMBERS or (size or 0) > bytes_left:
                raise StageError(_where(file, name), "too much", f"{MEMBERS} members, {max_bytes} bytes in all", fix)
            if not wanted:
                bytes_left -= size or 0
                continue
            if unfit:
                narrower = "name a narrower datasets.<name>.scrape.sources.<source>.members, or pack the file itself"
                raise StageError(_where(file, name), unfit, "plain files and folders, open to all", narrower)
            path = Path(folder) / "member"
            with start() as stream:
                bytes_left -= _copy(stream, path, bytes_left, _where(file, name), max_bytes, fix)
            any_fits = True
            yield SourceFile(path, f"{file.name}/{name}", f"{file.place}: {name}", origin=file.origin)
    if not any_fits:
        listing = ", ".join(sorted(names)[:8]) or "nothing"
        raise StageError(file.place, f"no member {members!r}", f"at least one; there are: {listing}", fix)


def _kind(path: Path) -> str:
    """`zip`, `tar`, `gz` or "": by content, because names lie."""
    with open(path, "rb") as file:
        start = file.read(512)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    try:
        with _unpacker(path)(path, "rb") as file:
            inner = file.read(512)
    except _BROKEN:
        inner = b""
    return "tar" if _tar_header(inner) else "packed" if _unpacker(path) is not open else ""


def _tar_header(block: bytes) -> bool:
    """Whether it is the first block of a tar: one that says so, or one of the older format, whose checksum is right."""
    try:
        return block[257:262] == b"ustar" or bool(tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape").name)
    except tarfile.HeaderError:
        return False


def _unpacker(path: Path) -> Callable[..., IO]:
    with open(path, "rb") as file:
        start = file.read(10)
    known = {rb"\x1f\x8b": gzip.open, rb"BZh[1-9]1AY&SY": bz2.open, rb"\xfd7zXZ\x00": lzma.open}
    return next((unpacker for magic, unpacker in known.items() if re.match(magic, start)), open)


class _Bounded:
    """A file for tarfile, which would read a header of any size at once: one of gigabytes is a bomb."""

    def __init__(self, file: IO):
        self.seek, self.tell, self.file = file.seek, file.tell, file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= 1 << 22:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.file.read(size)


@contextmanager
def _refusing(file: SourceFile, fix: str):
    try:
        yield
    except _BROKEN as error:
        if getattr(error, "errno", None) in (*DISK, errno.ENOENT):  # not the archive's fault; a wrong offset in it is EINVAL
            raise
        raise StageError(
            file.place, f"a broken archive: {error or type(error).__name__}", "a whole zip, tar, gz, bz2 or xz", fix
        ) from None


def _where(file: SourceFile, name: str) -> str:
    return f"{file.place}: {shorten(name)}"


def _safe(file: SourceFile, name: str, seen: set[str]) -> str:
    path = name.replace("\\", "/")
    parts = PurePosixPath(path).parts
    if path.startswith("/") or re.match("[A-Za-z]:", path) or ".." in parts or not parts or "\0" in path:
        raise StageError(_where(file, name), "a path that leaves the archive", "paths inside it", "do not trust this archive")
    path = "/".join(parts)
    if path in seen:
        raise StageError(_where(file, name), "a name that comes twice", "each file once", "make the archive anew")
    seen.add(path)
    return path


Member = tuple[str, int | None, str, Callable[[], IO]]  # name, bytes as stated, why it cannot be had, what opens it


def _zip(file: SourceFile) -> Iterator[Member]:
    seen = set()
    with zipfile.ZipFile(file.path) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if info.filename.endswith("/"):
                continue
            plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
            unfit = "a link or device" if not plain else "a member with a password" if info.flag_bits & 1 else ""
            yield _safe(file, info.filename, seen), info.file_size, unfit, partial(archive.open, info)


def _tar(file: SourceFile) -> Iterator[Member]:
    seen = set()
    with _unpacker(file.path)(file.path, "rb") as stream, tarfile.open(fileobj=_Bounded(stream), mode="r:") as archive:
        for info in archive:
            if info.isdir():
                continue
            unfit = "" if info.isreg() else "a link or device"
            yield _safe(file, info.name, seen), info.size, unfit, partial(archive.extractfile, info)


def _packed(file: SourceFile) -> Iterator[Member]:
    name = re.sub(r"\.(gz|bz2|xz)$", "", PurePosixPath(file.name).name, flags=re.I)
    yield name, None, "", partial(_unpacker(file.path), file.path, "rb")


def _copy(stream: IO, path: Path, bytes_left: int, where: str, max_bytes: int, fix: str) -> int:
    """Bytes written; the sizes that an archive states are not trusted."""
    size = 0
    with open(path, "wb") as file:
        while block := stream.read(1 << 20):
            size += len(block)
            if size > bytes_left:
                raise StageError(where, "too much", f"{max_bytes} bytes in all", fix)
            file.write(block)
    return size
