"""A real llama.cpp server, embedded in a package."""

from pathlib import Path
from types import ModuleType


def start(llama: ModuleType, weights: Path, threads: int = 1):
    """A server of `xllamacpp` for GGUF weights, on a free port of the loopback interface; its `listening_address` says which.
    It ends with the object."""
    settings = llama.CommonParams()
    settings.model.path = str(weights)
    settings.n_ctx, settings.n_parallel, settings.port, settings.warmup = 4096, 2, 0, False
    settings.hostnames = ["127.0.0.1"]
    settings.verbosity = 0  # else it tells of each token
    settings.cpuparams.n_threads = threads
    return llama.Server(settings)
