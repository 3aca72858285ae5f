"""Kept work: results that are computed or fetched once, and then found again below `.cache/` by their key.

Every key is made here, and only here. There are two kinds of work.

COMPUTED by our own code: answers, probabilities, likelihoods, checkpoints. The key holds

- the content of the inputs;
- the parameters as resolved: the dtype and not `auto`, the kind of device, what the CPU is capable of;
- the statements of the module that computes, and of every module of ours that it imports (closure.py);
- the versions of the libraries that compute.

So the work is done again after one changed statement, or an update of torch.

FETCHED from elsewhere: paid jobs, answers and verdicts of servers, downloads, wheels, files of a hub. The key holds data and
parameters alone, and no code. A changed line of ours must never pay or fetch a second time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from stages.common.closure import code_hash
from stages.common.scratch import content_hash, fingerprint, remember, scratch

# an update of these may change a figure or a prompt; PyTorch's version is also that of its kernels
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "peft", "jinja2", "sacrebleu")


# computed work: the stage that it belongs to
COMPUTED = {
    "answers": "generate",
    "exports": "generate",
    "labels": "generate",
    "likelihood": "generate",
    "signals": "judge",
    "disorder": "judge",
    "training": "train",
}

# fetched work: its two folders below scratch, or the first alone, where `name` is the second
FETCHED = {
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
    """The folder in which one kind of work on one set of inputs is kept, a file for each result."""

    key: str
    folder: Path

    def path(self, request: object) -> Path:
        """The file of the result for `request`: whatever tells this result from others of the folder."""
        return self.folder / f"{fingerprint(request)[:32]}.json"

    def get(self, request: object, make: Callable[[], object]) -> object:
        """The result for `request`, anything that JSON holds: from its file, or else from `make()` and into its file."""
        return remember(self.path(request), make)

    def named(self, name: str, make: Callable[[], object]) -> object:
        """The same for a result with a name of its own."""
        return remember(self.folder / f"{name}.json", make)


def computed(work: str, module: str, inputs: Iterable[Path], settings: object, machine: dict[str, str], name: str = "") -> Kept:
    """The place of work that our code computes.

    Args:
        work: a key of COMPUTED.
        module: `__name__` of the module that computes it: whatever it imports has a say.
        inputs: files and directories that it reads.
        settings: parameters that it depends on, and whatever else tells it from other work of its kind.
        machine: `runtime.machine(...)`: what it runs on, and in which precision.
        name: of its folder; by default `work`.
    """
    code, libraries = code_hash(module), {name: version(name) for name in LIBRARIES}
    key = fingerprint([*map(content_hash, inputs)], settings, machine, code, libraries)
    return Kept(key, scratch(COMPUTED[work], name or work, key))


def fetched(work: str, *parts: object, name: str = "") -> Kept:
    """The place of work that is fetched or paid; `parts` are the data and the parameters that it depends on."""
    return placed(work, fingerprint(*parts), name)


def placed(work: str, key: str, name: str = "") -> Kept:
    """The same by a key that is known already: a hosted job has its key written down at the service, too."""
    stage, _, fixed = FETCHED[work].partition("/")
    return Kept(key, scratch(stage, fixed or name, key))
