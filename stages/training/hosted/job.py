"""One fine-tuning job: it is found, or created once, or cancelled."""

import re
from math import isclose

from stages.common import kept
from stages.common.errors import StageError
from stages.common.schema_models import HostedTraining
from stages.training.hosted import shown
from stages.training.hosted.client import Missing, Service
from stages.training.hosted.cost import DATED
from stages.training.hosted.state import State, once

MARK = "affinage"  # key of the job's metadata that holds its fingerprint
ENDED = ("succeeded", "failed", "cancelled")
BEFORE = ("created", "pending", "validating", "validating_files", "queued", "paused")  # a job does not run yet, or for now


def mark_of(service: Service, model: str, training: str, validation: str | None, params: HostedTraining) -> str:
    """The fingerprint of a job: its service, its model, its data (sha256) and its hyperparameters.

    It holds no code, and none of our prices, limits or names. None of these may ever cause a second payment.
    """
    settings = hyperparameters(params), params.seed, params.suffix, params.attempt
    return kept.fetched("hosted job", service.address.rstrip("/"), model, training, validation, *settings).key


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
