"""Fixtures of all tests."""

from pathlib import Path

import pytest
from hypothesis import settings

# the same examples every time and no deadline: a busy machine fails no test
settings.register_profile("affinage", deadline=None, derandomize=True, max_examples=60, database=None)
settings.load_profile("affinage")


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
