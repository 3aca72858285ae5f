"""Alarms in metrics files: what a stage ended with that no one wants (stages/common/sanity.py)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

OF_DATASET = ("label.json", "split.json", "format.json")
OF_MODEL = ("train.json", "scores.json")


@dataclass(frozen=True)
class Raised:
    """One alarm.

    Args:
        path: the metrics file that holds it, `metrics/<name>/<file>`.
        alarm: its name.
        finding: what the stage found.
    """

    path: str
    alarm: str
    finding: str

    @property
    def name(self) -> str:
        """The dataset or the model that it is of."""
        return self.path.split("/")[-2]

    def __str__(self) -> str:
        return f"{self.path.removeprefix('metrics/')}: {self.alarm} ({self.finding})"


def raised(files: Mapping[str, bytes]) -> list[Raised]:
    """The alarms in metrics files by path, in the order of files; a file that holds no JSON object has none."""
    alarms_raised = []
    for path, data in files.items():
        alarms = _object(data).get("alarms") if path.endswith(".json") else None
        if isinstance(alarms, dict):
            alarms_raised += [Raised(path, alarm, str(reason)) for alarm, reason in alarms.items()]
    return alarms_raised


def behind(model: str, dataset: object) -> list[str]:
    """The metrics files in which an alarm concerns a model: its own, and its dataset's."""
    return [f"metrics/{dataset}/{file}" for file in OF_DATASET] + [f"metrics/{model}/{file}" for file in OF_MODEL]


def _object(data: bytes) -> dict:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
