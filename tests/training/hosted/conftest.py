"""A service, its key, and no waiting."""

from pathlib import Path

import pytest

from tests.training.hosted import helpers
from tests.training.hosted.service import KEY, Account, Service


@pytest.fixture
def service(monkeypatch):
    """The server, reached without any proxy; what it was sent and what it said must fit the contract."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    running = Service()
    yield running
    running.close()
    assert [wrong for account in running.accounts.values() for wrong in account.wrong] == []


@pytest.fixture
def account(service) -> Account:
    return service.account("main")


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """Waits between tries and looks: not waited, but listed."""
    listed = []
    for module in ("stages.common.http", "stages.training.hosted.state", "stages.training.hosted.following"):
        monkeypatch.setattr(f"{module}.sleep", listed.append)
    return listed


@pytest.fixture
def work(tmp_path, service, account, waits) -> Path:
    """A folder with formatted rows and a hosted base."""
    helpers.formatted(tmp_path / "formatted")
    helpers.base(tmp_path / "base", service.address("main"))
    return tmp_path
