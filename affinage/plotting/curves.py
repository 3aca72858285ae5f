"""Charts of training, made as charts.py says: curves over the tokens seen, a small chart a system, its rounds joined."""

import json

from affinage.plotting.shared import Revisions, chart, columns, table

CURVES = "faint: every step of training; bold, with points: the validation rows; a dashed line: a round begins"


def _layers(label: str, revisions: Revisions) -> list[dict]:
    """Each step of training as a faint line, the validation rows as a bold one with points, and where a round begins."""
    tooltip = [{"field": name} for name in ("model", "rev", "part", "tokens", "value")]
    colour = {"field": "rev", "type": "nominal", "sort": list(revisions)}
    colour |= {} if len(revisions) > 1 else {"legend": None}
    encoding = {
        "x": {"field": "tokens", "type": "quantitative", "title": "tokens seen", "axis": {"format": "~s", "tickCount": 5}},
        "y": {"field": "value", "type": "quantitative", "title": label, "scale": {"zero": False}, "axis": {"tickCount": 5}},
        "color": colour,
        "detail": {"field": "model"},
    }
    kinds = {
        "training": {"type": "line", "opacity": 0.5, "strokeWidth": 1.2},
        "validation": {"type": "line", "strokeWidth": 2.5, "point": {"size": 40}},
    }
    begins = {
        "transform": [{"filter": "datum.part == 'begins'"}],
        "mark": {"type": "rule", "strokeDash": [4, 4], "color": "#999"},
        "encoding": {"x": encoding["x"], "tooltip": [{"field": "model"}]},
    }
    return [
        begins,
        *(
            {"transform": [{"filter": f"datum.part == '{part}'"}], "mark": mark, "encoding": {**encoding, "tooltip": tooltip}}
            for part, mark in kinds.items()
        ),
    ]


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


def systems(files: dict[str, bytes], bases: dict[str, str]) -> list[list[str]]:
    """Every trained model in the rounds that led to it: longest chains, and models that are no round, each by itself."""
    trained = _trained(files)
    longest = []
    for last in sorted(name for name in trained if name not in {bases.get(other) for other in trained}):
        chain = [last]
        while bases.get(chain[0]) in trained and bases[chain[0]] not in chain:
            chain.insert(0, bases[chain[0]])
        longest.append(chain)
    drawn = {name for chain in longest for name in chain}
    return [*longest, *([name] for name in trained if name not in drawn)]


def _progress(revisions: Revisions, bases: dict[str, str], measure: str, title: str, label: str) -> dict | None:
    """A measure of training over tokens, a small chart a system; tokens are counted on from round to round."""
    rows = []
    for rev, files in revisions.items():
        for chain in systems(files, bases):
            before = 0
            for name in chain:
                own = [{"system": chain[-1], **row} for row in _measured(rev, name, files, measure, before)]
                if before and own:
                    rows.append({"system": chain[-1], "rev": rev, "model": name, "part": "begins", "tokens": before})
                rows += own
                before = max((row["tokens"] for row in own), default=before)
    return (
        chart(
            title,
            CURVES,
            rows,
            facet={"field": "system", "type": "nominal"},
            columns=columns(row["system"] for row in rows),
            resolve={"scale": {"x": "independent", "y": "independent"}},
            spec={"width": 270, "height": 150, "layer": _layers(label, revisions)},
        )
        if rows
        else None
    )


def loss(revisions: Revisions, bases: dict[str, str]) -> dict | None:
    """Loss over tokens."""
    return _progress(revisions, bases, "loss", "Loss over tokens", "loss a token (nats)")


def accuracy(revisions: Revisions, bases: dict[str, str]) -> dict | None:
    """Token accuracy over tokens; of a classifier, the accuracy."""
    return _progress(revisions, bases, "token_accuracy", "Accuracy over tokens", "share predicted right")
