"""Training by a hosted service: from formatted rows and a hosted base to a tuned model's name, paid for once."""

import platform
import sys
import time
from functools import partial
from importlib.metadata import version
from math import ceil
from pathlib import Path

from stages.common import kept
from stages.common.errors import StageError
from stages.common.files import atomic_directory, json_files, read_json, read_rows, write_json
from stages.common.locks import alone
from stages.common.sanity import raised, training
from stages.common.schema_models import HostedTraining
from stages.common.scratch import content_hash
from stages.common.speed import write_speed
from stages.models.contract import write_prompt
from stages.training.hosted import cost, following, job, shown, uploads
from stages.training.hosted.client import Missing, Service
from stages.training.hosted.job_rows import Prepared, prepare
from stages.training.hosted.result_file import joined, of_checkpoints, of_events, read
from stages.training.hosted.rules import LEAST_ROWS
from stages.training.hosted.state import State
from stages.training.paths import Paths
from stages.training.selection import between
from stages.training.step_table import mean_of_last, write_table


def starting_model(name: str, params: HostedTraining, base: Path) -> tuple[dict, str]:
    """The base's hosted.json, and the model to ask for: the base's own model, or the checkpoint of it that is chosen.

    Raises:
        StageError: if the base is not hosted, or has no such checkpoint.
    """
    if not (base / "hosted.json").is_file():
        raise StageError(base, "no hosted.json", "a hosted base or an earlier hosted round", f"edit models.{name}.base")
    about = read_json(base / "hosted.json")
    if not params.checkpoint:
        return about, about["model"]
    models = {str(checkpoint["step"]): checkpoint["model"] for checkpoint in about.get("checkpoints", [])}
    wanted = max(models, key=int, default="") if params.checkpoint == "last" else params.checkpoint
    if wanted not in models:
        legal = f'"", last or one of {", ".join(models)}' if models else '"", for it has no checkpoints'
        raise StageError(f"models.{name}.train.checkpoint", repr(params.checkpoint), f"of {base}: {legal}", "edit params.yaml")
    return about, models[wanted]


