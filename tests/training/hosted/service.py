"""A fine-tuning service on the loopback interface that keeps state as the real one does.

Files, jobs through their states, events and lists by pages, checkpoints, a result file. Every request and answer is held
against the contract (tests/training/hosted/contract.py). Faults strike at chosen calls, before or after the service acted.
"""

import base64
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.training.hosted.contract import problems, query_problems

KEY = "sk-test-0123456789abcdefghijklmnop"
MODEL = "gpt-4o-mini-2024-07-18"
ROUTES = {  # method and path: the call's name, the schema of its request and of its answer
    ("GET", "/files"): ("files.list", None, "ListFilesResponse"),
    ("POST", "/files"): ("files.create", "CreateFileRequest", "OpenAIFile"),
    ("GET", "/files/{file_id}"): ("files.retrieve", None, "OpenAIFile"),
    ("GET", "/files/{file_id}/content"): ("files.content", None, None),
    ("GET", "/fine_tuning/jobs"): ("jobs.list", None, "ListPaginatedFineTuningJobsResponse"),
    ("POST", "/fine_tuning/jobs"): ("jobs.create", "CreateFineTuningJobRequest", "FineTuningJob"),
    ("GET", "/fine_tuning/jobs/{fine_tuning_job_id}"): ("jobs.retrieve", None, "FineTuningJob"),
    ("POST", "/fine_tuning/jobs/{fine_tuning_job_id}/cancel"): ("jobs.cancel", None, "FineTuningJob"),
    ("POST", "/fine_tuning/jobs/{fine_tuning_job_id}/pause"): ("jobs.pause", None, "FineTuningJob"),
    ("POST", "/fine_tuning/jobs/{fine_tuning_job_id}/resume"): ("jobs.resume", None, "FineTuningJob"),
    ("GET", "/fine_tuning/jobs/{fine_tuning_job_id}/events"): ("jobs.events", None, "ListFineTuningJobEventsResponse"),
    ("GET", "/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints"): (
        "jobs.checkpoints",
        None,
        "ListFineTuningJobCheckpointsResponse",
    ),
}
CALLS = sorted(name for name, *_ in ROUTES.values())


@dataclass
class Fault:
    """What happens to the `nth` call (from 1) of a name, or of any name if it is "".

    how: drop (the connection closes), kill or interrupt (the client's process, by the pid in the file `pid`), page (a
    proxy's HTML), empty (JSON of nothing) or a status. `acted`: whether the service does first what it was asked for.
    """

    call: str
    nth: int
    how: str | int
    acted: bool
    headers: dict = field(default_factory=dict)
    body: dict | None = None


class Refusal(Exception):
    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None):
        super().__init__(message)
        kind = "invalid_request_error"
        self.status, self.error = status, {"message": message, "type": kind, "param": param, "code": code}


