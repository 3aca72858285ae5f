"""Files at the service. Each content is uploaded once, under a name that holds its hash."""

from pathlib import Path

from stages.common import kept
from stages.common.errors import StageError
from stages.common.locks import alone
from stages.training.hosted.client import Missing, Service
from stages.training.hosted.state import State, once


def name_of(sha256: str) -> str:
    """What a file is called at the service. By this name it is found again, from another machine or after scratch was lost."""
    return f"affinage-{sha256[:32]}.jsonl"


def folder_of(service: Service, sha256: str) -> Path:
    """Scratch for the record of one file at one service."""
    return kept.fetched("file of a hosted job", service.address, sha256).folder


def find(service: Service, state: State, sha256: str, size: int) -> dict | None:
    """The file at the service, by the id on record or else by its name; None if it is not there."""

    def good(file: dict) -> bool:
        same = file.get("filename") == name_of(sha256) and file.get("bytes") == size
        return same and file.get("status") != "error"

    if file_id := state.record.get("id"):
        try:
            if good(file := service.file(file_id)):
                return file
        except Missing:  # deleted, or of another account
            pass
    return next(filter(good, service.all_files()), None)


def uploaded_id(service: Service, path: Path, sha256: str) -> str | None:
    """The id of the file, if the service has it."""
    state = State(folder_of(service, sha256))
    file = service.patiently(lambda: find(service, state, sha256, path.stat().st_size))
    return file and file["id"]


def ensure(service: Service, path: Path, sha256: str) -> str:
    """The id of the file at the service, uploaded if it is not there.

    Raises:
        StageError: if the service has not all of its bytes, or refuses it.
    """
    folder, size = folder_of(service, sha256), path.stat().st_size
    with alone(folder, wait=True):  # another model may be sending the same file
        state = State(folder)
        file = once(
            service,
            state,
            "upload",
            lambda: find(service, state, sha256, size),
            lambda: service.upload(path, name_of(sha256)),
        )
        if file.get("bytes") != size:
            raise StageError(
                f"{service.address}: file {file['id']}",
                f"{file.get('bytes')} bytes",
                f"{size}, all of {path}",
                "delete it there, then run the same command again",
            )
        state.save(doing="", id=file["id"], name=name_of(sha256), bytes=size)
    return file["id"]