class Run:
    """One job, from its rows to its end.

    Args:
        files: what is uploaded, by the request's names training_file and validation_file.
    """

    def __init__(self, name: str, params: HostedTraining, base_url: str, model: str, files: dict, bound: cost.Estimate):
        self.name, self.params, self.model, self.files, self.bound = name, params, model, files, bound
        self.service, self.job_id = Service(base_url), ""
        hashes = [files[which].sha256 if which in files else None for which in ("training_file", "validation_file")]
        self.mark = job.mark_of(self.service, model, *hashes, params)

    def whole(self) -> tuple[dict, list[dict]]:
        """The succeeded job and its events.

        Raises:
            StageError: if it may cost more than the limit, or ended without a model.
        """
        folder = kept.placed("hosted job", self.mark).folder
        with alone(folder, wait=False):
            state = State(folder)
            begun = self._existing(state) or self._new(state)
            self.job_id = begun["id"]
            ended, events = following.follow(self.service, begun["id"], self.name, self._watch)
        if ended["status"] != "succeeded" or not ended.get("fine_tuned_model"):
            raise following.failure(self.name, ended, events, {which: file.path for which, file in self.files.items()})
        return ended, events

    def _request(self, ids: dict[str, str]) -> dict:
        return job.request_of(self.model, ids, self.params, self.mark)

    def _existing(self, state: State) -> dict | None:
        """The job, if the service has it. Then nothing is uploaded and no limit checked, for the job is paid."""
        ids = {which: uploads.uploaded_id(self.service, file.path, file.sha256) for which, file in self.files.items()}
        existing = self.service.patiently(partial(job.find, self.service, state, self._request(ids), self.params.attempt))
        if existing:
            if state.record.get("job") != existing["id"] and not existing.get("metadata"):
                print(
                    f"{self.name}: job {existing['id']} is taken for this one: the same files, model and seed. "
                    f"models.{self.name}.train.attempt asks for another",
                    file=sys.stderr,
                )
            state.save(job=existing["id"])
        return existing

    def _new(self, state: State) -> dict:
        print(f"{self.name}: {self.bound}", file=sys.stderr, flush=True)
        cost.within_limit(self.name, self.bound)
        ids = {which: uploads.ensure(self.service, file.path, file.sha256) for which, file in self.files.items()}
        return job.ensure(self.service, state, self._request(ids), self.params.attempt)

    def _watch(self, seen: dict) -> None:
        """Cancel a job that may cost more than the limit.

        The service may have chosen too many epochs. Or the job runs, by whatever word, and the service does not say how many;
        then it may be as many as the protocol allows.

        Raises:
            StageError: if the job was cancelled, or the service does not cancel it.
        """
        epochs = job.really(self.params, seen)["n_epochs"]
        stated = isinstance(epochs, int)
        if seen["status"] in job.ENDED or not stated and seen["status"] in job.BEFORE:
            return
        if self.bound.exceeds(epochs if stated else cost.MOST_EPOCHS):
            chosen = f"{epochs} epochs, chosen by the service" if stated else "a number of epochs that the service does not say"
            try:
                cancelled = job.cancel(self.service, seen["id"])
            except StageError as refused:
                fix = (
                    f"cancel job {seen['id']} at the service at once: it runs on, for the service refused to ({refused.found})"
                )
                raise StageError(
                    f"models.{self.name}.train.limit_dollars", chosen, f"at most ${self.bound.limit:g}", fix
                ) from None
            if cancelled["status"] == "succeeded":  # too late: it is paid
                return
            raise StageError(
                f"models.{self.name}.train.limit_dollars",
                f"{chosen}; {self.bound}",
                f"at most ${self.bound.limit:g}",
                f"job {seen['id']} was cancelled; set n_epochs or raise limit_dollars, and raise attempt",
            )

    def detached(self) -> StageError:
        """What Ctrl-C leaves behind, as an error that says how to go on."""
        command = f"affinage jobs cancel {self.job_id or 'JOB'} --base-url {self.service.address}"
        return StageError(
            f"models.{self.name}: " + (f"job {self.job_id}" if self.job_id else "no job known yet"),
            "interrupted; what was begun at the service goes on there",
            "the end of the job",
            f"the same command attaches to it again; to end it: {command}",
        )

    def results(self, ended: dict, events: list[dict], checkpoints: list[dict]) -> list[dict]:
        """The table of steps, by the result files, or else by the events, or else by the checkpoints.

        Raises:
            StageError: if none of them has a step.
        """
        parts = []
        for file_id in ended["result_files"]:
            try:
                parts += read(self.service.patiently(partial(self.service.content, file_id)))
            except Missing as gone:
                print(f"{self.name}: result file {file_id} is not there ({gone.found})", file=sys.stderr)
        steps = joined(parts) or of_events(events) or of_checkpoints(checkpoints)
        if not steps:
            raise StageError(
                f"models.{self.name}: job {ended['id']}",
                "no step in a result file, an event or a checkpoint",
                "a table of steps",
                "run the same command again later: the job has succeeded and is not paid again",
            )
        return steps

    def checkpoints(self) -> list[dict]:
        """The models that were kept on the way, in the order of their steps; none where the service has no such list."""
        names = {"step": "step_number", "model": "fine_tuned_model_checkpoint", "id": "id", "metrics": "metrics"}
        try:
            listed = self.service.patiently(lambda: list(self.service.checkpoints(self.job_id)))
        except Missing:
            return []
        checkpoints = [{ours: entry.get(theirs) for ours, theirs in names.items()} for entry in listed]
        for checkpoint in checkpoints:
            checkpoint["step"] = shown.number(checkpoint["step"])
        return sorted((checkpoint for checkpoint in checkpoints if checkpoint["step"] is not None), key=lambda c: c["step"])


def about_model(run: Run, parent: dict, ended: dict, checkpoints: list[dict]) -> dict:
    """`hosted.json`: the model that answers (provider, base_url, model), and where it comes from."""
    names = {"training_file": "training", "validation_file": "validation"}
    files = {
        names[which]: {"id": ended.get(which), "sha256": file.sha256, "rows": file.rows} for which, file in run.files.items()
    }
    return {
        "provider": parent["provider"],
        "base_url": parent["base_url"],
        "model": ended["fine_tuned_model"],
        "base": run.model,
        "root": parent.get("root", parent["model"]),
        "job": ended["id"],
        "fingerprint": run.mark,
        "files": {**files, "results": ended["result_files"]},
        "hyperparameters": job.really(run.params, ended),
        "seed": ended.get("seed"),
        "checkpoints": checkpoints,
        "trained_tokens": ended.get("trained_tokens"),
    }


