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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from stages.common.errors import DISK, StageError, shorten
from stages.common.temporary import Temporary
from stages.sources import Found

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


def opened(found: Found, members: str, max_bytes: int) -> Iterator[Found]:
    """The file itself, or the members of the archive that it is; `members` "" opens none.

    Raises:
        StageError: for a broken archive, a path that leaves it, a link, a name that comes twice, more bytes than
            `max_bytes` in all, or none that fits `members`.
    """
    kind = _kind(found.path) if members else ""
    if not kind:
        yield found
        return
    fix = "edit datasets.<name>.scrape.sources.<source>.members or .max_bytes, or repair the archive"
    left, some, there = max_bytes, False, []
    with Temporary() as folder, _refusing(found, fix):
        for name, size, stream in {"zip": _zip, "tar": _tar, "packed": _packed}[kind](found):
            wanted = matches(members, name)
            there.append(name)
            if len(there) > MEMBERS or (size or 0) > left:
                raise StageError(_where(found, name), "too much", f"{MEMBERS} members, {max_bytes} bytes in all", fix)
            if not wanted:
                left -= size or 0
                continue
            path = Path(folder) / "member"
            left -= _copy(stream, path, left, _where(found, name), max_bytes, fix)
            some = True
            yield Found(f"{found.file}/{name}", path, "", found.origin)
    if not some:
        listing = ", ".join(sorted(there)[:8]) or "nothing"
        raise StageError(found.path, f"no member {members!r}", f"at least one; there are: {listing}", fix)


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
    return "tar" if inner[257:262] == b"ustar" else "packed" if _unpacker(path) is not open else ""


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
def _refusing(found: Found, fix: str):
    try:
        yield
    except _BROKEN as error:
        if getattr(error, "errno", None) in (*DISK, errno.ENOENT):  # not the archive's fault; a wrong offset in it is EINVAL
            raise
        raise StageError(
            found.path, f"a broken archive: {error or type(error).__name__}", "a whole zip, tar, gz, bz2 or xz", fix
        ) from None


def _where(found: Found, name: str) -> str:
    return f"{found.path}: {shorten(name)}"


def _safe(found: Found, name: str, seen: set[str]) -> str:
    path = name.replace("\\", "/")
    parts = PurePosixPath(path).parts
    if path.startswith("/") or re.match("[A-Za-z]:", path) or ".." in parts or not parts or "\0" in path:
        raise StageError(_where(found, name), "a path that leaves the archive", "paths inside it", "do not trust this archive")
    path = "/".join(parts)
    if path in seen:
        raise StageError(_where(found, name), "a name that comes twice", "each file once", "make the archive anew")
    seen.add(path)
    return path


def _link(found: Found, name: str) -> StageError:
    return StageError(_where(found, name), "a link or device", "plain files and folders", "pack the file itself")


def _zip(found: Found) -> Iterator[tuple[str, int | None, IO]]:
    seen = set()
    with zipfile.ZipFile(found.path) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if info.filename.endswith("/") or info.filename.startswith("__MACOSX/"):  # what macOS adds beside each file
                continue
            name = _safe(found, info.filename, seen)
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                raise _link(found, info.filename)
            with archive.open(info) as stream:
                yield name, info.file_size, stream


def _tar(found: Found) -> Iterator[tuple[str, int | None, IO]]:
    seen = set()
    with _unpacker(found.path)(found.path, "rb") as file, tarfile.open(fileobj=_Bounded(file), mode="r:") as archive:
        for info in archive:
            if info.isdir():
                continue
            name = _safe(found, info.name, seen)
            if not info.isreg():
                raise _link(found, info.name)
            yield name, info.size, archive.extractfile(info)


def _packed(found: Found) -> Iterator[tuple[str, int | None, IO]]:
    with _unpacker(found.path)(found.path, "rb") as stream:
        yield re.sub(r"\.(gz|bz2|xz)$", "", PurePosixPath(found.file).name, flags=re.I), None, stream


def _copy(stream: IO, path: Path, left: int, where: str, max_bytes: int, fix: str) -> int:
    """Bytes written; the sizes that an archive states are not trusted."""
    size = 0
    with open(path, "wb") as file:
        while block := stream.read(1 << 20):
            size += len(block)
            if size > left:
                raise StageError(where, "too much", f"{max_bytes} bytes in all", fix)
            file.write(block)
    return size
