"""The kernel for one query a row, against the same in plain words."""

import pytest
import torch

from tests.decoding.causal.graphs import DEVICE, HERE, TYPES, turns
from tests.varlen import attend_once

if not HERE:
    pytest.skip("no GPU, and no Triton in its interpreter", allow_module_level=True)
from stages.decoding.causal.graphs import one_query

CASES = {
    "heads of their own": (5, 16, 16, 64, None, None),
    "shared heads": (3, 9, 3, 64, None, None),
    "small, scaled": (4, 4, 4, 8, 0.5, None),
    "odd, windowed": (3, 8, 2, 80, None, 7),
    "shared, windowed": (2, 9, 3, 128, None, 70),
}


@pytest.mark.parametrize("turned", ["as they are", "turned", "normed"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("case", CASES)
def test_it_is_attention_to_what_a_row_has_and_the_new_token(case, dtype, turned):
    rows, count, groups, size, scale, window = CASES[case]
    torch.manual_seed(0)
    kept = torch.randn(2, rows, groups, 200, size, device=DEVICE, dtype=dtype)
    places = torch.randint(0, 199, (rows,), device=DEVICE)
    places[:2] = torch.tensor([0, 64])
    line = torch.randn(rows, count + 2 * groups, size, device=DEVICE, dtype=dtype)  # as a joint product gives them
    heads, turn = line.split([count, groups, groups], 1), turns(200, size, dtype)[turned]
    expected_kept = kept.clone()
    expected = attend_once(heads, expected_kept, places, scale, window, turn)
    again = [one_query.attend(heads, kept, places, scale, window, turn) for _ in range(2)]
    tolerance = {torch.bfloat16: 3e-2, torch.float16: 1e-2, torch.float32: 5e-3}[dtype]  # float32 products are rounded to TF32
    torch.testing.assert_close(again[0], expected, atol=tolerance, rtol=tolerance)
    assert torch.equal(*again)
    close = 6 * torch.finfo(dtype).eps if turn else 0  # a norm's sum is in another order
    torch.testing.assert_close(kept, expected_kept, atol=close, rtol=close)
    others = torch.arange(200, device=DEVICE)[None] != places[:, None]
    assert torch.equal(kept.transpose(2, 3)[:, others], expected_kept.transpose(2, 3)[:, others])
