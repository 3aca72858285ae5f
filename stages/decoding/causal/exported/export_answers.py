"""Answers of the tuned model as it is exported: a GGUF file, read by llama.cpp."""

import shutil
import time
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

import torch

from stages.common import kept
from stages.common.progress import Progress
from stages.common.rows import FormattedText
from stages.common.schema_models import Generate
from stages.common.scratch import content_hash
from stages.decoding.answers import Answer, latencies
from stages.decoding.causal.exported import llama_cpp, quantizing
from stages.decoding.causal.exported.gguf_file import BY_LLAMA_CPP, write_gguf
from stages.decoding.causal.texts import NO_SAY, Prompt, check_tokens, prompt_texts, said
from stages.decoding.contestants import Contestant
from stages.models import runtime


def require_programs(exports: list[str]) -> None:
    """Check that what exports of these types need is there.

    Raises:
        StageError: if llama.cpp, or its program that quantizes, is missing.
    """
    if exports:
        llama_cpp.package()
    if any(kind in BY_LLAMA_CPP for kind in exports):
        quantizing.program()


def answers(
    contestant: Contestant, rows: list[FormattedText], options: Generate, progress: Progress
) -> tuple[list[Answer], dict]:
    """One answer a row, and the speed. The file is written when the first answer is not kept, and goes when all are there.

    One prompt is answered at a time: the company of others would change the last bits, and so an answer.

    Raises:
        StageError: if llama.cpp is missing, or reads other tokens than the model was trained on.
    """
    start = time.monotonic()
    kind, folder = contestant.export, contestant.folder
    prompts, unasked, marked = prompt_texts(contestant, rows, options)
    packages = [_version("xllamacpp"), version("gguf"), content_hash(quantizing.program()) if kind in BY_LLAMA_CPP else ""]
    settings = [options.model_dump(exclude=NO_SAY), contestant.stop, kind, packages]
    before = kept.computed("exports", __name__, [folder], settings, runtime.machine(torch.float32))
    all_answers, fresh, servers = [], [], []
    with ExitStack() as stack:

        def make(prompt: Prompt) -> dict:
            if not servers:
                files = before.folder / "gguf"
                stack.callback(shutil.rmtree, files, ignore_errors=True)
                file = write_gguf(folder, files, contestant.name, kind)
                context = max(tokens for _, tokens in filter(None, prompts)) + options.max_new_tokens
                servers.append(llama_cpp.serve(file, context))
            answer = _answer(servers[0].listening_address, contestant, prompt, options)
            fresh.append(answer.tokens)
            return asdict(answer)

        for prompt, instead in zip(prompts, unasked, strict=True):
            all_answers.append(instead if prompt is None else Answer(**before.get(prompt, lambda prompt=prompt: make(prompt))))
            progress.add(1, contestant=contestant.name)
        servers.clear()  # before its file goes
    seconds = time.monotonic() - start
    speed = {"seconds": seconds, "tokens": sum(fresh), "tokens_per_second": sum(fresh) / seconds, "marked": marked}
    return all_answers, speed | latencies(all_answers)


def _answer(address: str, contestant: Contestant, prompt: Prompt, options: Generate) -> Answer:
    """The answer to a prompt."""
    start = time.monotonic()
    text, tokens = prompt
    named = {"prompt": text, "n_predict": options.max_new_tokens, "stop": contestant.stop, **llama_cpp.sampling(options)}
    reply = llama_cpp.ask(address, "completion", **named)
    check_tokens(f"llama.cpp, {contestant.name}", reply["tokens_evaluated"], tokens)
    finish = "length" if reply["stop_type"] == "limit" else "stop"
    written = reply["tokens_predicted"] - (reply["stop_type"] == "eos")  # the end token is no part of an answer
    return Answer(said(contestant, reply["content"]), written, tokens, finish, time.monotonic() - start)


def _version(package: str) -> str:
    """Of an optional package; without it nothing new can be answered, and `serve` says so."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
