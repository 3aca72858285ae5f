"""A fine-tuning service through OpenAI's official client: one try a call, plain mappings back, errors in our own words.

It works with any server that speaks the same protocol (`base_url`). Retries are ours and never the client's. The client would
send a request that creates something a second time, though the first one may have been obeyed and only its answer lost.

The key comes from the environment and stays in this process. It is removed from whatever the service says in words.
"""

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from stages.common.errors import StageError
from stages.common.http import PASSING, Again, Client, Patience, retry_after
from stages.training.hosted import shown

KEY = "OPENAI_API_KEY"
ADDRESS = "https://api.openai.com/v1"  # of the provider itself: base_url ""
PATIENCE = Patience(connect_seconds=10, read_seconds=120, retries=6)
UPLOAD_SECONDS = 900  # for the answer to an upload, which comes after all of it was read
PAGE = 100
HIDDEN = "[key]"
_SPENT = {"insufficient_quota", "billing_hard_limit_reached"}  # 429s that no waiting changes
CONFLICTS = {409, 423}  # something else is being done to it; the provider's own client tries again, too
_NOT_YET = re.compile(r"being processed|not (yet )?ready")  # a file just uploaded, status 400
_LIKE_A_KEY = re.compile(r"\bsk-[\w*.-]{4,}")  # services quote keys half masked

Result = TypeVar("Result")


class Refused(Again):
    """A failure that may pass, of a request that the service did not act on."""


class Missing(StageError):
    """What was asked for is not at the service, or not any more."""


def key() -> str:
    """The key, from the environment.

    Raises:
        StageError: if there is none, or one that cannot be sent; it is never shown.
    """
    secret = os.environ.get(KEY, "").strip()
    if not re.fullmatch(r"[!-~]+", secret):  # httpx would quote a broken header, key and all
        raise StageError(
            f"environment variable {KEY}",
            "characters that no key has" if secret else "nothing",
            "the key of the service; it is read from there alone",
            f"export {KEY}=…, then run the same command again",
        )
    return secret


def clean(text: object) -> str:
    """What a service says, on one line and without the key."""
    secret = os.environ.get(KEY, "").strip()
    words = str(text).replace(secret, HIDDEN) if secret else str(text)
    return " ".join(_LIKE_A_KEY.sub(HIDDEN, words).split())


