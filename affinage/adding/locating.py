"""Where new rows lie: a file, a folder, an archive, an address, a dataset of the hub or of Kaggle."""

import hashlib
import os
import re
import tarfile
import zipfile
from collections import Counter
from contextlib import closing
from glob import escape
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from affinage.adding import remote
from affinage.adding.kinds import ARCHIVES, kind_of
from affinage.adding.material import Material, name_of
from stages.common.errors import StageError
from stages.sources.archive import matches
from stages.sources.unmeant import is_meant

ASIDE = ("readme", "license", "licence", "notice", "changelog", "citation")  # names of files that tell of the others


def material(where: str, name: str, defaults: dict) -> Material:
    """What `where` names; nothing is written or copied.

    Raises:
        StageError: where there is nothing, or nothing that can be read.
    """
    new = _named(where, name)
    with closing(new.files(defaults)) as files:
        first = next(files)
        new.kind = kind_of(first.path, first.name, first.place)
        if new.section["kind"] == "web":  # pinned by what came
            with open(first.path, "rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            new.section["sha256"] = dict.fromkeys(new.section["urls"], sha256)
        if new.section["kind"] == "kaggle":  # it fetches all files at once
            new.names = [first.name, *(file.name for file in files)]
        if new.kind in ARCHIVES:
            _choose_members(new, first.path, defaults)
    return new


def _named(where: str, name: str) -> Material:
    """The files that `where` names, before any is opened."""
    if re.match(r"https?://", where):
        return _web(where, name)
    if where.startswith("hub:"):
        return remote.hub(where, name)
    if where.startswith("kaggle:"):
        return remote.kaggle(where, name)
    path = Path(where).expanduser()
    if not path.exists():
        near = sorted(neighbour.name for neighbour in path.parent.iterdir())[:8] if path.parent.is_dir() else []
        expected = f"a file or folder; beside it: {', '.join(near)}" if near else "a file or folder that exists"
        raise StageError(where, "no such file or folder", expected, "check the path; a URL begins with https://")
    if not os.access(path, os.R_OK):
        raise StageError(where, "no permission to read it", "a file that can be read", f"chmod +r {where}")
    if path.is_dir():
        return _folder(path, name or name_of(path.resolve().name))
    own_name = name_of(re.sub(r"(\.[A-Za-z]\w{0,7})+$", "", path.name))
    return Material(name or own_name, path, {"kind": "local", "files": escape(path.name)})


def _choose_members(new: Material, archive: Path, defaults: dict) -> None:
    """Name the members of an archive that are read, of the commonest kind, and take their kind."""
    packed = new.kind == "packed"  # a single file
    names = [] if packed else [member for member in _members(archive, new.kind) if is_meant(member, "**", new.left_out)]
    if not packed and not names:
        raise StageError(archive, "an archive without files", "files with rows", "pack them again")
    new.section["members"] = "*" if packed else _commonest(names, new.left_out, str(archive))
    with closing(new.files(defaults)) as files:
        first = next(files)
        new.kind = kind_of(first.path, first.name, first.place)
        if new.kind in ARCHIVES:
            raise StageError(first.place, "an archive within an archive", "files with rows", "unpack the outer one")
    members = [name for name in names if matches(new.section["members"], name)]
    prefix = next((first.name.removesuffix(name) for name in members if first.name.endswith(f"/{name}")), "")
    new.names = sorted(prefix + name for name in members)


def _members(path: Path, kind: str) -> list[str]:
    try:
        if kind == "zip":
            with zipfile.ZipFile(path) as archive:
                infos = [info for info in archive.infolist() if not info.is_dir()]
            if any(info.flag_bits & 1 for info in infos):
                fix = f"unpack it, then affinage add the folder; it holds {infos[0].filename}, …"
                raise StageError(path, "an archive with a password", "one without", fix)
            return [info.filename for info in infos]
        with tarfile.open(path) as archive:
            return [info.name for info in archive if info.isreg()]
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise StageError(path, f"a broken archive: {error}", "a whole one", "download or pack it again") from None


def _folder(path: Path, name: str) -> Material:
    if not any(path.iterdir()):
        raise StageError(path, "an empty folder", "files with rows", "name the folder that holds them")
    left_out: Counter = Counter()
    everything = (file for file in sorted(path.rglob("*")) if file.is_file())
    files = [file for file in everything if is_meant(file.relative_to(path).as_posix(), "**", left_out)]
    by_suffix: dict[str, list[Path]] = {}
    for file in files:
        by_suffix.setdefault(file.suffix.lower(), []).append(file)
    readable, refused = {}, []
    for suffix, some in by_suffix.items():
        try:
            kind = kind_of(some[0], some[0].relative_to(path).as_posix())
        except StageError as error:
            refused.append((suffix, len(some), error))
            left_out[f"{suffix or some[0].name}: {error.found}"] += len(some)
            continue
        readable[suffix] = kind
    names = [file.relative_to(path).as_posix() for file in files if file.suffix.lower() in readable]
    pattern = _one_kind(names, readable) or _commonest(names, left_out, str(path), refused)
    names = [name for name in names if matches(pattern, name)]
    return Material(name, path, {"kind": "local", "files": pattern}, left_out=left_out, names=names)


def _one_kind(names: list[str], kinds: dict[str, str]) -> str:
    """A glob for files of one kind whose suffixes begin alike, as .json and .jsonl of JSON Lines do; "" for others."""
    suffixes = sorted({PurePosixPath(name).suffix.lower() for name in names})
    start = os.path.commonprefix(suffixes)
    if len(suffixes) < 2 or len(start) < 4 or len({kinds[suffix] for suffix in suffixes}) > 1:
        return ""
    return f"{'**/' if any('/' in name for name in names) else ''}*{start}*"


def _commonest(names: list[str], left_out: Counter, place: str, refused: list | None = None) -> str:
    """A glob for the files of the commonest suffix; those that tell of the others come last."""

    def tells(name: str) -> bool:
        return PurePosixPath(name).stem.lower().startswith(ASIDE)

    rows = [name for name in names if not tells(name)] or names
    if not rows:
        listing = (f"{count} files {suffix or '(no suffix)'}: {error.found}" for suffix, count, error in refused or [])
        refusal = f"nothing that can be read: {', '.join(listing) or 'no files'}"
        raise StageError(place, refusal, "files of rows: CSV, JSON, Excel, Parquet, XML, text, HTML", "convert them first")
    suffixes = Counter(PurePosixPath(name).suffix for name in rows)
    most = max(suffixes.values())
    best = [suffix for suffix, count in suffixes.items() if count == most]
    if len(best) > 1:
        listing = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in suffixes.items())
        raise StageError(place, f"files of several kinds: {listing}", "one kind", "name one file, or a folder of one kind")
    for name in names:
        if PurePosixPath(name).suffix != best[0]:
            left_out[PurePosixPath(name).name if tells(name) else f"*{PurePosixPath(name).suffix}"] += 1
    some = [name for name in rows if PurePosixPath(name).suffix == best[0]]
    if len(some) == 1:
        return escape(some[0])
    prefix = "**/" if any("/" in name for name in some) else ""
    return f"{prefix}*{best[0]}"


def _web(url: str, name: str) -> Material:
    """What lies at an address."""
    last = unquote(PurePosixPath(urlsplit(url).path).name)
    file = re.sub(r"[^A-Za-z0-9._-]+", "_", last).lstrip("._-") or "page.html"
    name = name or name_of(re.sub(r"(\.[A-Za-z]\w{0,7})+$", "", file) if last else urlsplit(url).netloc)
    return Material(name, None, {"kind": "web", "urls": {file: url}, "sha256": {file: ""}})
