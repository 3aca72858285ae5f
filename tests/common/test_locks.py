import subprocess
import sys
import threading
import time

import pytest

from stages.common.errors import StageError
from stages.common.locks import alone
from tests.imports import ROOT

HOLD = "import sys, time\nfrom pathlib import Path\nfrom stages.common.locks import alone\n"
HOLD += "with alone(Path(sys.argv[1]), wait=False):\n    print('held', flush=True)\n    time.sleep(60)\n"


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_held_folder_is_refused_and_free_once_its_holder_is_killed(tmp_path, holder):
    with pytest.raises(StageError, match="another process"), alone(tmp_path, wait=False):
        pass
    holder.kill()
    holder.wait()
    with alone(tmp_path, wait=False):
        pass


def test_a_held_folder_is_waited_for(tmp_path, holder):
    order = []

    def kill():
        time.sleep(0.1)
        order.append("killed")
        holder.kill()

    threading.Thread(target=kill).start()
    with alone(tmp_path, wait=True):
        order.append("held")
    assert order == ["killed", "held"]


def test_nothing_comes_of_a_lock_but_its_file(tmp_path):
    """So it can change no output."""
    with alone(tmp_path, wait=False) as value:
        assert value is None
    assert {path.name for path in tmp_path.iterdir()} <= {"lock"}


def test_a_folder_is_free_after_a_failure(tmp_path):
    with pytest.raises(KeyError), alone(tmp_path, wait=False):
        raise KeyError
    with alone(tmp_path, wait=False):
        pass
