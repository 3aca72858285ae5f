"""What a revision left: the files of the work tree, of a commit or of an experiment, wherever DVC keeps them.

What git keeps is read from git (history/revisions.py). The rest is read out of DVC's cache, and out of the remote where the
cache lacks it, through DVC's own file system. Nothing is checked out, and no file of the work tree is touched.
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path

from ruamel.yaml import YAML

from affinage.history import revisions
from stages.common.errors import StageError, shorten
from stages.common.files import parse_row

WORKSPACE = "workspace"


class Gone(StageError):
    """The revision had the file, but its content is in neither cache nor remote."""


class Revision:
    """The outputs of one revision.

    Args:
        name: `workspace`, or what git or DVC resolves: a commit, branch, tag or an experiment's name.
        root: the repository.
    """

    def __init__(self, name: str = WORKSPACE, root: Path = Path()):
        self.name, self.root = name, root

    @cached_property
    def commit(self) -> str | None:
        """The commit (40 hex digits) behind the name; of the work tree, the one it was checked out from, if any.

        Raises:
            StageError: if git and DVC know no such revision.
        """
        if self.name != WORKSPACE:
            return revisions.resolve(self.name, self.root)
        try:
            return revisions.resolve("HEAD", self.root)
        except StageError:  # no git here, or nothing committed yet
            return None

    @cached_property
    def _files(self):
        from dvc.api import DVCFileSystem
        from dvc.exceptions import NotDvcRepoError

        try:
            return DVCFileSystem(str(self.root.resolve()), rev=None if self.name == WORKSPACE else self.commit)
        except NotDvcRepoError:
            return None

    def __str__(self) -> str:
        return self.name

    def where(self, path: str) -> str:
        """How an error names a file of this revision."""
        return path if self.name == WORKSPACE else f"{path} at {self.name}"

    def read(self, path: str) -> bytes | None:
        """The file's bytes; None where the revision has no such file.

        Raises:
            StageError: if the revision has it, but neither cache nor remote holds its content.
        """
        if self.name == WORKSPACE and (self.root / path).is_file():
            return (self.root / path).read_bytes()
        if self.name != WORKSPACE and (kept := revisions.contents([(self.commit, path)], self.root)):
            return kept[self.commit, path]
        if self._files is None or not self._files.exists(path):
            return None
        from dvc.exceptions import DvcException

        try:
            return self._files.read_bytes(path)
        except (OSError, DvcException) as error:  # in dvc.lock, but garbage-collected or never pushed
            raise Gone(
                self.where(path),
                f"its content is in neither cache nor remote ({shorten(' '.join(str(error).split()))})",
                "an output that was run, pulled or pushed",
                self.fetch([path]),
            ) from None

    def fetch(self, paths: list[str]) -> str:
        """How outputs of this revision come back that are not at hand: the command, and where from."""
        from dvc.repo import Repo

        files = " ".join(paths)
        pull = f"dvc pull {files}" if self.name == WORKSPACE else f"dvc fetch --all-commits {files}"
        stages = " ".join(self._stages_of(paths))
        repro = f"dvc repro {stages}" if self.name == WORKSPACE else f"git switch --detach {self.name} && dvc repro {stages}"
        with Repo(str(self.root.resolve())) as repo:  # the work tree's: an old revision may name no remote
            config = repo.config
        if name := config["core"].get("remote"):
            return f"{pull} (from the remote {name}, {config['remote'][name]['url']}), or {repro}"
        return f"{repro}; no remote is set here, from which {pull} could bring them"

    def _stages_of(self, paths: list[str]) -> list[str]:
        """The stages that wrote these outputs, by dvc.lock."""
        outputs = {name: [output["path"] for output in entry.get("outs") or []] for name, entry in self._lock.items()}
        return [
            name
            for name, own in outputs.items()
            if any(path == out or path.startswith(f"{out}/") for path in paths for out in own)
        ]

    def gone(self, paths: list[str]) -> list[str]:
        """Which of these outputs the revision had, and neither cache nor remote holds."""
        lost = []
        for path in paths:
            try:
                self.read(path)
            except Gone:
                lost.append(path)
        return lost

    def need(self, path: str, stage: str) -> bytes:
        """The file's bytes.

        Raises:
            StageError: naming the stage that makes it, if there is no such file.
        """
        content = self.read(path)
        if content is None:
            raise StageError(self.where(path), "no such file", f"the output of {stage}", f"dvc repro {stage}")
        return content

    def rows(self, path: str, stage: str) -> list[dict]:
        """The rows of a JSONL file that `stage` makes."""
        rows = []
        for number, line in enumerate(self.need(path, stage).splitlines(), 1):
            try:
                rows.append(parse_row(line))
            except ValueError as error:
                problem = f"{shorten(line.decode(errors='replace'))} ({error})"
                raise StageError(
                    f"{self.where(path)} line {number}", problem, "one JSON object a line", "dvc checkout"
                ) from None
        return rows

    def json(self, path: str) -> dict:
        """A metrics file; empty where there is none."""
        try:
            return json.loads(self.read(path) or b"{}")
        except ValueError as error:
            raise StageError(self.where(path), f"broken JSON ({error})", "JSON", "dvc checkout, or git checkout") from None

    def text(self, path: str) -> str:
        """A text file; empty where there is none."""
        return (self.read(path) or b"").decode(errors="replace")

    @cached_property
    def _lock(self) -> dict:
        return (YAML(typ="safe").load(self.text("dvc.lock")) or {}).get("stages") or {}

    def changed_since(self, stage: str, path: str) -> bool:
        """Whether a file is no longer the one that `stage` read or wrote when it last ran, by dvc.lock."""
        entry = self._lock.get(stage) or {}
        known = {output["path"]: output.get("md5") for kind in ("deps", "outs") for output in entry.get(kind) or []}
        content = self.read(path) if path in known else None
        return content is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != known[path]

    @cached_property
    def params(self) -> dict:
        """`params.yaml` as it was, filled in but unchecked: an old revision keeps to an old schema."""
        from stages.common.defaults import as_read

        return as_read(YAML(typ="safe", pure=True).load(self.text("params.yaml")) or {})

    def model(self, name: str) -> dict:
        """The entry `models.<name>`.

        Raises:
            StageError: naming the models that there are.
        """
        models = self.params.get("models") or {}
        if name not in models:
            names = ", ".join(models) or "none"
            raise StageError(self.where("params.yaml"), f"no model {name!r}", f"one of: {names}", "name one of these")
        return models[name]
