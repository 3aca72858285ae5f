"""Charts of training, made as charts.py says: curves over the tokens seen, of each model and of rounds one after the other."""

import json

from affinage.plotting.shared import COLOURS, Revisions, chart, table

CURVES = "faint: every step of training; bold, with points: the validation rows"


def _dashes(revisions: Revisions) -> dict:
    several = len(revisions) > 1
    legend = {"symbolType": "stroke", "symbolStrokeWidth": 2, "symbolSize": 300}
    return {"strokeDash": {"field": "rev", "type": "nominal", "sort": list(revisions), "legend": legend}} if several else {}


def _curves(encoding: dict) -> list[dict]:
    """Each step of training as a faint line, the validation rows as a bold one with points."""
    tooltip = [{"field": name} for name in ("model", "rev", "part", "tokens", "value")]
    kinds = {
        "training": {"type": "line", "opacity": 0.4, "strokeWidth": 1.2},
        "validation": {"type": "line", "strokeWidth": 2.5, "point": {"size": 60}},
    }
    return [
        {
            "transform": [{"filter": f"datum.part == '{part}'"}],
            "mark": mark,
            "encoding": {**encoding, "tooltip": tooltip},
        }
        for part, mark in kinds.items()
    ]


def _axes(colour: str, x: str, y: str, revisions: Revisions) -> dict:
    return {
        "x": {"field": "tokens", "type": "quantitative", "title": x, "axis": {"format": "~s"}},
        "y": {"field": "value", "type": "quantitative", "title": y, "scale": {"zero": False}},
        "color": {"field": colour, "type": "nominal", "scale": COLOURS},
        **_dashes(revisions),
    }


def _measured(rev: str, model: str, files: dict[str, bytes], measure: str, before: float = 0) -> list[dict]:
    """Points of one model: `tokens` (counted on from `before`), `part` (training or validation) and `value`."""
    rows = [
        {"rev": rev, "model": model, "tokens": before + row["elapsed_tokens"], "part": part, "value": row[f"{part}_{measure}"]}
        for row in table(files[f"metrics/{model}/results.csv"])
        for part in ("training", "validation")
        if row.get(f"{part}_{measure}") is not None
    ]
    start = json.loads(files.get(f"metrics/{model}/train.json", b"{}")).get(f"validation_{measure}_start")
    first = {"rev": rev, "model": model, "tokens": before, "part": "validation", "value": start}
    return [*([first] if start is not None else []), *rows]


def _trained(files: dict[str, bytes]) -> list[str]:
    return sorted(path.split("/")[1] for path in files if path.split("/")[2:] == ["results.csv"])


def _progress(revisions: Revisions, measure: str, title: str, label: str) -> dict | None:
    """A measure of training over tokens, all models in one."""
    rows = [
        row for rev, files in revisions.items() for model in _trained(files) for row in _measured(rev, model, files, measure)
    ]
    layers = _curves(_axes("model", "tokens seen", label, revisions))
    return chart(title, CURVES, rows, width=560, height=320, layer=layers) if rows else None


def loss(revisions: Revisions) -> dict | None:
    """Loss over tokens, all models in one."""
    return _progress(revisions, "loss", "Loss over tokens", "loss a token (nats)")


def accuracy(revisions: Revisions) -> dict | None:
    """Token accuracy over tokens, all models in one."""
    return _progress(revisions, "token_accuracy", "Accuracy over tokens", "share of tokens predicted")


def chains(files: dict[str, bytes], bases: dict[str, str]) -> list[list[str]]:
    """Models that were trained one from the other, first round first, longest chains only."""
    trained = _trained(files)
    longest = []
    for last in sorted(set(trained) - {bases.get(name) for name in trained}):
        chain = [last]
        while bases.get(chain[0]) in trained and bases[chain[0]] not in chain:
            chain.insert(0, bases[chain[0]])
        longest += [chain] if len(chain) > 1 else []
    return longest


def rounds(revisions: Revisions, bases: dict[str, str]) -> dict | None:
    """Rounds of a model one after the other on one axis: tokens are counted on from round to round."""
    rows = []
    for rev, files in revisions.items():
        for chain in chains(files, bases):
            before = 0
            for name in chain:
                rows += [{"chain": chain[-1], **row} for row in _measured(rev, name, files, "loss", before)]
                before = max(row["tokens"] for row in rows if row["model"] == name and row["rev"] == rev)
    axes = _axes("model", "tokens seen over all rounds", "loss a token (nats)", revisions)
    spec = {"width": 560, "height": 260, "layer": _curves(axes)}
    facet = {"row": {"field": "chain", "type": "nominal", "header": {"labels": False}}}
    title = "Rounds, each from where the one before it ended"
    return chart(title, CURVES, rows, facet=facet, spec=spec) if rows else None
