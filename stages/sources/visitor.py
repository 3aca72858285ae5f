"""How `scrape` visits servers: robots.txt obeyed, never hurried, redirects followed only where one may go."""

import ipaddress
import math
import re
import threading
import time
from contextlib import closing
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from protego import Protego
from requests.adapters import HTTPAdapter

from stages.common.errors import StageError
from stages.common.http import AGENT, Again, Client, Patience, passing
from stages.common.schema_sources import WebSource

REDIRECTS = 5  # as many as RFC 9309 asks of crawlers
ROBOTS_BYTES = 512 * 1024  # read of a robots.txt, the RFC's bound
TOKEN = "affinage"  # what robots.txt may call us
_VERSION = re.compile(r"(?im)^(\s*user-agent\s*:\s*[\w-]+)/\S*")  # a name is matched without its version (RFC 9309, 2.2.1)


class Private(Exception):
    """A connection to this machine or a private network, closed before anything was sent."""


class _Public:
    """Looks at the address really connected to: a name may resolve to another one a moment after it was checked."""

    def _new_conn(self):
        connection = super()._new_conn()
        address = connection.getpeername()[0]
        if private(address):
            connection.close()
            raise Private(address)
        return connection


class _PublicHttp(_Public, urllib3.connection.HTTPConnection):
    pass


class _PublicHttps(_Public, urllib3.connection.HTTPSConnection):
    pass


class _PublicAdapter(HTTPAdapter):
    """Connections to public addresses only. Through a proxy it is the proxy that connects: names are checked, no more."""

    def init_poolmanager(self, *arguments, **options):
        super().init_poolmanager(*arguments, **options)
        http = type("Pool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": _PublicHttp})
        https = type("Pool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": _PublicHttps})
        self.poolmanager.pool_classes_by_scheme = {"http": http, "https": https}


def private(host: str) -> bool:
    """Whether an address, or a name that says so itself, is none of the public internet."""
    host = host.strip("[]").rstrip(".").partition("%")[0].lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    address = getattr(address, "ipv4_mapped", None) or address
    return not address.is_global or address.is_multicast


class Visitor:
    """Opens addresses for one source; safe to use from several threads."""

    def __init__(self, params: WebSource):
        agent = AGENT.replace(")", f"; {params.contact})") if params.contact else AGENT
        session = requests.Session()
        if not params.allow_private:
            session.mount("http://", _PublicAdapter())
            session.mount("https://", _PublicAdapter())
        self.client = Client(Patience(params.connect_seconds, params.read_seconds, params.retries), agent, session)
        self.params, self.robots, self.next, self.locks = params, {}, {}, {}

    def open(self, url: str, headers: dict[str, str], robots: bool = True) -> requests.Response:
        """The answer at the end of all redirects, its body still to be read; `response.url` says where.

        Raises:
            Again: on a failure that may pass.
            StageError: where robots.txt, the scheme, a private address or too many redirects forbid to go on.
        """
        visited = [url]
        while len(visited) <= REDIRECTS + 1:
            address = visited[-1]
            self._check(address, visited)
            delay = self._rules(address) if robots else self.params.per_host_seconds
            self._wait_turn(address, delay)
            try:
                response = self.client.once("GET", address, headers=headers, stream=True, allow_redirects=False)
            except Private as error:
                raise self._is_private(address, visited, f"{address}, at {error}") from None
            if response.status_code not in (301, 302, 303, 307, 308) or "Location" not in response.headers:
                return response
            response.close()
            target = response.headers["Location"].encode("latin-1").decode("utf-8", "replace")
            try:
                visited.append(urljoin(address, target))
            except ValueError:  # brackets that do not match
                visited.append(target)
        raise StageError(url, f"redirects: {' -> '.join(visited)}", f"at most {REDIRECTS}", "check the address")

    def _check(self, url: str, visited: list[str]) -> None:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and parts.hostname and not parts.username and (parts.port or True)
        except ValueError:
            good = False
        if not good:
            way = " -> ".join(visited)
            raise StageError(visited[0], f"a way to {way}", "http and https addresses without passwords", "check the address")
        if not self.params.allow_private and private(parts.hostname):
            raise self._is_private(url, visited, url)

    def _is_private(self, url: str, visited: list[str], address: str) -> StageError:
        fix = "check the address, or set datasets.<name>.scrape.sources.<source>.allow_private"
        way = f" (by {' -> '.join(visited)})" if len(visited) > 1 else ""
        return StageError(visited[0], f"a private address: {address}{way}", "public addresses", fix)

    def _rules(self, url: str) -> float:
        """Seconds between requests to this host, if robots.txt lets us have `url`."""
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        with self.locks.setdefault(("robots", origin), threading.Lock()):
            if origin not in self.robots:
                address = f"{origin}/robots.txt"
                self.robots[origin] = self.client.persist(address, lambda: self._read_robots(address))
        rules = self.robots[origin]
        if not rules.can_fetch(url, TOKEN):
            raise StageError(
                url,
                f"{origin}/robots.txt forbids it",
                f"an address open to {TOKEN}",
                "choose another address, or ask the site for its data and use a source of kind local",
            )
        return max(self.params.per_host_seconds, _seconds(rules.crawl_delay(TOKEN)))

    def _read_robots(self, address: str) -> Protego:
        """No robots.txt (status 4xx) allows everything; a server in trouble is tried again and then an error (RFC 9309)."""
        with closing(self.open(address, {}, robots=False)) as response:
            text = b""
            if response.status_code >= 500:
                raise Again(f"status {response.status_code} {response.reason or ''}".strip())
            if response.status_code == 200:
                with passing(address):
                    for block in response.iter_content(1 << 16):
                        text += block
                        if len(text) > ROBOTS_BYTES:
                            break
        if len(text) > ROBOTS_BYTES:  # the last line may be half a rule, which says something else
            text = text[: max(0, text.rfind(b"\n", 0, ROBOTS_BYTES), text.rfind(b"\r", 0, ROBOTS_BYTES))]
        return Protego.parse(_VERSION.sub(r"\1", text.decode("utf-8-sig", "replace")))

    def _wait_turn(self, url: str, seconds: float) -> None:
        """Wait until `seconds` have gone by since the last request to the host.

        Raises:
            StageError: at once, where the time limit of a file would be over before.
        """
        host = urlsplit(url).netloc
        with self.locks.setdefault(("turn", host), threading.Lock()):
            wait = max(0.0, self.next.get(host, 0.0) - time.monotonic())
            if wait > self.params.total_seconds:
                origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
                by_robots = f"{origin}/robots.txt asks for a Crawl-delay of {seconds:g} s"
                raise StageError(
                    url,
                    by_robots if seconds > self.params.per_host_seconds else f"per_host_seconds of {seconds:g} s",
                    f"at most total_seconds, {self.params.total_seconds:g} s",
                    "raise datasets.<name>.scrape.sources.<source>.total_seconds, or ask the site for its data: kind local",
                )
            time.sleep(wait)
            self.next[host] = time.monotonic() + seconds


def _seconds(delay: object) -> float:
    """A Crawl-delay in seconds; 0 for what is none: nothing, NaN, an endless or a negative one."""
    seconds = float(delay or 0)
    return seconds if 0 < seconds < math.inf else 0.0