def read_and_refused(file: Prepared) -> dict[str, int]:
    """Counts: `rows` that were read, and `refused`, those left out for a mark in a text, where there are any."""
    return {"rows": file.rows + file.refused} | ({"refused": file.refused} if file.refused else {})


def summary(run: Run, ended: dict, steps: list[dict]) -> dict:
    """The metrics of the training. A figure that the service does not say is None."""
    tokens, hyperparameters = ended.get("trained_tokens"), job.really(run.params, ended)
    batch = hyperparameters.get("batch_size")
    losses = [row for row in steps if "training_loss" in row]
    epoch = ceil(run.files["training_file"].rows / batch) if isinstance(batch, int) and batch else 1
    measured = [row["validation_loss"] for row in steps if "validation_loss" in row]
    return {
        "rows": read_and_refused(run.files["training_file"]),
        "validation_rows": run.files["validation_file"].rows if "validation_file" in run.files else 0,
        "steps": steps[-1]["step"] if steps else None,
        "epochs": hyperparameters["n_epochs"] if isinstance(hyperparameters["n_epochs"], int) else None,
        "tokens": tokens,
        "tokens_at_most": run.bound.tokens * run.bound.epochs,
        "dollars": None if tokens is None else tokens * run.bound.dollars_per_million / 1e6,
        "dollars_at_most": run.bound.dollars,
        "validation_loss": measured[-1] if measured else None,
        "training_loss": mean_of_last(losses, epoch) if losses else None,
    }


def train_hosted(name: str, params: HostedTraining, paths: Paths) -> None:
    """Find or create the job for these rows and parameters, follow it to its end, and write down the model that it made."""
    start = time.monotonic()
    parent, model = starting_model(name, params, paths.base)
    contract = read_json(paths.formatted / "prompt.json")
    folder = kept.placed("rows of a hosted job", "files", name=name).folder
    with alone(folder, wait=False):
        taken = between(read_rows(paths.rows), params.rows, f"models.{name}.train.rows")
        files = {"training_file": prepare(taken, contract, folder / "training.jsonl", LEAST_ROWS)}
        if json_files(paths.formatted / "validation"):
            held_back = read_rows(paths.formatted / "validation")
            files["validation_file"] = prepare(held_back, contract, folder / "validation.jsonl", least_rows=1)
        trained = files["training_file"]
        bound = cost.estimate(name, params, parent.get("root", model), trained.rows, trained.tokens)
        run = Run(name, params, parent["base_url"], model, files, bound)
        try:
            ended, events = run.whole()
            checkpoints = run.checkpoints()
            steps = run.results(ended, events, checkpoints)
        except KeyboardInterrupt:
            raise run.detached() from None
    with atomic_directory(paths.out) as out:
        write_json(out / "hosted.json", about_model(run, parent, ended, checkpoints))
        write_prompt(out, contract)
        write_json(out / "parent.json", {"base": paths.base.name, "sha256": content_hash(paths.base)})
    write_table(paths.table, steps)
    figures = summary(run, ended, steps)
    accuracy = next((row["validation_token_accuracy"] for row in reversed(steps) if "validation_token_accuracy" in row), None)
    loss = figures["validation_loss"]
    measured = [] if loss is None else [{"step": 1, "validation_loss": loss, "validation_token_accuracy": accuracy}]
    write_json(paths.metrics, figures | raised("train", name, training(measured, best_step=1)))
    times = ended["created_at"], ended["finished_at"]
    service = times[1] - times[0] if None not in times else None
    spent = {"seconds": time.monotonic() - start, "service_seconds": service}
    write_speed(paths.speed, spent, {"python": platform.python_version(), "openai": version("openai")})
    paid = "" if figures["dollars"] is None else f", {figures['tokens']} tokens trained, ${figures['dollars']:.4g}"
    print(f"{name}: {ended['fine_tuned_model']}{paid}", file=sys.stderr)
