"""Take a trained model out of the repository: `python -m stages.export medical --to gguf ollama card`.

Everything goes to `exports/<model>/` (git-ignored); `models/` is read and never written, for it is DVC's. It is no stage
of the pipeline: nothing hangs on it.

    gguf    gguf/<model>.gguf for llama.cpp; --check compares its greedy answers with those of transformers
    ollama  the same and a Modelfile: ollama create <model> -f exports/<model>/Modelfile
    card    README.md, a model card with data, figures, parameters, environment and licences
"""

import argparse
from pathlib import Path

from stages.common.errors import StageError, report
from stages.common.files import atomic_file, read_rows
from stages.common.params import FILE, read

KINDS = ("gguf", "ollama", "card")
CHECKED = 20  # prompts


def export(name: str, kinds: list[str], weights: str, check: bool, out: Path = Path("exports")) -> list[str]:
    """Write the exports of one model; returns what to tell the user, one line each.

    Raises:
        StageError: if there is no such model, or it cannot be expressed in the format.
    """
    from stages.common.schema import check as checked

    params = checked(read(), FILE)
    if name not in params.models:
        raise StageError(f"{FILE}: models", f"no {name!r}", f"one of: {', '.join(params.models)}", "name one of these")
    folder, target, said = Path("models") / name, out / name, []
    if "card" in kinds:
        from stages.exporting.card import card

        with atomic_file(target / "README.md") as file:
            file.write(card(name, params, Path("data"), Path("metrics")))
        said.append(f"{target}/README.md")
    if "gguf" in kinds or "ollama" in kinds:
        from stages.exporting.gguf_file import write_gguf

        said.append(str(write_gguf(folder, target / "gguf", name, weights)))
        if check:
            said.append(_checked(folder, target / "gguf" / f"{name}.gguf", params.models[name]))
    if "ollama" in kinds:
        _write_modelfile(folder, target, name, params.models[name].generate)
        said.append(f"{target}/Modelfile: ollama create {name} -f {target}/Modelfile")
    return said


def _write_modelfile(folder: Path, target: Path, name: str, options) -> None:
    from stages.exporting import ollama
    from stages.models.directory import context_length, load_tokenizer
    from stages.models.prompting import read_prompt

    parts = ollama.take_apart(load_tokenizer(folder), folder)
    named = ollama.parameters(options, read_prompt(folder)["stop"], context_length(folder))
    with atomic_file(target / "Modelfile") as file:
        file.write(ollama.modelfile(f"./gguf/{name}.gguf", ollama.template(parts), named))


def _checked(folder: Path, file: Path, model) -> str:
    """Compare on the first prompts of the test rows."""
    from stages.exporting.llama_cpp import compare

    rows = list(read_rows(Path("data") / model.dataset / "formatted" / "test"))[:CHECKED]
    found = compare(folder, file, [row["messages"] for row in rows], model.generate.max_new_tokens)
    same = found.count("same")
    others = ", ".join(f"{kind} differs in {found.count(kind)}" for kind in ("prompt", "tokens", "answer") if kind in found)
    return f"llama.cpp and transformers: the same tokens for {same} of {len(found)} prompts{f' ({others})' if others else ''}"


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.export", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", help="a key of `models` in params.yaml")
    parser.add_argument("--to", nargs="+", choices=KINDS, required=True)
    parser.add_argument("--type", choices=("f32", "f16", "bf16"), default="f32", help="of the matrices in the GGUF file")
    parser.add_argument("--check", action="store_true", help=f"compare {CHECKED} answers (needs xllamacpp)")
    options = parser.parse_args()
    report(lambda: print("\n".join(export(options.name, options.to, options.type, options.check))))


if __name__ == "__main__":
    main()
