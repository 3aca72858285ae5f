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


def row_of(service_row: dict) -> dict:
    """One step in our columns. A value that is missing or no number is left out."""
    row = {}
    for ours, theirs in NAMES.items():
        value = next((service_row[name] for name in theirs if service_row.get(name) not in (None, "")), None)
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            row[ours] = int(number) if ours in _WHOLE else number
    return row


def read(content: bytes) -> list[dict]:
    """Rows of a result file: CSV, or CSV in base64, as OpenAI's service sends it. There are none if it is neither."""
    text = content.decode("utf-8-sig", "replace")
    if "step" not in text.split("\n", 1)[0]:
        try:
            text = base64.b64decode(content, validate=False).decode("utf-8-sig", "replace")
        except (binascii.Error, ValueError):
            return []
    try:
        return _ordered(csv.DictReader(io.StringIO(text)))
    except csv.Error:
        return []


def of_events(events: list[dict]) -> list[dict]:
    """Rows from a job's events of type metrics, for services without a result file."""
    return _ordered(event["data"] for event in events if event.get("type") == "metrics" and isinstance(event.get("data"), dict))


def of_checkpoints(checkpoints: list[dict]) -> list[dict]:
    """Rows from the checkpoints of a job (`step`, `metrics`), for services that say no more."""
    service_rows = ({"step": checkpoint["step"], **(checkpoint["metrics"] or {})} for checkpoint in checkpoints)
    return _ordered(service_rows)


def joined(rows: list[dict]) -> list[dict]:
    """Rows of several result files as one table: what they say of the same step stands in one row."""
    by_step: dict[int, dict] = {}
    for row in rows:
        by_step[row["step"]] = by_step.get(row["step"], {}) | row
    return [by_step[step] for step in sorted(by_step)]


def _ordered(service_rows) -> list[dict]:
    """Rows in the order of their steps. A row that says nothing of its step is left out."""
    return joined([row for row in map(row_of, service_rows) if "step" in row and len(row) > 1])
