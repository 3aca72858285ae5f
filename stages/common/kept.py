"""Kept work: what was made or fetched before, and need not be again. Every key of it is made here, and only here.

There are two kinds.

MADE by our own code: answers, probabilities, likelihoods, checkpoints. The key holds

- the content of the inputs;
- the parameters as resolved: the dtype and not `auto`, the kind of device, what the CPU is capable of;
- the statements of every module of ours that the maker imports (closure.py);
- the versions of the libraries that compute.

So one changed statement, or an update of torch, and the work is done again.

BROUGHT from elsewhere: paid jobs, answers and verdicts of servers, downloads, wheels, files of a hub. The key holds data and
parameters alone. A changed line of ours must never pay or fetch a second time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from stages.common.closure import code_hash
from stages.common.scratch import content_hash, fingerprint, remember, scratch

# whose updates may change a figure or a prompt; PyTorch's version is also that of its kernels
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "peft", "jinja2")


# work of our own code, and the stage that it belongs to
MADE = {
    "answers": "generate",
    "labels": "generate",
    "likelihood": "judge",
    "signals": "judge",
    "disorder": "judge",
    "training": "train",
}

# what is brought from elsewhere, and below which folder of scratch it lies (in one of its `name` where there is but one)
BROUGHT = {
    "wheel": "base",
    "model of the hub": "base",
    "data set of the hub": "hub",
    "download": "http",
    "served answers": "generate/served",
    "verdicts": "judge/verdicts",
    "identity of a server": "servers",
    "rows of a hosted job": "hosted",
    "hosted job": "hosted/jobs",
    "file of a hosted job": "hosted/files",
}


@dataclass(frozen=True)
class Kept:
    """Where one kind of work on one set of inputs is kept."""

    key: str
    folder: Path

    def path(self, request: object) -> Path:
        """The file that a result is kept in."""
        return self.folder / f"{fingerprint(request)[:32]}.json"

    def get(self, request: object, make: Callable[[], object]) -> object:
        """What `make()` gives for `request`: anything that JSON holds. It is made once, whatever is killed."""
        return remember(self.path(request), make)

    def named(self, name: str, make: Callable[[], object]) -> object:
        """The same for the one result of its name in this place."""
        return remember(self.folder / f"{name}.json", make)


def made(work: str, maker: str, inputs: Iterable[Path], settings: object, machine: dict[str, str], name: str = "") -> Kept:
    """The place of work that our code makes.

    Args:
        work: a key of MADE.
        maker: the module that makes it, its `__name__`: whatever it imports has a say.
        inputs: files and directories that it reads.
        settings: parameters that it depends on, and whatever else tells it from other work of its kind.
        machine: `runtime.machine(...)`: what it runs on, and in which precision.
        name: of the folder that it lies in; that of the work where nothing is said.
    """
    code, libraries = code_hash(maker), {name: version(name) for name in LIBRARIES}
    key = fingerprint([*map(content_hash, inputs)], settings, machine, code, libraries)
    return Kept(key, scratch(MADE[work], name or work, key))


def brought(work: str, *parts: object, name: str = "") -> Kept:
    """The place of work that was paid or fetched: `parts` are the data and the parameters that it is known by."""
    return placed(work, fingerprint(*parts), name)


def placed(work: str, key: str, name: str = "") -> Kept:
    """The same where the key is known: that of a hosted job is written down at the service, too."""
    stage, _, fixed = BROUGHT[work].partition("/")
    return Kept(key, scratch(stage, fixed or name, key))
