"""A fine-tuning job followed to its end, its events shown on the way, and explained where it fails."""

import re
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from time import sleep

from tqdm import tqdm

from stages.common.errors import StageError, shorten
from stages.common.http import LONGEST, Again
from stages.common.progress import Progress
from stages.training.hosted.client import Missing, Service, clean
from stages.training.hosted.job import ENDED

POLL, AWAY = 5.0, 60.0  # seconds between two looks at a job; at most, between two tries while the service is away
STILL = 720  # looks at a job after which an unchanged status is said again: an hour
MOST_LINES = 5  # offending lines shown


class Events:
    """What happened to a job, oldest first. The service may list it in any order.

    Where it lists the newest first, as the protocol says, each `fresh()` asks only for what came since the last one.
    """

    def __init__(self, service: Service, job_id: str):
        self.service, self.job_id, self.all, self._seen = service, job_id, [], set()
        self._newest_first = False  # not until it was seen

    def fresh(self) -> list[dict]:
        """The events that are new since the last call."""
        listed = []
        try:
            for event in self.service.events(self.job_id):
                if self._newest_first and _key(event) in self._seen:
                    break
                listed.append(event)
        except Missing:  # a gateway without events
            return []
        times = [_time(event) for event in listed]
        self._newest_first = self._newest_first or len(set(times)) > 1 and times == sorted(times, reverse=True)
        listed = listed[::-1] if self._newest_first else listed
        new = sorted((event for event in listed if _key(event) not in self._seen), key=_time)
        self._seen |= {_key(event) for event in new}
        self.all += new
        return new


def _key(event: dict) -> str:
    """What tells an event from others: its id, else all of it."""
    return str(event.get("id") or sorted(event.items(), key=str))


def _time(event: dict) -> float:
    when = event.get("created_at")
    return float(when) if isinstance(when, int | float) else 0.0


class Display:
    """Events on the terminal: words as lines, steps as a bar."""

    def __init__(self, name: str):
        self.name, self.bar = name, None

    def say(self, text: object) -> None:
        tqdm.write(f"{self.name}: {clean(text)}", file=sys.stderr)

    def show(self, event: dict) -> None:
        data = event["data"] if isinstance(event.get("data"), dict) else {}
        total, step = data.get("total_steps"), data.get("step")
        if event.get("type") != "metrics" or not isinstance(step, int):
            return self.say(event.get("message") or event.get("type"))
        if self.bar is None:
            self.bar = Progress(total if isinstance(total, int) else None, f"train {self.name}", "step")
        loss = data.get("train_loss")
        self.bar.add(max(0, step - self.bar.done), **({"loss": f"{loss:.3f}"} if isinstance(loss, int | float) else {}))

    def close(self) -> None:
        if self.bar is not None:
            self.bar.__exit__(None)


def follow(service: Service, job_id: str, name: str, watch: Callable[[dict], None]) -> tuple[dict, list[dict]]:
    """The job once it has ended, and all its events. A service out of reach is waited for without end.

    Args:
        watch: called with the job at every look. It may raise to stop.
    """
    events, display, lost, looks, status = Events(service, job_id), Display(name), 0, 0, None
    try:
        while True:
            try:
                job = service.job(job_id)
                fresh = events.fresh()
            except Again as again:
                lost += 1
                if lost == 1:
                    display.say(f"{again.reason}; the job goes on, waiting for the service")
                sleep(min(LONGEST, again.wait) if again.wait else min(AWAY, POLL * 2 ** min(lost, 10)))
                continue
            lost = 0
            if job["status"] != status:
                status = job["status"]
                how, looks = f"; to go on: affinage jobs resume {job_id}" if status == "paused" else "", 0
                display.say(f"{job_id} {status or 'shows no status'}{how}")
            looks += 1
            if looks % STILL == 0:
                display.say(f"{job_id} still {status}; Ctrl-C leaves it, and the same command comes back to it")
            for event in fresh:
                display.show(event)
            watch(job)
            if status in ENDED or job["finished_at"]:  # it may have ended in a word that no protocol has
                return job, events.all
            sleep(POLL)
    finally:
        display.close()


def failure(name: str, job: dict, events: list[dict], files: dict[str, Path]) -> StageError:
    """Why a job gave no model: the service's own words, and the lines they speak of.

    Args:
        files: what was uploaded, by parameter: training_file, validation_file.
    """
    error = job.get("error") or {}
    words = [clean(error["message"])] if error.get("message") else []
    words += [message for e in events if e.get("level") == "error" and (message := clean(e.get("message"))) not in words]
    code = f" ({clean(error.get('code'))}, {clean(error.get('param'))})" if error.get("code") else ""
    file = files.get(str(error.get("param"))) or files["training_file"]
    listing = "".join(f"\n    - {text}" for text in [*words, *_offending(file, " ".join(words))])
    if job["status"] == "succeeded":
        fix = "run the same command again later: the job is found again and not paid twice"
        return StageError(f"models.{name}: job {job['id']}", "succeeded, and no name of a model", "the model's name", fix)
    return StageError(
        f"models.{name}: job {job['id']}",
        f"{job['status'] or 'ended without a status'}{code}{listing}",
        "succeeded",
        f"edit what it names and run again (other rows or hyperparameters are another job, which is paid), or raise "
        f"models.{name}.train.attempt for another job on the same ones",
    )


def _offending(path: Path, words: str) -> list[str]:
    """The lines of a file that a message names (`line 3`, `lines 3, 5 and 8`), as the service counts them, from 1."""
    named = re.findall(r"\blines?:?\s+((?:\d+(?:\s*(?:,|and|or|&)\s*)*)+)", words, re.IGNORECASE)
    wanted = sorted({int(number) for group in named for number in re.findall(r"\d{1,9}", group)} - {0})[:MOST_LINES]
    with open(path, encoding="utf-8") as file:
        lines = dict(enumerate(islice(file, wanted[-1] if wanted else 0), 1))
    return [f"line {number} of {path}: {shorten(lines[number].strip(), 240)}" for number in wanted if number in lines]
