"""Name what removed entries of `params.yaml` left behind: `affinage prune`; with --remove, remove it.

DVC keeps the outputs and the lines in `dvc.lock` of stages that are gone. Only what those stages wrote is touched, and
only if no stage of today writes it; sources, the cache and git's history stay. `dvc gc` then frees the cache.
"""

from pathlib import Path
from typing import Annotated

import typer

from stages.common.files import atomic_file, remove

SPEED = Path("metrics/speed")  # no stage's outputs, by model


def left_behind() -> tuple[list[str], list[Path]]:
    """Names of stages in dvc.lock that dvc.yaml no longer has, and the paths that only they wrote and that are still there."""
    from dvc.repo import Repo
    from dvc.utils.serialize import load_yaml

    with Repo() as repo:
        today = {stage.addressing for stage in repo.index.stages}
        written = {Path(out.def_path) for stage in repo.index.stages for out in stage.outs}
    lock = load_yaml("dvc.lock")["stages"] if Path("dvc.lock").exists() else {}
    left_over = [name for name in lock if name not in today]
    outs = {Path(out["path"]) for name in left_over for out in lock[name].get("outs", [])} - written
    models = {name.removeprefix("train@") for name in today if name.startswith("train@")}
    speed = {path for path in SPEED.glob("*") if path.name not in models}
    return left_over, sorted(path for path in outs | speed if path.exists())


def prune(names: list[str], paths: list[Path]) -> None:
    """Remove paths, their lines in .gitignore, folders that are then empty, and the stages' entries in dvc.lock."""
    from dvc.utils.serialize import modify_yaml

    for path in paths:
        remove(path)
        _forget(path)
        for folder in path.parents:
            if folder == Path(".") or any(folder.iterdir()):
                break
            folder.rmdir()
    if names:
        with modify_yaml("dvc.lock") as lock:
            for name in names:
                del lock["stages"][name]


def _forget(path: Path) -> None:
    """Take the line that DVC wrote for an output out of the .gitignore beside it."""
    ignored = path.parent / ".gitignore"
    if not ignored.exists():
        return
    lines = [line for line in ignored.read_text(encoding="utf-8").splitlines() if line != f"/{path.name}"]
    if lines:
        with atomic_file(ignored) as file:
            file.write("\n".join(lines) + "\n")
    else:
        ignored.unlink()


def command(
    remove_them: Annotated[bool, typer.Option("--remove", help="Remove what is named.")] = False,
) -> None:
    """Name what deleted entries of params.yaml left behind; with --remove, remove it.

    Example: affinage prune --remove
    """
    names, paths = left_behind()
    print("\n".join([*(f"dvc.lock: {name}" for name in names), *map(str, paths)]) or "nothing is left behind")
    if remove_them:
        prune(names, paths)
