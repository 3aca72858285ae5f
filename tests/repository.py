"""A repository of its own with this one's stages and pipeline, a tiny base, and a local remote: for trying DVC end to end.

The bases arrive as wheels, like the real ones, from a folder that pip is told to look into.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ruamel.yaml import YAML

from tests import tiny
from tests.imports import ROOT

MODEL, DATASET = "medical", "medical_qa"  # whose sections of params.yaml are taken over
BASES = {"smollm2": "causal", "minilm": "encoder"}
# a training step that is written down, and that a file can make deadly, once; and a checkpoint after each
DEADLY = """

_undisturbed_schedule = schedule


def schedule(kind, step, *rest):
    import os
    import signal
    from pathlib import Path

    tools = Path(os.environ["TOOLS"])
    with open(tools / "steps.txt", "a") as log:
        log.write(f"{step}\\n")
    if (tools / "kill").exists() and (tools / "kill").read_text() == str(step):
        (tools / "kill").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return _undisturbed_schedule(kind, step, *rest)
"""


class Repository:
    """A work tree that commands run in; `tools` (wheels, scratch, logs) lies outside it."""

    def __init__(self, folder: Path, tools: Path):
        self.folder, self.tools = folder, tools

    def environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if name != "AFFINAGE_SCRATCH"}
        own = {
            "PATH": os.pathsep.join([str(self.tools / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": "",  # DVC puts each work tree's own `stages` first: the current directory
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.tools / "wheels"),
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "passive",
            "TOOLS": str(self.tools),
        }
        people = {f"GIT_{role}_{field}": "a@b" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}
        return environment | own | people

    def run(self, *command: str, fails: bool = False) -> str:
        """What a command prints; it has to succeed, or (fails) to fail."""
        with tempfile.TemporaryFile("w+") as said:  # no pipe: workers of the queue would hold it open
            done = subprocess.run(
                command, cwd=self.folder, env=self.environment(), stdout=said, stderr=subprocess.STDOUT, timeout=500
            )
            said.seek(0)
            output = said.read()
        assert bool(done.returncode) == fails, f"{command}\n{output}"
        return output

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments).strip()

    def dvc(self, *arguments: str, fails: bool = False) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, fails=fails)

    def affinage(self, *arguments: str) -> str:
        """A command of this repository."""
        return self.run("affinage", *arguments)

    def clone(self, folder: Path) -> "Repository":
        """A fresh clone, which shares nothing but what was pushed."""
        subprocess.run(["git", "clone", "-q", self.tools / "origin", folder], check=True)
        return Repository(folder, self.tools)


def ran(output: str) -> list[str]:
    """The stages that a `dvc repro` or `dvc exp run` says it ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]


def wheel(folder: Path, package: str, model: Path) -> str:
    """A wheel that holds a model directory; returns its sha256."""
    path = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file in sorted(model.iterdir()):
            wheel.write(file, f"{package}/model/{file.name}")
        wheel.writestr(f"{package}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        wheel.writestr(f"{package}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{package}-1.0.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _params(wheels: Path, work: Path) -> dict:
    """The default parameters cut down to one model, with tiny stand-ins."""
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    chosen = {name: params[name] for name in ("judge_base", "defaults")} | {"bases": {}}
    chosen |= {"datasets": {DATASET: params["datasets"][DATASET]}, "models": {MODEL: params["models"][MODEL]}}
    for name, architecture in BASES.items():
        model = tiny.base(work / name) if architecture == "causal" else tiny.encoder(work / name)
        chosen["bases"][name] = {
            "base": {
                "kind": "wheel",
                "package": f"tiny_{name}",
                "version": "1.0",
                "sha256": wheel(wheels, f"tiny_{name}", model),
                "path": f"tiny_{name}/model",
                "architecture": architecture,
            }
        }
    sections = {"train": tiny.training(), "generate": tiny.generation(), "judge": tiny.judging()}
    chosen["models"][MODEL] |= {name: section.model_dump(mode="json") for name, section in sections.items()}
    del chosen["models"][MODEL]["train"]["weight_decay"]  # left to the defaults, which say the same
    return chosen


def make(folder: Path, tools: Path) -> Repository:
    """The repository, not yet run, with its remotes `tools/origin` (git) and `tools/remote` (DVC)."""
    (tools / "wheels").mkdir(parents=True)
    folder.mkdir()
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("stages", "affinage"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    program = tools / "bin" / "affinage"  # runs the commands of the work tree that it is called in
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m affinage "$@"\n')
    program.chmod(0o755)
    loop = folder / "stages" / "training" / "loop.py"
    text = loop.read_text(encoding="utf-8")
    assert "CHECKPOINT_SECONDS = 60" in text
    loop.write_text(text.replace("CHECKPOINT_SECONDS = 60", "CHECKPOINT_SECONDS = -1") + DEADLY, encoding="utf-8")
    shutil.copytree(ROOT / "marks", folder / "marks")
    source = folder / "data" / "sources" / DATASET
    source.mkdir(parents=True)
    for name in ("kidneys.jsonl", "childhood.jsonl"):
        shutil.copy(ROOT / "data" / "sources" / DATASET / name, source / name)
    pipeline = YAML(typ="safe").load((folder / "dvc.yaml").read_text(encoding="utf-8"))
    pipeline["plots"] = []  # those of the other models
    pipeline["artifacts"]["partfinder"]["path"] = f"models/{MODEL}"
    for name, content in (("dvc.yaml", pipeline), ("params.yaml", _params(tools / "wheels", tools / "models"))):
        with open(folder / name, "w", encoding="utf-8") as file:
            YAML(typ="safe").dump(content, file)
    here = Repository(folder, tools)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", tools / "origin"], check=True)
    here.git("init", "-q", "-b", "main")
    here.git("remote", "add", "origin", str(tools / "origin"))
    here.dvc("init", "-q")
    here.dvc("config", "core.analytics", "false")
    here.dvc("remote", "add", "-d", "storage", str(tools / "remote"))
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots", dirs_exist_ok=True)
    return here


def finished(shared: Path) -> Path:
    """A folder with a repository (`work`) whose first run is committed and pushed, and its `tools`; made by who comes first."""
    folder, done = shared / "finished", shared / "finished.done"
    with open(shared / "finished.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what another worker failed to make
            folder.mkdir()
            here = make(folder / "work", folder / "tools")
            here.dvc("repro")
            here.git("add", "-A")
            here.git("commit", "-qm", "first run")
            here.git("push", "-q", "-u", "origin", "main")
            here.dvc("push")
            done.touch()
    return folder


def copy(finished: Path, folder: Path) -> Repository:
    """A copy of a finished repository, with a git remote of its own; the DVC remote, which only ever grows, is shared."""
    shutil.copytree(finished, folder, dirs_exist_ok=True, symlinks=True)
    here = Repository(folder / "work", folder / "tools")
    here.git("remote", "set-url", "origin", str(here.tools / "origin"))
    return here
