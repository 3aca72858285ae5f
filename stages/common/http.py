"""One HTTP client for whatever talks to a server: patient with failures that pass, quick to tell those that do not."""

import email.utils
import random
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from time import sleep
from typing import TypeVar

import requests
import urllib3

from stages.common.errors import StageError

AGENT = "affinage/0.1 (a reproducible DVC experiment repository; python-requests)"
# statuses worth another try; the last ones are of Cloudflare and of overloaded models
PASSING = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529, 530}
BACKOFF, LONGEST = 1.0, 300.0  # seconds: the first wait, doubled each time; the longest wait that is obeyed

Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for a connection and between two bytes; tries after the first."""

    connect_seconds: float
    read_seconds: float
    retries: int


class Again(Exception):
    """A failure that may pass.

    Args:
        reason: what happened.
        wait: seconds that the server asked for; None where it said nothing.
        progress: whether the try brought something that the next one builds on; such tries are not counted.
    """

    def __init__(self, reason: str, wait: float | None = None, progress: bool = False):
        super().__init__(reason)
        self.reason, self.wait, self.progress = reason, wait, progress


class Client:
    """Requests without cookies, redirects, or passwords from files, each tried again where that makes sense.

    Args:
        patience: timeouts and retries.
        agent: the User-Agent sent.
        session: another session of `requests`, for adapters of its own.
    """

    def __init__(self, patience: Patience, agent: str = AGENT, session: requests.Session | None = None):
        self.patience, self.session = patience, session or requests.Session()
        self.session.headers["User-Agent"] = agent
        self.session.auth = lambda request: request  # else ~/.netrc is read and sent
        # else the body of a redirect is read, however long, before the caller sees it, and keys may be sent elsewhere
        self.session.get_redirect_target = lambda response: None
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def send(self, method: str, url: str, **options) -> requests.Response:
        """The answer to one request, tried again on statuses and failures that pass; other statuses are the caller's."""
        return self.persist(url, lambda: self.once(method, url, **options))

    def once(self, method: str, url: str, **options) -> requests.Response:
        """One request, not tried again here.

        Raises:
            Again: on a status of PASSING, a timeout or a broken connection.
            StageError: on what no second try changes: a bad certificate, an address that is none.
        """
        options = {"timeout": (self.patience.connect_seconds, self.patience.read_seconds)} | options
        with passing(url):
            response = self.session.request(method, url, **options)
        if response.status_code in PASSING:
            response.close()
            raise Again(f"status {response.status_code} {response.reason or ''}".strip(), retry_after(response))
        return response

    def persist(self, where: str, attempt: Callable[[], Result]) -> Result:
        """What `attempt()` returns, called again with growing waits while it raises Again.

        Raises:
            StageError: when the tries are used up, or the server asks to wait longer than LONGEST.
        """
        failures = waits = 0
        while True:
            try:
                return attempt()
            except Again as again:
                failures, waits = (0, 0) if again.progress else (failures + 1, waits + 1)
                if failures > self.patience.retries:
                    tries = f"{failures} {'tries' if failures > 1 else 'try'}"
                    raise StageError(
                        where,
                        f"{again.reason}, after {tries}",
                        "an answer",
                        "check the address and the network, then run the same command again: finished work is kept",
                    ) from None
                sleep(pause(where, again, waits))


def pause(where: str, again: Again, waits: int) -> float:
    """Seconds to wait after the `waits`-th failure in a row: what the server asked for, else growing and never in step.

    Raises:
        StageError: when the server asks to wait longer than LONGEST.
    """
    if again.wait and again.wait > LONGEST:
        raise StageError(
            where,
            f"{again.reason}; the server asks to wait {again.wait:.0f} s",
            f"a wait of at most {LONGEST:.0f} s",
            "run the same command again later: finished work is kept",
        ) from None
    return again.wait or min(LONGEST, BACKOFF * 2 ** min(max(waits - 1, 0), 20) * random.uniform(0.5, 1))


def retry_after(response: requests.Response) -> float | None:
    """Seconds to wait by `Retry-After`, given there in seconds or as a date; None where nothing usable is said."""
    header = response.headers.get("Retry-After", "").strip()
    if header.isdecimal() and header.isascii():
        return float(min(int(header[:9]), 10**8))
    try:
        when = email.utils.parsedate_to_datetime(header)
    except (ValueError, TypeError, OverflowError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


@contextmanager
def passing(where: str):
    """Turns the failures of `requests` and `urllib3` into Again or StageError."""
    try:
        yield
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
        raise StageError(where, _words(error), "a server with a valid certificate", "check the address and the clock") from None
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.HTTPError,
        OSError,
    ) as error:
        two_lengths = "Content-Length" in str(error)
        if isinstance(error, requests.RequestException) and isinstance(error, ValueError) and not two_lengths:  # no address
            raise StageError(where, _words(error), "an http or https address", "check the address") from None
        raise Again(_words(error)) from None
    except ValueError as error:  # a label of a host too long, a header with a line end
        raise StageError(where, _words(error), "an http or https address", "check the address") from None


def _words(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
