"""Take a trained model out of the repository: `affinage export medical --to ollama --to card`.

Everything goes to `exports/<model>/` (git-ignored); `models/` is read and never written, for it is DVC's. It is no stage
of the pipeline: nothing hangs on it.

    gguf    gguf/<model>.gguf for llama.cpp; --check compares its greedy answers with those of transformers
    ollama  the same and a Modelfile: ollama create <model> -f exports/<model>/Modelfile
    card    README.md, a model card with data, figures, parameters, environment and licences
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stages.common.errors import StageError
from stages.common.files import atomic_file, read_rows
from stages.common.params import FILE, read

Kind = StrEnum("Kind", ["gguf", "ollama", "card"])
Weights = StrEnum("Weights", ["f32", "f16", "bf16", "q8_0", "q4_k_m"])
CHECKED = 20  # prompts


def export(name: str, kinds: list[str], weights: str, check: bool, out: Path = Path("exports")) -> list[str]:
    """Write the exports of one model; returns what to tell the user, one line each.

    Raises:
        StageError: if there is no such model, or it cannot be expressed in the format.
    """
    from stages.common.check_params import check as checked

    params = checked(read(), FILE)
    if name not in params.models:
        raise StageError(f"{FILE}: models", f"no {name!r}", f"one of: {', '.join(params.models)}", "name one of these")
    folder, target, written = Path("models") / name, out / name, []
    if "card" in kinds:
        from affinage.exporting.card import card

        with atomic_file(target / "README.md") as file:
            file.write(card(name, params, Path("data"), Path("metrics")))
        written.append(f"{target}/README.md")
    if "gguf" in kinds or "ollama" in kinds:
        from stages.decoding.causal.exported.gguf_file import write_gguf

        written.append(str(write_gguf(folder, target / "gguf", name, weights)))
        if check:
            written.append(_checked(folder, target / "gguf" / f"{name}.gguf", params.models[name]))
    if "ollama" in kinds:
        _write_modelfile(folder, target, name, params.models[name].generate)
        written.append(f"{target}/Modelfile: ollama create {name} -f {target}/Modelfile")
    return written


def _write_modelfile(folder: Path, target: Path, name: str, options) -> None:
    from affinage.exporting import ollama
    from stages.models.directory import context_length, load_tokenizer
    from stages.models.prompting import read_prompt

    tokenizer = load_tokenizer(folder)
    parts = ollama.take_apart(tokenizer, folder)
    stop = read_prompt(folder)["stop"] + ollama.end_marks(tokenizer)
    named = ollama.parameters(options, stop, context_length(folder))
    with atomic_file(target / "Modelfile") as file:
        file.write(ollama.modelfile(f"./gguf/{name}.gguf", ollama.template(parts), named))


def _checked(folder: Path, file: Path, model) -> str:
    """Compare on the first prompts of the test rows. Those with a mark of the tokenizer in a text are set apart: here it is
    letters, and llama.cpp reads it as a token."""
    from affinage.exporting.agreement import compare
    from stages.models.directory import load_tokenizer
    from stages.models.tokenizer_marks import marks

    known = marks(load_tokenizer(folder))
    conversations = [row["messages"] for row in read_rows(Path("data") / model.dataset / "formatted" / "test")]
    plain = [turns for turns in conversations if not any(known.inside(turn["content"]) for turn in turns)]
    marked = len(conversations) - len(plain)
    differences = compare(folder, file, plain[:CHECKED], model.generate.max_new_tokens) if plain else []
    same = differences.count("same")
    others = ", ".join(
        f"{kind} differs in {differences.count(kind)}" for kind in ("prompt", "tokens", "answer") if kind in differences
    )
    apart = f"; {marked} set apart, for a mark in a text that llama.cpp reads as a token" if marked else ""
    differ = f" ({others})" if others else ""
    return f"llama.cpp and transformers: the same tokens for {same} of {len(differences)} prompts{differ}{apart}"


def command(
    model: Annotated[str, typer.Argument(help="A key of `models` in params.yaml.")],
    to: Annotated[list[Kind], typer.Option(help="What to write; may be repeated.")],
    weights: Annotated[Weights, typer.Option("--type", help="Of the matrices in the GGUF file.")] = Weights.f32,
    check: Annotated[bool, typer.Option("--check", help=f"Compare {CHECKED} answers (needs xllamacpp).")] = False,
) -> None:
    """Take a trained model out of the repository: to exports/MODEL.

    Example: affinage export medical --to ollama --to card
    """
    print("\n".join(export(model, to, weights, check)))
