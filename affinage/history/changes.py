"""What an experiment changed, and what came of it."""

import json
from collections.abc import Iterator

from ruamel.yaml import YAML

WIRING = ("base", "root", "judge_base")


def leaves(tree: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every leaf with its dotted path; lists are leaves."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree


def parameters(text: bytes) -> dict[str, object]:
    """`params.yaml` by dotted path, every entry filled in."""
    from stages.common.defaults import as_read

    return dict(leaves(as_read(YAML(typ="safe").load(text.decode()) or {})))


def read_by(model: str, values: dict[str, object]) -> tuple[str, ...]:
    """Prefixes of the parameters behind a model's scores: its own, its dataset's and its bases', round by round."""
    waiting, seen = [model], set()
    prefixes = set()
    while waiting:
        own = waiting.pop()
        if own in seen or f"models.{own}.dataset" not in values:
            continue
        seen.add(own)
        prefixes |= {f"models.{own}.", f"datasets.{values[f'models.{own}.dataset']}."}
        prefixes |= {f"bases.{values[f'models.{own}.{wire}']}." for wire in WIRING}
        waiting.append(values[f"models.{own}.base"])
    return tuple(sorted(prefixes))


def changed(model: str, before: dict[str, object], after: dict[str, object]) -> list[str]:
    """The parameters behind a model's scores that differ, as `train.epochs 1 → 2`; its own without their prefix."""
    prefixes, lines = (*read_by(model, before), *read_by(model, after)), []
    for path in dict.fromkeys([*before, *after]):
        if path.startswith(prefixes) and before.get(path) != after.get(path):
            old, new = (json.dumps(values[path], ensure_ascii=False) if path in values else "–" for values in (before, after))
            name = path.removeprefix(f"models.{model}.").removeprefix("datasets.").removeprefix("models.")
            lines.append(f"{name} {old} → {new}".replace('"', ""))
    return lines


def headlines(scores: bytes) -> dict[str, float]:
    """The headline figures of a `scores.json` by name: of an entry with several, the tuned model's."""
    figures = {}
    for name, entry in json.loads(scores).items():
        value = entry.get("tuned", entry.get("value")) if isinstance(entry, dict) else entry
        if isinstance(value, int | float):
            figures[name] = value
    return figures


def speed_files(model: str) -> list[str]:
    """The files that `timings` reads."""
    return [f"metrics/speed/{model}/{stage}.json" for stage in ("train", "generate", "judge")]


def timings(*files: bytes | None) -> dict[str, float]:
    """Seconds and tokens a second by name, from the contents of `speed_files`; of answers, the tuned model's."""
    train, generate, judge = (json.loads(content or b"{}") for content in files)
    tuned = generate.get("tuned", {})
    named = {
        "train seconds": train.get("seconds"),
        "train tokens/s": train.get("tokens_per_second"),
        "generate seconds": sum(figures.get("seconds", 0) for figures in generate.values() if isinstance(figures, dict))
        or None,
        "generate tokens/s": tuned.get("tokens_per_second"),
        "answer median s": tuned.get("latency_median"),
        "answer highest s": tuned.get("latency_highest"),
        "judge seconds": judge.get("seconds"),
    }
    return {name: value for name, value in named.items() if isinstance(value, int | float)}
