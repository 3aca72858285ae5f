"""A job and its hyperparameters as OpenAI's protocol has them, whatever a service that speaks it shows instead.

Some services write numbers as text, times as dates, an error as one sentence, or a status in a word of their own.
"""

import math
from collections.abc import Iterator

NAMES = ("n_epochs", "batch_size", "learning_rate_multiplier")  # hyperparameters; the first two are whole numbers
STATUSES = {  # other words for how a job ended
    "success": "succeeded",
    "completed": "succeeded",
    "complete": "succeeded",
    "canceled": "cancelled",
    "stopped": "cancelled",
    "error": "failed",
    "user_error": "failed",
    "failure": "failed",
    "expired": "failed",
}


def number(value: object) -> int | float | None:
    """A finite number, written as one or as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except ValueError:
        return None
    return (int(read) if read.is_integer() else read) if math.isfinite(read) else None


def job(answer: dict) -> dict:
    """The job with the types of the protocol. What a service does not show is None, or empty."""
    status, error = str(answer.get("status") or "").casefold(), answer.get("error")
    files = answer.get("result_files")
    return answer | {
        "status": STATUSES.get(status, status),
        "error": error if isinstance(error, dict) else {"message": str(error)} if error else None,
        "metadata": answer["metadata"] if isinstance(answer.get("metadata"), dict) else None,
        "result_files": [file for file in files if isinstance(file, str)] if isinstance(files, list) else [],
        **{name: number(answer.get(name)) for name in ("created_at", "finished_at", "trained_tokens")},
    }


def hyperparameters(shown: dict) -> dict:
    """The hyperparameters of a job at the service, from every place where they may stand: its top, its method, under either.

    The service's own choice may stand in one place and `auto` in another. A number goes before `auto`. Of two numbers of epochs
    the higher one counts, for it costs more.
    """
    values: dict = {}
    for fields in _places(shown):
        for name, value in fields.items():
            before, now = number(values.get(name)), number(value)
            if now is None and values.get(name) is None:
                values[name] = value
            elif now is not None and before is None:
                values[name] = now
            elif now is not None and name == NAMES[0]:
                values[name] = max(before, now)
    whole = {name: math.ceil(values[name]) for name in NAMES[:2] if isinstance(values.get(name), int | float)}
    return {name: value for name, value in (values | whole).items() if value is not None}


def _places(shown: dict) -> Iterator[dict]:
    method = shown.get("method") if isinstance(shown.get("method"), dict) else {}
    for part in (shown, method, *method.values()):
        if isinstance(part, dict) and isinstance(part.get("hyperparameters"), dict):
            yield part["hyperparameters"]
    yield {name: shown[name] for name in NAMES if name in shown}
