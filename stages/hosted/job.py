"""One fine-tuning job: found or created, followed to its end, told about when it fails."""

import re
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from time import sleep

from tqdm import tqdm

from stages.common import kept
from stages.common.errors import StageError, shorten
from stages.common.http import LONGEST, Again
from stages.common.progress import Progress
from stages.common.schema_models import HostedTraining
from stages.hosted.client import Missing, Service, clean
from stages.hosted.cost import DATED
from stages.hosted.state import State, once

MARK = "affinage"  # key of the job's metadata that holds its fingerprint
ENDED = ("succeeded", "failed", "cancelled", "canceled")  # the last one is Azure's
POLL, AWAY = 5.0, 60.0  # seconds between two looks at a job; at most, between two tries while the service is away
MOST_LINES = 5  # offending lines shown


def mark_of(service: Service, model: str, training: str, validation: str | None, params: HostedTraining) -> str:
    """The fingerprint of a job: where, from what, on which data (sha256), with which hyperparameters. No code is in it, nor
    prices, limits or names of ours: none of these may ever cause a second payment."""
    asked = hyperparameters(params), params.seed, params.suffix, params.attempt
    return kept.brought("hosted job", service.where.rstrip("/"), model, training, validation, *asked).key


def hyperparameters(params: HostedTraining) -> dict:
    """As the service names them, each a value or `auto`."""
    return {name: getattr(params, name) for name in ("n_epochs", "batch_size", "learning_rate_multiplier")}


def request_of(model: str, files: dict[str, str | None], params: HostedTraining, mark: str) -> dict:
    """What is asked for; `files` are ids by training_file and validation_file."""
    return {
        "model": model,
        **files,
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters(params)}},
        "seed": params.seed,
        **({"suffix": params.suffix} if params.suffix else {}),
        "metadata": {MARK: mark},
    }


def find(service: Service, state: State, request: dict, attempt: int) -> dict | None:
    """The job at the service: by the id on record, else by its mark; for services that keep no metadata, by all that was
    asked for. Of several, one that has not failed."""
    if known := state.known.get("job"):
        try:
            return service.job(known)
        except Missing:  # another account
            pass
    mark, marked, alike = request["metadata"][MARK], [], []
    for job in service.all_jobs():
        if (job.get("metadata") or {}).get(MARK) == mark:
            marked.append(job)
        elif not job.get("metadata") and _as_asked(job, request):
            alike.append(job)
    if marked:
        marked.sort(key=lambda job: (job["status"] in ENDED[1:], job.get("created_at") or 0))
        return marked[0]
    alike.sort(key=lambda job: job.get("created_at") or 0)
    return alike[attempt - 1] if len(alike) >= attempt else None


def _as_asked(job: dict, request: dict) -> bool:
    """Whether a job without metadata is the one asked for. Files are found by their content: the same file, the same data.

    A suffix is not compared and neither is a seed that the service does not show: another one is no reason to pay again there.
    """
    same = request["training_file"] and all(job.get(name) == request.get(name) for name in ("training_file", "validation_file"))
    same = same and job.get("seed") in (None, request["seed"])
    model = re.fullmatch(re.escape(request["model"]) + DATED, str(job.get("model")))
    wanted, given = request["method"]["supervised"]["hyperparameters"], job.get("hyperparameters") or {}
    return bool(same and model) and all(value in ("auto", given.get(name)) for name, value in wanted.items())


def ensure(service: Service, state: State, request: dict, attempt: int) -> dict:
    """The job at the service: attached to, or created if there has never been one."""
    job = once(
        service, state, "create job", lambda: find(service, state, request, attempt), lambda: service.create_job(request)
    )
    state.save(doing="", job=job["id"])
    return job


def cancel(service: Service, job_id: str) -> dict:
    """The job, ended. One that has ended already is left as it is: the answer to an earlier request may have been lost."""

    def attempt() -> dict:
        job = service.job(job_id)
        return job if job["status"] in ENDED else service.act(job_id, "cancel")

    return service.patiently(attempt)


class Events:
    """What happened to a job, oldest first; each `fresh()` asks only for what came since."""

    def __init__(self, service: Service, job_id: str):
        self.service, self.job_id, self.all, self._seen = service, job_id, [], set()

    def fresh(self) -> list[dict]:
        found = []
        try:
            for event in self.service.events(self.job_id):
                if event.get("id") in self._seen:
                    break
                found.append(event)
        except Missing:  # a gateway without events
            return []
        found.reverse()
        self._seen |= {event.get("id") for event in found}
        self.all += found
        return found


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
            return self.say(event.get("message"))
        if self.bar is None:
            self.bar = Progress(total if isinstance(total, int) else None, f"train {self.name}", "step")
        loss = data.get("train_loss")
        self.bar.add(max(0, step - self.bar.done), **({"loss": f"{loss:.3f}"} if isinstance(loss, int | float) else {}))

    def close(self) -> None:
        if self.bar is not None:
            self.bar.__exit__(None)


def follow(service: Service, job_id: str, name: str, watch: Callable[[dict], None]) -> tuple[dict, list[dict]]:
    """The job once it has ended, and all its events. A service out of reach is waited for, however long.

    Args:
        watch: called with the job at every look; may raise to stop.
    """
    events, display, lost, status = Events(service, job_id), Display(name), 0, None
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
                display.say(f"{job_id} {status}")
            for event in fresh:
                display.show(event)
            watch(job)
            if status in ENDED:
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
    words += [said for e in events if e.get("level") == "error" and (said := clean(e.get("message"))) not in words]
    told = f" ({clean(error.get('code'))}, {clean(error.get('param'))})" if error.get("code") else ""
    file = files.get(error.get("param")) or files["training_file"]
    listing = "".join(f"\n    - {text}" for text in [*words, *_offending(file, " ".join(words))])
    return StageError(
        f"models.{name}: job {job['id']}",
        f"{job['status']}{told}{listing}",
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
