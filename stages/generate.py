"""Answer every test row and every probe with the tuned model and with what it is compared with."""

import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

from stages.common.cli import run_stage
from stages.common.files import read_rows, write_json, write_rows
from stages.common.progress import Progress
from stages.common.schema import Generate
from stages.common.scratch import code_hash, content_hash, fingerprint, remember, scratch
from stages.decoding import local, sampling
from stages.decoding.contestants import Contestant, contestants
from stages.models import directory, runtime


def answers(who: Contestant, rows: list[dict], options: Generate, progress: Progress) -> list[local.Answer]:
    """One answer a row. Groups answered before, by the same weights, prompts, options and code, are not answered again."""
    prompts = [who.tokens(row["messages"]) for row in rows]
    found, loaded = {}, []

    def make(group: list[int]) -> list[dict]:
        if not loaded:
            device = runtime.device()
            loaded.append(directory.load(who.folder, dtype=runtime.precision(options.precision, device)).to(device))
        return [
            asdict(answer) for answer in local.answer(loaded[0], who.tokenizer, [prompts[i] for i in group], options, who.stop)
        ]

    identity = fingerprint(
        content_hash(who.folder), options.model_dump(exclude={"probes"}), who.stop, code_hash(local, sampling)
    )
    room = directory.context_length(who.folder) - options.max_new_tokens
    for group in local.groups(prompts, options.batch_rows, room):
        kept = remember(
            scratch("generate", "answers", identity), fingerprint([prompts[i] for i in group]), partial(make, group)
        )
        found |= {i: local.Answer(**answer) for i, answer in zip(group, kept, strict=True)}
        progress.add(len(group), who=who.name)
    return [found.get(i) or local.too_long(prompt) for i, prompt in enumerate(prompts)]


def main(name: str, params: Generate, formatted: Path, model: Path, base: Path, root: Path, out: Path, speed: Path) -> None:
    """Answer side by side, each contestant with its own prompt."""
    runtime.deterministic()
    rows = list(read_rows(formatted / "test"))
    rows += [
        {"id": f"probe#{i}", "task": "text", "messages": [{"role": "user", "content": probe}]}
        for i, probe in enumerate(params.probes, 1)
    ]
    timings, made = {}, {}
    field = contestants(model, base, root)
    with Progress(len(rows) * len(field), f"generate {name}", "answer") as progress:
        for who in field:
            start = time.monotonic()
            made[who.name] = answers(who, rows, params, progress)
            seconds, tokens = time.monotonic() - start, sum(answer.tokens for answer in made[who.name])
            timings[who.name] = {"seconds": seconds, "tokens": tokens, "tokens_per_second": tokens / seconds}
    write_rows(
        out,
        (
            {
                "id": row["id"],
                "task": row["task"],
                "messages": row["messages"],
                "expected": row.get("completion"),
                **({"paraphrase": row["paraphrase"]} if "paraphrase" in row else {}),
                "answers": {who.name: {"prompt": who.prompt(row["messages"]), **asdict(made[who.name][i])} for who in field},
            }
            for i, row in enumerate(rows)
        ),
    )
    write_json(speed, {**timings, **runtime.environment()})


if __name__ == "__main__":
    run_stage(
        main,
        "models",
        "generate",
        {
            "formatted": "directory of formatted rows",
            "model": "model directory that answers",
            "base": "model it was tuned from",
            "root": "base at the start of its chain of rounds",
            "out": "answers to write",
            "speed": "timings and environment to write",
        },
    )
