"""Fine-tuning jobs of a service: list them, look at one, cancel, pause or resume it, read what happened to it.

    affinage jobs list
    affinage jobs show|cancel|pause|resume|events JOB

The key comes from OPENAI_API_KEY. `cancel` ends a job for good; what it has trained so far may be billed.
"""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from stages.common.errors import StageError
from stages.training.hosted.client import Service, clean
from stages.training.hosted.job import MARK, cancel

Verb = StrEnum("Verb", ["list", "show", "cancel", "pause", "resume", "events"])


def when(seconds: object) -> str:
    """A time of a service; a dash for what is none, such as milliseconds."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}" if isinstance(seconds, int | float) else "-"
    except (ValueError, OverflowError, OSError):
        return "-"


def line(job: dict) -> str:
    """A job on one line; `*` marks one that was begun by this repository."""
    ours = "*" if MARK in (job.get("metadata") or {}) else " "
    model = job.get("fine_tuned_model") or "-"
    return f"{ours} {job['id']}  {job.get('status'):16}  {when(job.get('created_at'))}  {job.get('model')}  {model}"


def event_line(event: dict) -> str:
    return f"{when(event.get('created_at'))}  {event.get('level') or '':5}  {clean(event.get('message'))}"


def run(verb: str, job_id: str | None, base_url: str) -> None:
    """Do what the verb says and print the outcome."""
    if (verb == "list") != (job_id is None):
        raise StageError(f"affinage jobs {verb}", f"job {job_id}", "a job for every verb but list", "see --help")
    service = Service(base_url)
    if verb == "list":
        for job in service.patiently(lambda: list(service.all_jobs())):
            print(line(job))
    elif verb == "events":
        for event in reversed(service.patiently(lambda: list(service.events(job_id)))):
            print(event_line(event))
    elif verb == "show":
        print(clean_json(service.patiently(lambda: service.job(job_id))))
    elif verb == "cancel":
        print(line(cancel(service, job_id)))
    else:
        print(line(service.patiently(lambda: service.act(job_id, verb))))


def clean_json(job: dict) -> str:
    return "\n".join(f"{name}: {clean(json.dumps(value, ensure_ascii=False))}" for name, value in job.items())


def command(
    verb: Annotated[Verb, typer.Argument(show_default=False)],
    job: Annotated[str, typer.Argument(help="Its id (ftjob-…), for every verb but list.", show_default=False)] = "",
    base_url: Annotated[str, typer.Option(help="The service, where it is not the provider's own.", show_default=False)] = "",
) -> None:
    """Look at the fine-tuning jobs of a hosted service, or cancel, pause and resume one.

    The key comes from OPENAI_API_KEY. `cancel` ends a job for good; what it has trained so far may be billed.

    Example: affinage jobs show ftjob-0001
    """
    run(verb, job or None, base_url)