class Service:
    """Files and fine-tuning jobs of one service.

    Every method tries once. `patiently` tries again.

    Raises:
        Again: where another try may do.
        Refused: the same, and the service has done nothing so far.
        Missing: on status 404.
        StageError: on every other refusal, with the service's own words.
    """

    def __init__(self, base_url: str):
        import openai

        self.openai, self.address = openai, base_url or ADDRESS
        wait = openai.Timeout(PATIENCE.read_seconds, connect=PATIENCE.connect_seconds)
        # base_url is always given: OPENAI_BASE_URL would send the rows where no parameter says
        self.client = openai.OpenAI(api_key=key(), base_url=self.address, max_retries=0, timeout=wait)
        self.files, self.tuning = self.client.files, self.client.fine_tuning.jobs

    def patiently(self, call: Callable[[], Result]) -> Result:
        """What `call()` returns, tried again with growing waits while it raises Again."""
        return Client(PATIENCE).persist(self.address, call)

    def _ask(self, request: str, call: Callable, *args, **options) -> dict:
        """One answer as a mapping, which must have an `id` or be a list. `request` says in errors what was asked."""
        try:
            answer = call(*args, **options)
            answered = answer.to_dict(mode="json", warnings=False)
        except self.openai.APIStatusError as error:
            raise self._refusal(request, error) from None
        except self.openai.APIConnectionError as error:
            raise Again(f"{request}: {clean(error.__cause__ or error)}") from None
        except (self.openai.OpenAIError, ValueError, AttributeError, TypeError):  # a proxy's page, half an answer
            raise Again(f"{request}: an answer that is no JSON of this protocol") from None
        if not isinstance(answered.get("data") if answered.get("object") == "list" else answered.get("id"), list | str):
            raise Again(f"{request}: an answer without id or data")
        return answered

    def _refusal(self, request: str, error) -> Exception:
        body = error.body if isinstance(error.body, dict) else {}
        message = clean(body.get("message") or error.message)[:1000]
        status, about = error.status_code, clean(", ".join(str(body[k]) for k in ("code", "param") if body.get(k)))
        refusal = f"status {status}: {message}{f' ({about})' if about else ''}"
        if status == 404:
            return Missing(
                f"{self.address}: {request}",
                refusal,
                "something that is there",
                "check the name and bases.<base>.base.base_url",
            )
        spent = {body.get("code"), body.get("type")} & _SPENT
        if status == 429 and not spent or status == 400 and _NOT_YET.search(message):
            return Refused(f"{request}: {refusal}", retry_after(error.response))
        if status in PASSING | CONFLICTS and status != 429 or status >= 500:
            return Again(f"{request}: {refusal}", retry_after(error.response))
        fix = f"set {KEY} to a key that may do this" if status in (401, 403) else "do what the service says"
        fix = "add quota, then run the same command again: what was paid is not paid again" if spent or status == 402 else fix
        return StageError(f"{self.address}: {request}", refusal, "a request that the service takes", fix)

    def _pages(self, request: str, call: Callable, **options) -> Iterator[dict]:
        """Every entry of a list, page after page."""
        after = {}
        while True:
            page = self._ask(request, call, **after, **options)
            yield from page["data"]
            if not page.get("has_more") or not page["data"] or page["data"][-1].get("id") == after.get("after"):
                return
            after = {"after": page["data"][-1]["id"]}

    # files ---------------------------------------------------------------------------------------------------------------

    def all_files(self) -> Iterator[dict]:
        """Files for fine-tuning, newest first."""
        return self._pages("list files", self.files.list, purpose="fine-tune", order="desc")

    def file(self, file_id: str) -> dict:
        return self._ask(f"file {file_id}", self.files.retrieve, file_id)

    def upload(self, path: Path, name: str) -> dict:
        """Send a file for fine-tuning under `name`."""
        with open(path, "rb") as content:
            fields = {"file": (name, content, "application/jsonl"), "purpose": "fine-tune", "timeout": UPLOAD_SECONDS}
            return self._ask(f"upload {name}", self.files.create, **fields)

    def content(self, file_id: str) -> bytes:
        """What is in a file of the service."""
        request = f"download {file_id}"
        try:
            answer = self.files.content(file_id)
            if "html" in answer.response.headers.get("content-type", ""):
                raise Again(f"{request}: a web page, from a proxy")
            return answer.read()
        except self.openai.APIStatusError as error:
            raise self._refusal(request, error) from None
        except self.openai.OpenAIError as error:
            raise Again(f"{request}: {clean(error.__cause__ or error)}") from None

    # jobs ----------------------------------------------------------------------------------------------------------------

    def all_jobs(self) -> Iterator[dict]:
        """Jobs, newest first."""
        return map(shown.job, self._pages("list jobs", self.tuning.list, limit=PAGE))

    def job(self, job_id: str) -> dict:
        return shown.job(self._ask(f"job {job_id}", self.tuning.retrieve, job_id))

    def create_job(self, request: dict) -> dict:
        return shown.job(self._ask("create job", self.tuning.create, **request))

    def act(self, job_id: str, verb: str) -> dict:
        """Cancel, pause or resume a job. Returns the job."""
        return shown.job(self._ask(f"{verb} job {job_id}", getattr(self.tuning, verb), job_id))

    def events(self, job_id: str) -> Iterator[dict]:
        """What happened to a job, newest first."""
        return self._pages(f"events of {job_id}", partial(self.tuning.list_events, job_id), limit=PAGE)

    def checkpoints(self, job_id: str) -> Iterator[dict]:
        """Models kept on the way, newest first."""
        return self._pages(f"checkpoints of {job_id}", partial(self.tuning.checkpoints.list, job_id), limit=PAGE)
