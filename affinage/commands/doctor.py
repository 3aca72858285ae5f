"""What this machine has for the pipeline, and what in params.yaml cannot run here: `affinage doctor`."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import typer

from stages.common.errors import StageError
from stages.common.params import FILE, read

KEYS = ("OPENAI_API_KEY", "OLLAMA_API_KEY", "HF_TOKEN", "KAGGLE_KEY")
GIB = 2**30
LEAST_DISK, LEAST_MEMORY = 10 * GIB, 4 * GIB  # the default run keeps some 5 GiB and holds some 2
SET_KEY = "export OPENAI_API_KEY=…"
SECONDS = 2  # that a server may take to answer
LOCK = Path("requirements.lock")


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and (where it is a problem) what helps."""

    subject: str
    state: str
    fix: str = ""

    def __str__(self) -> str:
        sign = "!!" if self.fix else "ok"
        return f"{sign}  {self.subject:<10} {self.state}" + (f"\n    {'':<10} {self.fix}" if self.fix else "")


def python() -> Iterator[Finding]:
    """The version of Python."""
    old = sys.version_info < (3, 11)
    yield Finding("Python", platform.python_version(), "make run PYTHON=/path/to/python3.11" if old else "")


def packages() -> Iterator[Finding]:
    """Installed packages against the lock. Those that another platform needs are left out."""
    pinned = re.findall(r"^([\w.-]+)==([\w.+]+)(.*)$", LOCK.read_text(encoding="utf-8"), re.MULTILINE) if LOCK.exists() else []
    missing, other = [], []
    for name, number, rest in pinned:
        try:
            if version(name) != number:
                other.append(f"{name} {version(name)} for {number}")
        except PackageNotFoundError:
            if ";" not in rest:
                missing.append(name)
    wrong = [*other, *(f"{name} is missing" for name in missing)]
    shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    yield Finding("packages", shown or f"all {len(pinned)} of {LOCK} as locked", "make setup" if wrong else "")


def machine() -> Iterator[Finding]:
    """Cores, memory and disk."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", str(cores))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    few = "close other programs, or train fewer layers at once" if memory < LEAST_MEMORY else ""
    yield Finding("memory", f"{memory / GIB:.0f} GiB", few)
    free = shutil.disk_usage(".").free
    full = "dvc gc --workspace, or a larger disk" if free < LEAST_DISK else ""
    yield Finding("disk", f"{free / GIB:.0f} GiB free here", full)


def processor() -> Iterator[Finding]:
    """The device that models run on, and the precision they answer and train in."""
    import torch

    from stages.models import runtime

    device = runtime.device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU: models run on the CPU"
    answers, trains = (runtime.short_name(choose("auto", device)) for choose in (runtime.precision, runtime.training_precision))
    yield Finding("device", f"{name}, answers in {answers}, trains in {trains}, torch {torch.__version__}")


def storage() -> Iterator[Finding]:
    """DVC's cache and remote."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            yield Finding("DVC cache", repo.cache.local.path)
            remote = repo.config["core"].get("remote")
            yield Finding("DVC remote", remote or "none: nothing can be shared (dvc remote add -d storage <folder, s3://…>)")
    except DvcException as error:
        yield Finding("DVC", str(error), "run from the root of a clone")


def keys() -> Iterator[Finding]:
    """Which keys are set; never their values."""
    set_keys = [name for name in KEYS if os.environ.get(name)]
    yield Finding("keys", f"{', '.join(set_keys) or 'none'} set" + (" (values are not shown)" if set_keys else ""))


def ollama() -> Iterator[Finding]:
    """Whether Ollama answers, and the models it has."""
    models = ollama_models()
    yield Finding("Ollama", "does not answer" if models is None else f"has {', '.join(models) or 'no model'}")


def ollama_models() -> list[str] | None:
    """The models of the local Ollama; None where none answers."""
    import requests

    host = os.environ.get("OLLAMA_HOST") or "127.0.0.1:11434"
    address = host if "://" in host else f"http://{host}"
    try:
        answer = requests.get(f"{address}/api/tags", timeout=SECONDS)
        return [model["name"] for model in answer.json()["models"]]
    except (requests.RequestException, ValueError, KeyError):
        return None


def parameters() -> Iterator[Finding]:
    """What in params.yaml cannot run here, and why."""
    from stages.common.check_params import check

    try:
        params = check(read(), FILE)
    except StageError as error:
        yield Finding("params", " ".join(str(error).split()), "edit params.yaml")
        return
    problems = [*_hosted(params), *_judges(params), *_forms(params)]
    yield from problems or [Finding("params", f"{len(params.models)} models, all can run here")]


def _hosted(params) -> Iterator[Finding]:
    for name, model in params.models.items():
        if model.train.method == "hosted" and not os.environ.get("OPENAI_API_KEY"):
            yield Finding(f"models.{name}", "is trained by a hosted service: OPENAI_API_KEY is not set", SET_KEY)


def _judges(params) -> Iterator[Finding]:
    known = None
    for name, model in params.models.items():
        for judge, options in getattr(model.judge, "judges", {}).items():
            if options.kind == "openai" and not options.base_url and not os.environ.get("OPENAI_API_KEY"):
                yield Finding(f"models.{name}", f"judge {judge} asks OpenAI: OPENAI_API_KEY is not set", SET_KEY)
            if options.kind == "ollama":
                known = ollama_models() if known is None else known
                if known is None:
                    yield Finding(f"models.{name}", f"judge {judge} needs Ollama, which does not answer", "ollama serve")
                elif not {options.model, f"{options.model}:latest"} & set(known):
                    yield Finding(f"models.{name}", f"judge {judge} needs {options.model}", f"ollama pull {options.model}")


def _forms(params) -> Iterator[Finding]:
    """What exports that answer, too, need of llama.cpp."""
    for name, model in params.models.items():
        exports = getattr(model.generate, "exports", [])
        if exports and not find_spec("xllamacpp"):
            yield Finding(f"models.{name}", "exports answer through llama.cpp: xllamacpp is missing", "pip install xllamacpp")
        if "q4_k_m" in exports and not shutil.which("llama-quantize"):
            yield Finding(f"models.{name}", "q4_k_m needs llama-quantize on the PATH", "install llama.cpp, or take q8_0")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python,
    packages,
    machine,
    processor,
    storage,
    keys,
    ollama,
    parameters,
)


def command() -> None:
    """Say what this machine has for the pipeline, and what in params.yaml cannot run here and why; status 1 where that is so.

    Example: affinage doctor
    """
    problem = False
    for look in CHECKS:
        for finding in look():
            print(finding, flush=True)
            problem |= bool(finding.fix)
    if problem:
        raise typer.Exit(1)
