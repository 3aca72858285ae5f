"""The kernel that stores keys and values of prompts, against the same in plain words."""

import pytest
import torch

from tests import varlen
from tests.decoding.causal.graphs import DEVICE, HERE, TYPES, turns

if not HERE:
    pytest.skip("no GPU, and no Triton in its interpreter", allow_module_level=True)
from stages.decoding.causal.graphs import heads


@pytest.mark.parametrize("turned", ["as they are", "turned", "normed"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("count", "groups", "size"), [(15, 5, 64), (4, 4, 8), (7, 1, 80)])
def test_keys_and_values_go_to_their_rows_and_places(count, groups, size, dtype, turned):
    torch.manual_seed(0)
    sizes = [3, 9, 1]
    rows = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes)).to(DEVICE)
    places = torch.cat([torch.arange(size) for size in sizes]).to(DEVICE)
    line = torch.randn(sum(sizes), count + 2 * groups, size, device=DEVICE, dtype=dtype)
    parts, turn = line.split([count, groups, groups], 1), turns(12, size, dtype)[turned]
    kept = torch.zeros(2, 3, groups, 12, size, device=DEVICE, dtype=dtype)
    expected_kept = kept.clone()
    expected = varlen.store(*parts, expected_kept, rows, places, turn)
    stored = heads.store(*parts, kept, rows, places, turn)
    close = dict.fromkeys(("atol", "rtol"), 6 * torch.finfo(dtype).eps if turn else 0)  # a norm's sum is in another order
    for one, other in zip((*stored, kept), (*expected, expected_kept), strict=True):
        torch.testing.assert_close(one, other, **close)
    assert turn or (stored[0] is parts[0] and stored[1] is parts[1])
