"""One fine-tuning job: it is found or created, followed to its end, and explained where it fails."""

import re
import sys
from collections.abc import Callable
from itertools import islice
from math import isclose
from pathlib import Path
from time import sleep

from tqdm import tqdm

from stages.common import kept
from stages.common.errors import StageError, shorten
from stages.common.http import LONGEST, Again
from stages.common.progress import Progress
from stages.common.schema_models import HostedTraining
from stages.training.hosted import shown
from stages.training.hosted.client import Missing, Service, clean
from stages.training.hosted.cost import DATED
from stages.training.hosted.state import State, once

MARK = "affinage"  # key of the job's metadata that holds its fingerprint
ENDED = ("succeeded", "failed", "cancelled")
BEFORE = ("created", "pending", "validating", "validating_files", "queued", "paused")  # a job does not run yet, or for now
POLL, AWAY = 5.0, 60.0  # seconds between two looks at a job; at most, between two tries while the service is away
STILL = 720  # looks at a job after which an unchanged status is said again: an hour
MOST_LINES = 5  # offending lines shown


def mark_of(service: Service, model: str, training: str, validation: str | None, params: HostedTraining) -> str:
    """The fingerprint of a job: its service, its model, its data (sha256) and its hyperparameters.

    It holds no code, and none of our prices, limits or names. None of these may ever cause a second payment.
    """
    asked = hyperparameters(params), params.seed, params.suffix, params.attempt
    return kept.fetched("hosted job", service.address.rstrip("/"), model, training, validation, *asked).key


def hyperparameters(params: HostedTraining) -> dict:
    """The hyperparameters as the service names them, each a value or `auto`."""
    return {name: getattr(params, name) for name in ("n_epochs", "batch_size", "learning_rate_multiplier")}


def really(params: HostedTraining, job: dict) -> dict:
    """The hyperparameters of a job: the service's numbers, or else what was asked for."""
    numbers = {name: value for name, value in shown.hyperparameters(job).items() if isinstance(value, int | float)}
    return hyperparameters(params) | numbers


def request_of(model: str, files: dict[str, str | None], params: HostedTraining, mark: str) -> dict:
    """The request that creates a job. `files` are ids by training_file and validation_file."""
    return {
        "model": model,
        **files,
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters(params)}},
        "seed": params.seed,
        **({"suffix": params.suffix} if params.suffix else {}),
        "metadata": {MARK: mark},
    }


def find(service: Service, state: State, request: dict, attempt: int) -> dict | None:
    """The job at the service, or None.

    It is looked for by the id on record, then by its mark. Services that keep no metadata have no marks: there a job counts
    that is as asked for in everything. Of several marked jobs, one that has not failed is taken.
    """
    if job_id := state.record.get("job"):
        try:
            return service.job(job_id)
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
    """Whether a job without metadata is the one asked for. Files were found by their content: the same id is the same data.

    What the service does not show is not compared. It is better to take another job of the same files and model for ours than
    to pay twice. `attempt` asks for another job.
    """
    same = request["training_file"] and job.get("training_file") == request["training_file"]
    same = same and (job.get("validation_file", request.get("validation_file")) or None) == request.get("validation_file")
    same = same and shown.number(job.get("seed")) in (None, request["seed"])
    same = same and (job.get("user_provided_suffix") or None) in (None, request.get("suffix"))
    model = re.fullmatch(re.escape(request["model"]) + DATED, str(job.get("model")))
    wanted, actual = request["method"]["supervised"]["hyperparameters"], shown.hyperparameters(job)
    return bool(same and model) and all(_alike(value, actual.get(name, value)) for name, value in wanted.items())


def _alike(wanted: int | float | str, actual: object) -> bool:
    """Whether a hyperparameter may be the one asked for. A service may keep numbers in float32."""
    if wanted == "auto" or wanted == actual:
        return True
    return isinstance(wanted, int | float) and isinstance(actual, int | float) and isclose(wanted, actual, rel_tol=1e-6)


def ensure(service: Service, state: State, request: dict, attempt: int) -> dict:
    """The job at the service. It is created if there has never been one."""
    job = once(
        service, state, "create job", lambda: find(service, state, request, attempt), lambda: service.create_job(request)
    )
    state.save(doing="", job=job["id"])
    return job


def cancel(service: Service, job_id: str) -> dict:
    """The job, ended.

    A job that has ended already is left as it is. It may have ended by itself, or by an earlier request whose answer was lost.
    """

    def attempt() -> dict:
        job = service.job(job_id)
        if job["status"] in ENDED:
            return job
        try:
            return service.act(job_id, "cancel")
        except StageError:
            job = service.job(job_id)
            if job["status"] not in ENDED:
                raise
            return job

    return service.patiently(attempt)


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
