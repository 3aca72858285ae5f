import pytest

from tests.affinage.adding.place import prepare


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, ready to add data to."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return prepare(folder)


@pytest.fixture
def outside(tmp_path):
    """A folder outside of the repository, where a person's files lie."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder
