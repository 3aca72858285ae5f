"""llama.cpp's server in this process, out of the package xllamacpp."""

from pathlib import Path

import requests

from stages.common.errors import StageError
from stages.common.schema_models import Generate

WHOLE = 2**16  # tokens that a penalty looks back: prompt and answer


def package():
    """xllamacpp.

    Raises:
        StageError: if it is missing.
    """
    try:
        import xllamacpp
    except ImportError:
        raise StageError("xllamacpp", "not installed", "llama.cpp as a package", "pip install xllamacpp") from None
    return xllamacpp


def serve(file: Path, context: int, exact: bool = False):
    """A server of the GGUF file `file`; `listening_address` says where. It answers one request at a time, on the CPU, and ends
    with the object.

    Args:
        context: tokens of prompt and answer.
        exact: keys and values in float32, and plain attention, as transformers computes; else as llama.cpp has them.
    """
    xllamacpp = package()
    options = xllamacpp.CommonParams()
    options.model.path, options.n_ctx, options.n_parallel = str(file), context, 1
    if exact:
        options.cache_type_k = options.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        options.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    options.n_gpu_layers, options.warmup, options.verbosity, options.fit_params = 0, False, 0, False
    return xllamacpp.Server(options)


def sampling(options: Generate) -> dict:
    """How to answer, by llama.cpp's names. Its own samplers have a say unless they are turned off.

    Args:
        options: or whatever has the same names: `Options` of a server.
    """
    off = {"min_p": 0.0, "typical_p": 1.0, "cache_prompt": False}
    penalty = {"repeat_penalty": options.repetition_penalty, "repeat_last_n": WHOLE}
    drawn = {"temperature": options.temperature, "top_k": options.top_k, "top_p": options.top_p, "seed": options.seed}
    return off | penalty | drawn


def ask(address: str, route: str, **body) -> dict:
    """What the server replies.

    Raises:
        StageError: if it refuses, with its words.
    """
    with requests.Session() as session:
        session.trust_env = False  # no proxy on the way to this machine
        reply = session.post(f"{address}/{route}", json=body, timeout=600)
    if not reply.ok:
        raise StageError(f"llama.cpp {route}", reply.text, "a reply", "")
    return reply.json()
