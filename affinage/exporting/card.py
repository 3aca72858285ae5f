"""A model card: what the model learned from what, how well it does, and on which machine it was made."""

import json
from pathlib import Path

from stages.common.files import read_json
from stages.common.schema import Params


def base_text(name: str, params: Params) -> str:
    """Where a base comes from, so that anyone can fetch the same bytes."""
    base = params.bases[name].base
    return {
        "wheel": lambda: f"`{base.path}` in the PyPI wheel {base.package} {base.version} (sha256 {base.sha256})",
        "hub": lambda: f"{base.repo} at revision {base.revision}",
        "hosted": lambda: f"{base.model}, served by {base.provider}",
    }[base.kind]()


def chain(name: str, params: Params) -> list[str]:
    """The model's rounds, first one first."""
    rounds = [name]
    while (base := params.models[rounds[0]].base) in params.models:
        rounds.insert(0, base)
    return rounds


def figures(details: dict) -> list[str]:
    """Table lines: each figure of the tuned model, of the base that it is compared with, and the gain, with intervals."""
    lines = []
    for name, tuned in details["tuned"].items():
        gain = details.get("gain", {}).get(name)
        over = gain and details.get(gain.get("over"), {}).get(name)
        compared = f"{_number(over)} ({gain['over']}) | {_number(gain)}" if over else " | "
        lines.append(f"| {name} | {_number(tuned)} | {compared} |")
    return lines


def _number(figure: dict) -> str:
    return f"{figure['value']:.4g} [{figure['low']:.4g}, {figure['high']:.4g}]"


def _parameters(section, prefix: str = "") -> list[str]:
    return [f"| {prefix}{key} | {json.dumps(value, ensure_ascii=False)} |" for key, value in section.model_dump().items()]


def card(name: str, params: Params, data: Path, metrics: Path) -> str:
    """The card in Markdown, with the header that model hubs read.

    Args:
        name: a model of `params`.
        data: the folder with every dataset's `raw/sources.json`.
        metrics: the folder with the model's `train.json`, `details.json` and `speed/`.
    """
    model = params.models[name]
    sources = read_json(data / model.dataset / "raw" / "sources.json")
    trained, details = read_json(metrics / name / "train.json"), read_json(metrics / name / "details.json")
    environment = read_json(metrics / "speed" / name / "train.json")["environment"]
    split = read_json(metrics / model.dataset / "split.json")
    files = [
        f"| {label} | {source['kind']} | {source['licence']} | {sum(file.get('rows') or 0 for file in source['files'])} |"
        for label, source in sources["sources"].items()
    ]
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "---",
            "",
            f"# {name}",
            "",
            f"Tuned from {model.root}: {base_text(model.root, params)}.",
            *([f"Rounds: {' → '.join(chain(name, params))}."] if len(chain(name, params)) > 1 else []),
            f"{trained['trained_parameters']:,} parameters learned." if "trained_parameters" in trained else "",
            "",
            "## Data",
            "",
            f"Dataset `{model.dataset}`: {split['train']} rows to train on, {split['validation']} to choose the best state, "
            f"{split['test']} to test. The licences below are the data's; the base has its own.",
            "",
            "| source | kind | licence | rows read |",
            "|---|---|---|---|",
            *files,
            "",
            "## Figures",
            "",
            f"On the test rows; {100 * model.judge.confidence:g} % intervals from {model.judge.bootstrap} resamples.",
            "",
            "| figure | tuned | base | gain |",
            "|---|---|---|---|",
            *figures(details),
            "",
            "## Parameters",
            "",
            "| parameter | value |",
            "|---|---|",
            *_parameters(model.train, "train."),
            *_parameters(model.generate, "generate."),
            "",
            "## Environment",
            "",
            "| | |",
            "|---|---|",
            *(f"| {key} | {value} |" for key, value in environment.items()),
            "",
        ]
    )
