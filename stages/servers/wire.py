"""What goes over the wire to a model server, whichever official package sends it.

The packages send and parse. A hook on their HTTP client judges every answer before they read it. So a status, a wait that is
asked for, an endless body and a slow drip mean the same for each of them.
"""

import time
from collections.abc import Iterable
from contextlib import contextmanager
from types import ModuleType

from stages.common.http import retry_after
from stages.servers.failures import Unanswered, failure
from stages.servers.server_errors import inside, server_error

MOST_BYTES = 4 * 2**20  # of one answer: no answer of so few tokens is longer


def http_options(library: ModuleType, where: str, seconds: float, secret: str = "") -> dict:
    """Arguments for a client of `library` (httpx or its successor): no redirects, a deadline for the whole of each answer.

    Args:
        where: the server, as errors name it.
        secret: kept out of every message, even where a server echoes it.
    """

    class Bounded(library.SyncByteStream):
        def __init__(self, stream: Iterable[bytes], deadline: float):
            self.stream, self.deadline = stream, deadline

        def __iter__(self):
            read = 0
            for chunk in self.stream:
                read += len(chunk)
                if read > MOST_BYTES:
                    raise Unanswered("too_large", f"an answer of over {MOST_BYTES} bytes")
                if time.monotonic() > self.deadline:  # the library's own timeout starts again with every byte
                    raise Unanswered("timeout", f"no whole answer in {seconds:g} s")
                yield chunk

        def close(self) -> None:
            self.stream.close()

    def sent(request) -> None:
        request.extensions["affinage.deadline"] = time.monotonic() + seconds

    def received(response) -> None:
        if response.headers.get("Content-Encoding", "identity") != "identity":  # a little that unpacks to very much
            raise Unanswered("server_error", "a compressed answer that nobody asked for")
        response.stream = Bounded(response.stream, response.request.extensions["affinage.deadline"])
        response.read()
        status = response.status_code if response.status_code >= 300 else inside(response.content)
        if status:
            raise failure(where, status, server_error(response.content, secret), retry_after(response))

    return {
        "timeout": seconds,
        "follow_redirects": False,
        "headers": {"Accept-Encoding": "identity"},
        "event_hooks": {"request": [sent], "response": [received]},
        "limits": library.Limits(max_connections=None),
    }


@contextmanager
def translated(library: ModuleType):
    """Turn the failures of a client of `library`, on the wire and in reading JSON, into Unanswered."""
    try:
        yield
    except library.TimeoutException:
        raise Unanswered("timeout", "no answer in time") from None
    except (library.ConnectError, ConnectionError) as error:
        raise Unanswered("unreachable", " ".join(str(error).split())[:200] or "no connection") from None
    except library.TransportError as error:
        raise Unanswered("server_error", f"the answer broke off ({type(error).__name__})") from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Unanswered("server_error", f"no answer of this protocol ({type(error).__name__})") from None