class Account:
    """Everything that one customer has at the service.

    Args:
        pid: a file with the process id of the client, for faults that kill it.
    """

    def __init__(self, pid: Path | None = None):
        self.pid, self.lock = pid, threading.RLock()
        self.files, self.jobs, self.events, self.saved, self.contents = {}, {}, {}, {}, {}
        self.calls, self.wrong, self.faults = [], [], []
        self.page = 7  # entries a list gives at most
        self.keeps_metadata = True
        self.shows = ("top", "method")  # where hyperparameters stand in a job; in neither, there are none
        self.shows_chosen = True  # whether they hold what the service chose for `auto`
        self.order = "newest first"  # of events; or `oldest first`, `none` (as a hash would have them)
        self.loses_results = False  # whether the result file that a job names is not there
        self.lag = 0  # lists of its kind that a new thing is missing from
        self.hidden: dict[str, int] = {}
        self.auto_epochs = 3
        self.states = ["validating_files", "queued", "running", "running", "succeeded"]
        self.failure: dict | None = None  # the error of every job
        self.results = True  # whether there is a result file
        self.paused: set[str] = set()
        self.clock = 1_700_000_000

    def count(self, call: str) -> int:
        return self.calls.count(call)

    def uploads(self) -> Counter:
        """How often each content was uploaded for training."""
        return Counter(self.contents[id] for id, file in self.files.items() if file["purpose"] == "fine-tune")

    def now(self) -> int:
        self.clock += 1
        return self.clock

    # calls ---------------------------------------------------------------------------------------------------------------

    def files_list(self, query: dict, **_) -> dict:
        listed = [file for id, file in self.files.items() if file["purpose"] == query.get("purpose", file["purpose"])]
        ends = {"first_id": listed[-1]["id"] if listed else "", "last_id": listed[0]["id"] if listed else ""}
        return self._listed(listed[::-1], query, "files") | ends

    def files_create(self, form: dict, **_) -> dict:
        if form["purpose"] != "fine-tune":
            raise Refusal(400, f"Invalid purpose {form['purpose']}")
        return self.add_file(form["filename"], form["file"], "fine-tune")

    def add_file(self, name: str, content: bytes, purpose: str) -> dict:
        id = f"file-{len(self.files) + 1:04}"
        about = {"id": id, "object": "file", "bytes": len(content), "created_at": self.now(), "filename": name}
        self.files[id] = about | {"purpose": purpose, "status": "processed"}
        self.contents[id] = content
        self.hidden[id] = self.lag
        return self.files[id]

    def files_retrieve(self, id: str, **_) -> dict:
        if id not in self.files:
            raise Refusal(404, f"No such File object: {id}", param="id")
        return self.files[id]

    def files_content(self, id: str, **_) -> bytes:
        self.files_retrieve(id)
        return base64.b64encode(self.contents[id])

    def jobs_list(self, query: dict, **_) -> dict:
        return self._listed([self._shown(id) for id in self.jobs][::-1], query, "jobs")

    def jobs_create(self, body: dict, **_) -> dict:
        for name in ("training_file", "validation_file"):
            if name in body and body[name] not in self.files:
                raise Refusal(400, f"invalid {name}: {body[name]}", "invalid_file_id", name)
        models = {MODEL, "gpt-4o-mini", *(model for checkpoints in self.saved.values() for _, model, _ in checkpoints)}
        models |= {job["fine_tuned_model"] for job in self.jobs.values()}
        if body["model"] not in models:
            raise Refusal(404, f"The model {body['model']} does not exist", "model_not_found", "model")
        id = f"ftjob-{len(self.jobs) + 1:04}"
        hyperparameters = body["method"]["supervised"]["hyperparameters"]
        self.jobs[id] = {
            "id": id,
            "object": "fine_tuning.job",
            "created_at": self.now(),
            "finished_at": None,
            "error": None,
            "fine_tuned_model": None,
            "model": MODEL if body["model"] == "gpt-4o-mini" else body["model"],
            "organization_id": "org-1",
            "hyperparameters": dict(hyperparameters),
            "method": body["method"],
            "result_files": [],
            "status": self.states[0],
            "trained_tokens": None,
            "training_file": body["training_file"],
            "validation_file": body.get("validation_file"),
            "seed": body["seed"],
            **({"metadata": body.get("metadata")} if self.keeps_metadata else {}),
        }
        self.hidden[id] = self.lag
        self.events[id], self.saved[id] = [], []
        self.jobs[id]["_suffix"], self.jobs[id]["_left"] = body.get("suffix", ""), list(self.states[1:])
        self.tell(id, f"Created fine-tuning job: {id}")
        return self._shown(id)

    def jobs_retrieve(self, id: str, **_) -> dict:
        """Every look moves a job on by one state, after it was shown."""
        shown = self._shown(id)
        job = self.jobs[id]
        if job["_left"] and id not in self.paused:
            self._enter(id, job["_left"].pop(0))
        return shown

    def jobs_cancel(self, id: str, **_) -> dict:
        self._shown(id)
        job = self.jobs[id]
        if job["status"] in ("succeeded", "failed", "cancelled"):
            raise Refusal(400, f"Job has already completed: {id}", "invalid_state")
        job.update(status="cancelled", finished_at=self.now(), _left=[])
        self.tell(id, "The job was cancelled")
        return self._shown(id)

    def jobs_pause(self, id: str, **_) -> dict:
        shown = self._shown(id)
        self.paused.add(id)
        self.tell(id, "The job was paused")
        return shown

    def jobs_resume(self, id: str, **_) -> dict:
        shown = self._shown(id)
        self.paused.discard(id)
        self.tell(id, "The job was resumed")
        return shown

    def jobs_events(self, id: str, query: dict, **_) -> dict:
        self._shown(id)
        events = self.events[id][:: 1 if self.order == "oldest first" else -1]
        if self.order == "none":
            events = sorted(events, key=lambda event: event["id"][::-1])
        return self._listed(events, query)

    def jobs_checkpoints(self, id: str, query: dict, **_) -> dict:
        self._shown(id)
        checkpoints = [
            {
                "id": f"ftckpt-{id[-4:]}-{step}",
                "object": "fine_tuning.job.checkpoint",
                "created_at": 1_700_000_000,
                "fine_tuning_job_id": id,
                "fine_tuned_model_checkpoint": model,
                "step_number": step,
                "metrics": {"step": step, "train_loss": loss, "full_valid_loss": loss + 0.5},
            }
            for step, model, loss in self.saved[id][::-1]
        ]
        ends = {
            "first_id": checkpoints[0]["id"] if checkpoints else None,
            "last_id": checkpoints[-1]["id"] if checkpoints else None,
        }
        return self._listed(checkpoints, query) | ends

    # what the service does by itself -------------------------------------------------------------------------------------

    def _shown(self, id: str) -> dict:
        if id not in self.jobs:
            raise Refusal(404, f"Could not find fine tune: {id}", "fine_tune_not_found", "fine_tuning_job_id")
        job = {name: value for name, value in self.jobs[id].items() if not name.startswith("_")}
        asked = job["method"]["supervised"]["hyperparameters"]
        real = job["hyperparameters"] if self.shows_chosen else asked
        under = {"hyperparameters": real if "method" in self.shows else {}}
        job["method"] = {"type": "supervised", "supervised": under}
        return job | {"hyperparameters": real if "top" in self.shows else {}}

    def _listed(self, entries: list[dict], query: dict, kind: str = "") -> dict:
        if kind and "after" not in query:
            for entry in entries:
                self.hidden[entry["id"]] -= 1
        seen = [entry for entry in entries if not kind or self.hidden[entry["id"]] < 0]
        shown = [{name: value for name, value in entry.items() if not name.startswith("_")} for entry in seen]
        start = next((i + 1 for i, entry in enumerate(shown) if entry["id"] == query.get("after")), 0)
        end = start + min(self.page, int(query.get("limit", 20)))
        return {"object": "list", "data": shown[start:end], "has_more": end < len(shown)}

    def tell(self, id: str, message: str, level: str = "info", data: dict | None = None) -> None:
        self.events[id].append(
            {
                "object": "fine_tuning.job.event",
                "id": f"ftevent-{id[-4:]}-{len(self.events[id]):05}",
                "created_at": self.now(),
                "level": level,
                "message": message,
                "type": "metrics" if data else "message",
                "data": data or {},
            }
        )

    def _enter(self, id: str, status: str) -> None:
        job = self.jobs[id]
        job["status"] = status
        rows = self.contents[job["training_file"]].count(b"\n")
        chosen = {"n_epochs": self.auto_epochs, "batch_size": 2, "learning_rate_multiplier": 1.8}
        job["hyperparameters"] = {k: chosen[k] if v == "auto" else v for k, v in job["hyperparameters"].items()}
        epochs, batch = job["hyperparameters"]["n_epochs"], job["hyperparameters"]["batch_size"]
        steps = epochs * ceil(rows / batch)
        if status == "queued" and self.failure:
            job.update(status="failed", error=self.failure, finished_at=self.now(), _left=[])
            self.tell(id, self.failure["message"], "error")
        elif status == "queued":
            self.tell(id, "Files validated, moving job to queued state")
        elif status == "running":
            done = sum(event["type"] == "metrics" for event in self.events[id])
            for step in range(done + 1, steps + 1 if done else ceil(steps / 2) + 1):
                loss = round(3 / step, 4)
                data = {"step": step, "train_loss": loss, "total_steps": steps, "train_mean_token_accuracy": 1 - loss / 4}
                self.tell(id, f"Step {step}/{steps}: training loss={loss}", data=data)
        elif status == "succeeded":
            self._succeed(id, job, epochs, steps)

    def _succeed(self, id: str, job: dict, epochs: int, steps: int) -> None:
        origin = job["model"].split(":")[1] if job["model"].startswith("ft:") else job["model"]
        tuned = f"ft:{origin}:org:{job['_suffix']}:{id[-4:]}"
        for epoch in range(max(1, epochs - 2), epochs + 1):
            step = epoch * steps // epochs
            self.saved[id].append((step, tuned if epoch == epochs else f"{tuned}:ckpt-step-{step}", 3 / step))
        tokens = epochs * (len(self.contents[job["training_file"]]) // 4)
        job.update(status="succeeded", fine_tuned_model=tuned, trained_tokens=tokens, finished_at=self.now())
        if self.results:
            lines = ["step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"]
            valid = "2.5,0.25" if job["validation_file"] else ","
            lines += [f"{s},{3 / s:.5f},{1 - 1 / s:.5f},{valid if s % 5 == 0 else ','}" for s in range(1, steps + 1)]
            table = "\n".join(lines).encode() + b"\n"
            job["result_files"] = [self.add_file("step_metrics.csv", table, "fine-tune-results")["id"]]
            if self.loses_results:
                del self.files[job["result_files"][0]]
        self.tell(id, "The job has successfully completed")


class Service:
    """The server; each account has an address of its own."""

    def __init__(self):
        self.accounts: dict[str, Account] = {}
        handler = type("Handler", (_Handler,), {"service": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def account(self, name: str, pid: Path | None = None) -> Account:
        return self.accounts.setdefault(name, Account(pid))

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{name}/v1"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


class _Handler(BaseHTTPRequestHandler):
    service: Service

    def _answer(self) -> None:
        path = urlsplit(self.path)
        name, rest = re.fullmatch(r"/(\w+)/v1(/.*)", path.path).groups()
        account, body = self.service.accounts[name], self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with account.lock:
            try:
                call, id, request, schema, pattern = self._route(rest)
            except LookupError:
                account.wrong.append(f"{self.command} {rest}: no such path")
                return self._send(404, {"error": {"message": "unknown path", "type": "x", "param": None, "code": None}})
            account.calls.append(call)
            fault = next((f for f in account.faults if self._struck(account, f, call)), None)
            if fault and not fault.acted:
                return self._strike(account, fault)
            status, answer = self._act(account, call, id, request, pattern, dict(parse_qsl(path.query)), body)
            wanted = schema if status == 200 else "ErrorResponse"
            if wanted:
                account.wrong += problems(wanted, answer)
            if fault:
                return self._strike(account, fault)
        self._send(status, answer)

    do_GET = do_POST = _answer

    def _route(self, rest: str) -> tuple:
        for (method, pattern), (call, request, schema) in ROUTES.items():
            match = re.fullmatch(re.sub(r"\{\w+\}", "([^/]+)", pattern), rest)
            if match and method == self.command:
                return call, unquote(match[1]) if match.groups() else "", request, schema, pattern
        raise LookupError(rest)

    def _struck(self, account: Account, fault: Fault, call: str) -> bool:
        if not fault.call:
            return len(account.calls) == fault.nth
        return call == fault.call and account.count(call) == fault.nth

    def _act(self, account: Account, call: str, id: str, request, pattern: str, query: dict, body: bytes) -> tuple[int, object]:
        arguments = {"query": query}
        if self.command == "GET":
            account.wrong += query_problems(pattern, query)
        if request == "CreateFileRequest":
            arguments["form"] = form = self._form(body)
            sent = {name: value for name, value in form.items() if name != "filename"}
            account.wrong += problems(request, sent | {"file": form["file"].decode("utf-8")})
        elif request:
            arguments["body"] = json.loads(body)
            account.wrong += problems(request, arguments["body"])
        try:
            if self.headers.get("Authorization") != f"Bearer {KEY}":
                said = self.headers.get("Authorization", "").removeprefix("Bearer ")
                raise Refusal(401, f"Incorrect API key provided: {said} ({said[:8]}*****{said[-4:]}).", "invalid_api_key")
            return 200, getattr(account, call.replace(".", "_"))(**({"id": id} if id else {}), **arguments)
        except Refusal as refusal:
            return refusal.status, {"error": refusal.error}

    def _form(self, body: bytes) -> dict:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = {}
        for part in message_from_bytes(head + body, policy=HTTP).iter_parts():
            name, value = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
            parts[name] = value if name == "file" else value.decode()
            if part.get_filename():
                parts["filename"] = part.get_filename()
        return parts

    def _strike(self, account: Account, fault: Fault) -> None:
        if fault.how == "kill":
            os.kill(int(account.pid.read_text()), signal.SIGKILL)
        elif fault.how == "interrupt":
            os.kill(int(account.pid.read_text()), signal.SIGINT)
            time.sleep(0.2)  # no answer before the signal has come
        elif fault.how == "page":
            self._send(200, b"<html>log in to the network first</html>", "text/html")
        elif fault.how == "empty":
            self._send(200, {})
        elif fault.how != "drop":
            error = fault.body or {"message": f"fault {fault.how}", "type": "server_error", "param": None, "code": None}
            self._send(fault.how, {"error": error}, headers=fault.headers)
        self.close_connection = True

    def _send(self, status: int, body: object, kind: str = "application/json", headers: dict | None = None) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/octet-stream" if kind != "text/html" and raw is body else kind)
            self.send_header("Content-Length", str(len(raw)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)
        except OSError:  # the client has gone
            pass

    def log_message(self, *_) -> None:
        pass
