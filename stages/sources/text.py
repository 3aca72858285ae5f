"""Text files in a declared encoding, byte order marks removed, broken bytes refused with their place."""

import io
from pathlib import Path

from stages.common.errors import StageError


def open_text(path: Path, encoding: str):
    """Open for reading lines; `read()` and iteration raise UnicodeError, which `undecodable` explains."""
    utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    try:
        return open(path, encoding="utf-8-sig" if utf8 else encoding, newline="")
    except (LookupError, ValueError):
        raise StageError(
            path,
            f"encoding {encoding!r}",
            "a text encoding that Python knows: utf-8, latin-1, cp1252, utf-16, …",
            "set datasets.<name>.scrape.encoding",
        ) from None


def undecodable(path: Path, encoding: str, error: UnicodeError) -> StageError:
    """The error for bytes that are not in `encoding`; `error.start` counts from its chunk, so the file is searched."""
    if not isinstance(error, UnicodeDecodeError) or "\n".encode(encoding) != b"\n":  # UTF-16: bytes are no lines
        return StageError(path, str(error), f"text in {encoding}", "set datasets.<name>.scrape.encoding")
    with open(path, "rb") as raw:
        for number, line in enumerate(io.BufferedReader(raw), 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as bad:
                return StageError(
                    f"{path} line {number}",
                    f"byte 0x{line[bad.start]:02x} at column {bad.start + 1}",
                    f"text in {encoding}",
                    "set datasets.<name>.scrape.encoding (latin-1, cp1252, …)",
                )
    return StageError(path, str(error), f"text in {encoding}", "set datasets.<name>.scrape.encoding")
