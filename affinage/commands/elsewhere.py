"""What tuning cost elsewhere: how a model reads the held-back rows of other datasets, beside its base.

`affinage elsewhere MODEL [--on DATASET …]` writes `metrics/MODEL/elsewhere.json`. The base's weights read the rows before
tuning, the model's after. Both do it twice: under the prompt of the rows' dataset (`formatted`), and by the base's own chat
template (`own`), where it has one. A model that learned the style of a prompt reads other rows of that style better, whatever
else it forgot; the base's own template shows that. The intervals are paired row by row.

It is no stage of the pipeline. DVC's `foreach` takes one path for a dependency and no list, so every model would hang on the
rows of every dataset, and new rows of one would have all models judged again.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from affinage.reports import figures
from stages.common import params
from stages.common.errors import StageError
from stages.common.files import read_json, read_rows, write_json
from stages.common.schema import ModelEntry, Params

if TYPE_CHECKING:
    from stages.decoding.causal.likelihood import Likelihoods
    from stages.decoding.contestants import Contestant

FIGURES = ("perplexity", "token_accuracy")
PROMPTS = {"formatted": "as formatted", "own": "by the base's own template"}


def datasets_for(name: str, named: list[str], known: Params) -> list[str]:
    """The datasets to read: those named, or all of texts but the model's own.

    Raises:
        StageError: for a model that reads no texts here, and a dataset that there is not or that holds labels.
    """
    if name not in known.models:
        raise StageError(f"{params.FILE}: models", f"no {name!r}", f"one of: {', '.join(known.models)}", "name one of these")
    method = known.models[name].train.method
    if method != "causal":
        where = f"models.{name}.train.method"
        raise StageError(where, method, "causal: others find no text likely or unlikely here", "name another model")
    texts = [key for key, dataset in known.datasets.items() if dataset.format.style != "classification"]
    if wrong := [key for key in named if key not in texts]:
        raise StageError("--on", wrong[0], f"a dataset of texts: {', '.join(texts)}", "name one of these")
    others = named or [key for key in texts if key != known.models[name].dataset]
    if not others:
        raise StageError(f"{params.FILE}: datasets", "no other dataset of texts", "at least one", "--on DATASET")
    return others


def contestants(model: ModelEntry, name: str, contract: dict) -> "dict[str, list[Contestant]]":
    """The base before tuning and the model after, by prompt: as a dataset is formatted (`contract`), and the base's own."""
    from stages.decoding.contestants import Contestant, usable
    from stages.models.directory import load_tokenizer
    from stages.models.prompting import adopt_template

    sides = {"before": Path("models", model.root), "after": Path("models", name)}
    formatted, own = (load_tokenizer(sides["before"]) for _ in range(2))
    adopt_template(formatted, contract["chat_template"])
    prompts = {"formatted": formatted}
    if own.chat_template and usable(own) and own.chat_template != formatted.chat_template:
        prompts["own"] = own
    return {
        prompt: [Contestant(side, folder, tokenizer, contract["stop"]) for side, folder in sides.items()]
        for prompt, tokenizer in prompts.items()
    }


def measured(model: ModelEntry, sides: "list[Contestant]", rows: list[dict], likelihoods: "Likelihoods") -> dict:
    """Each figure `before` and `after`, and the `change`: after minus before, with paired intervals."""
    from stages.judging.intervals import Bootstrap
    from stages.judging.metrics import likelihood
    from stages.judging.scoring import paired

    scores = {side.name: likelihoods.of(side, rows) for side in sides}
    completions = [row["completion"] for row in rows]
    before, after = (likelihood(scores[side.name], completions) for side in sides)
    judge = model.judge
    bootstrap = Bootstrap(len(rows), judge.bootstrap, judge.confidence, judge.seed)
    result = {"outside_context": sum(score.tokens == 0 for score in scores["after"])}
    for name in FIGURES:
        first, second = paired(after[name][0], before[name][0])
        statistic = before[name][1]
        result[name] = {
            "before": bootstrap.interval(before[name][0], statistic),
            "after": bootstrap.interval(after[name][0], statistic),
            "change": bootstrap.difference(first, second, statistic),
        }
    return result


def elsewhere(name: str, named: list[str]) -> dict:
    """What to write: by dataset, what `measured` gives, beside the content hashes of what was read."""
    known = params.load()
    chosen = datasets_for(name, named, known)
    from stages.common.scratch import content_hash
    from stages.decoding.causal.likelihood import Likelihoods
    from stages.models import runtime

    runtime.deterministic()
    model = known.models[name]
    likelihoods, by_dataset = Likelihoods(model.generate.precision), {}
    for dataset in chosen:
        formatted = Path("data", dataset, "formatted")
        if not (formatted / "prompt.json").is_file():
            raise StageError(formatted, "no formatted rows", "those of the dataset", f"dvc repro format@{dataset}, or dvc pull")
        rows = [row | {"expected": row["completion"]} for row in read_rows(formatted / "test")]
        if len(rows) < 2:
            fix = f"raise datasets.{dataset}.split.test"
            raise StageError(formatted / "test", f"{len(rows)} rows", "at least two held-back rows", fix)
        by_prompt = contestants(model, name, read_json(formatted / "prompt.json"))
        figures_of = {prompt: measured(model, sides, rows, likelihoods) for prompt, sides in by_prompt.items()}
        by_dataset[dataset] = {"rows": len(rows), "sha256": content_hash(formatted / "test"), "prompts": figures_of}
    return {"base": model.root, "sha256": content_hash(Path("models", name)), "on": by_dataset}


def table(result: dict) -> list[str]:
    """The figures as lines of text."""
    lines = []
    for dataset, on in result["on"].items():
        lines.append(f"{dataset}, {on['rows']} held-back rows")
        for prompt, of in on["prompts"].items():
            for name in FIGURES:
                kind, change = figures.kind(name), of[name]["change"]
                before, after = (figures.show(of[name][side]["value"], kind.decimals) for side in ("before", "after"))
                span = f"{figures.show(change['value'], kind.decimals, True)} {figures.interval(change, kind.decimals, True)}"
                reading = figures.reading(name, change["low"], change["high"])
                lines.append(f"  {PROMPTS[prompt]}: {kind.inside} {before} → {after} ({span}), {reading}")
    return lines


def command(
    model: Annotated[str, typer.Argument(help="A key of `models` in params.yaml.")],
    on: Annotated[list[str] | None, typer.Option(help="A dataset; may be repeated. [default: all others of texts]")] = None,
) -> None:
    """What tuning cost elsewhere: other datasets' held-back rows, read before and after.

    Example: affinage elsewhere medical --on instructions
    """
    result = elsewhere(model, on or [])
    file = Path("metrics") / model / "elsewhere.json"
    write_json(file, result)
    print("\n".join([*table(result), str(file)]))
