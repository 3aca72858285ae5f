"""Unfinished and reusable work, kept out of every DVC output: `.cache/<stage>/<name>/<fingerprint>/`.

`dvc exp run --temp` and queued runs have a work tree of their own, which DVC throws away; they use the scratch of the
tree that they were started from, so that a killed one goes on where it was. AFFINAGE_SCRATCH names another root.
Several of them may run at once: what two processes write, each writes under a name of its own first.
"""

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TEMPORARY = Path(".dvc", "tmp", "exps").parts  # where DVC puts the work trees of experiments


def root() -> Path:
    """The scratch of this work tree, or of the tree that a temporary one belongs to."""
    parts = Path.cwd().parts
    starts = [place for place in range(len(parts)) if parts[place : place + len(TEMPORARY)] == TEMPORARY]
    own = Path(*parts[: starts[-1]], ".cache") if starts else Path(".cache")
    return Path(os.environ.get("AFFINAGE_SCRATCH") or own)


def scratch(stage: str, name: str, fingerprint: str) -> Path:
    """The directory, made if need be, for the unfinished work of one stage on one set of inputs."""
    path = root() / stage / name / fingerprint[:16]
    path.mkdir(parents=True, exist_ok=True)
    sweep(path)
    return path


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written: `<name>.<process>.partial` of those that live no more."""
    for leftover in folder.glob("*.*.partial"):
        process = leftover.name.split(".")[-2]
        if process.isdecimal() and not _lives(int(process)):
            leftover.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        pass
    return True


def fingerprint(*parts: object) -> str:
    """sha256 (hex) of anything JSON can hold, independent of the order of keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str).encode()).hexdigest()


def content_hash(path: Path) -> str:
    """sha256 (hex) of a file, or of all names and contents in a directory. Files are read on all cores."""
    path = Path(path)
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, inner in zip(files, pool.map(_sha256, files), strict=True):
            name = file.relative_to(path).as_posix() if path.is_dir() else ""
            digest.update(f"{name}\0{inner}\n".encode())
    return digest.hexdigest()


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remember(file: Path, make: Callable[[], object]) -> object:
    """What `make()` gives (anything JSON holds), kept in `file` so that it is made only once, kills included."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # the latter: what a power failure leaves of a file that was not yet on disk
        text = json.dumps(make(), ensure_ascii=True)
    partial = file.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return json.loads(text)
