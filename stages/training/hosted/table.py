"""A service's result file as our table of steps."""

import base64
import binascii
import csv
import io
import math

# our column: what services call it, the documented name first
NAMES = {
    "step": ("step",),
    "elapsed_tokens": ("elapsed_tokens",),
    "elapsed_examples": ("elapsed_examples",),
    "training_loss": ("train_loss", "training_loss"),
    "training_sequence_accuracy": ("training_sequence_accuracy",),
    "training_token_accuracy": ("train_accuracy", "train_mean_token_accuracy", "training_token_accuracy"),
    "validation_loss": ("valid_loss", "validation_loss", "full_valid_loss"),
    "validation_token_accuracy": ("valid_mean_token_accuracy", "validation_token_accuracy", "full_valid_mean_token_accuracy"),
}
_WHOLE = {"step", "elapsed_tokens", "elapsed_examples"}


def row_of(given: dict) -> dict:
    """One step in our columns; what is not given, or is no number, is left out."""
    found = {}
    for ours, theirs in NAMES.items():
        value = next((given[name] for name in theirs if given.get(name) not in (None, "")), None)
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            found[ours] = int(number) if ours in _WHOLE else number
    return found


def read(content: bytes) -> list[dict]:
    """Rows of a result file: CSV, or CSV in base64, which OpenAI's service sends. Empty if it is neither."""
    text = content.decode("utf-8", "replace")
    if "step" not in text.split("\n", 1)[0]:
        try:
            text = base64.b64decode(content, validate=False).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return []
    try:
        return _ordered(csv.DictReader(io.StringIO(text)))
    except csv.Error:
        return []


def of_events(events: list[dict]) -> list[dict]:
    """Rows out of a job's events of type metrics, for services without a result file."""
    return _ordered(event["data"] for event in events if event.get("type") == "metrics" and isinstance(event.get("data"), dict))


def of_checkpoints(checkpoints: list[dict]) -> list[dict]:
    """Rows out of the checkpoints of a job (`step`, `metrics`), for services that say no more."""
    given = ({"step": checkpoint["step"], **(checkpoint["metrics"] or {})} for checkpoint in checkpoints)
    return [row for row in _ordered(given) if len(row) > 1]


def _ordered(given) -> list[dict]:
    rows = {row["step"]: row for row in map(row_of, given) if "step" in row}
    return [rows[step] for step in sorted(rows)]
