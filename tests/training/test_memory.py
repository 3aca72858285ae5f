"""`micro_tokens: auto`: what fits a GPU is tried, from large to small."""

from types import SimpleNamespace

import pytest
import torch

from stages.common.errors import StageError
from stages.training import memory


def run(**changes) -> SimpleNamespace:
    world = SimpleNamespace(gather=lambda value: [value, 8192])
    return SimpleNamespace(**{"device": torch.device("cuda"), "sharded": False, "world": world} | changes)


def test_a_processor_takes_the_plain_number():
    assert memory.fitting(run(device=torch.device("cpu")), []) == memory.first("auto") == memory.PLAIN
    assert memory.first(512) == 512


@pytest.mark.parametrize(("room", "taken"), [(1 << 30, 8192), (5000, 4096), (100, memory.PLAIN)])
def test_the_largest_that_fits_every_process_is_taken(monkeypatch, room, taken):
    tried = []
    monkeypatch.setattr(memory, "_fits", lambda _, rows, tokens: (tried.append((rows, tokens)), tokens <= room)[1])
    assert memory.fitting(run(), ["a", "longest"]) == taken  # another process had room for 8192
    assert all(rows[0] == "longest" for rows, _ in tried)


def test_shared_parameters_need_a_number():
    with pytest.raises(StageError, match="8192 to begin with"):
        memory.fitting(run(sharded=True), [])
