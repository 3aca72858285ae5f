"""Fixtures of all tests."""

import os

# before torch is imported: tests run side by side, and threads that wait by spinning would take each other's time
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}

import socket
from pathlib import Path

import pytest
from hypothesis import settings

from tests.affinage.reports.fixtures import own, repository, tab  # noqa: F401
from tests.server import Server
from tests.servers.loopback import Loopback, Speaker

# the same examples every time and no deadline: a busy machine fails no test
settings.register_profile("affinage", deadline=None, derandomize=True, max_examples=60, database=None)
settings.load_profile("affinage")

# Files are handed out whole, so that none makes its fixtures twice; the longest first, so that all workers end together.
LONGEST = (
    "test_experiments.py",
    "test_pipeline.py",
    "test_commands.py",
    "test_tutorial.py",
    "common/test_spread.py",
    "test_queue.py",
    "test_recipe_runs.py",
    "models/test_attention.py",
    "test_recipe.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: first.get(item.path, len(first)))


@pytest.fixture(scope="session", autouse=True)
def own_site_cache(tmp_path_factory) -> None:
    """DVC keeps its indexes of this session in a folder of this session, not in the machine's."""
    os.environ["DVC_SITE_CACHE_DIR"] = str(tmp_path_factory.mktemp("site_cache"))


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A repository with a finished run of tiny models, the module's own: a copy of one that is made once for all workers."""
    from tests.repository import copy, finished  # brings torch

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return copy(finished(shared), tmp_path_factory.mktemp("repository"))


@pytest.fixture(autouse=True)
def own_scratch(tmp_path, monkeypatch) -> Path:
    """Unfinished work of a test lies in its own folder, never in the repository's `.cache`."""
    folder = tmp_path / "scratch"
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real data beside the repository; it may not be republished, so a fresh clone has none."""
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


@pytest.fixture
def server(monkeypatch):
    """A web server of our own, reached without any proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def naps(monkeypatch) -> list[float]:
    """Waits between tries: not waited, but listed."""
    listed = []
    monkeypatch.setattr("stages.common.http.sleep", listed.append)
    return listed


@pytest.fixture
def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def serve(monkeypatch):
    """Starts model servers; at the end none of what was said may have broken a contract."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    running: list[Loopback] = []

    def start(speak: Speaker, **options) -> Loopback:
        running.append(Loopback(speak, **options))
        return running[-1]

    yield start
    for server in running:
        server.close()
    assert [problem for server in running for problem in server.wrong] == []


@pytest.fixture
def hurried(monkeypatch) -> list[float]:
    """Waits between tries are listed, and a thousandth as long."""
    from stages.servers import pool

    listed, pause = [], pool.pause

    def short(*args) -> float:
        listed.append(pause(*args))
        return listed[-1] / 1000

    monkeypatch.setattr(pool, "pause", short)
    return listed
