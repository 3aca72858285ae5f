"""The kernel for one query a row, against the same in plain words; it needs a GPU."""

import pytest
import torch

from tests.varlen import attend_once

pytest.importorskip("triton")
if not torch.cuda.is_available():
    pytest.skip("no GPU", allow_module_level=True)
from stages.decoding.causal import one_query

CASES = {
    "heads of their own": (5, 16, 16, 64, None, None),
    "shared heads": (3, 9, 3, 64, None, None),
    "small, scaled": (4, 4, 4, 8, 0.5, None),
    "odd, windowed": (3, 8, 2, 80, None, 7),
    "shared, windowed": (2, 9, 3, 128, None, 70),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("case", CASES)
def test_it_is_attention_to_what_a_row_has_and_the_new_token(case, dtype):
    rows, heads, groups, size, scale, window = CASES[case]
    torch.manual_seed(0)
    keys, values = (torch.randn(rows, groups, 200, size, device="cuda", dtype=dtype) for _ in range(2))
    places = torch.randint(0, 199, (rows,), device="cuda")
    places[:2] = torch.tensor([0, 64])
    line = torch.randn(rows, (heads + 2 * groups) * size, device="cuda", dtype=dtype)  # as a joint projection gives them
    parts = line.split([heads * size, groups * size, groups * size], 1)
    query, key, value = (part.view(rows, -1, size) for part in parts)
    expected_kept = keys.clone(), values.clone()
    expected = attend_once(query, key, value, expected_kept, places, scale, window)
    again = [one_query.attend(query, key, value, (keys, values), places, scale, window) for _ in range(2)]
    tolerance = 1e-2 if dtype is not torch.float32 else 5e-3  # float32 products are rounded to TF32
    torch.testing.assert_close(again[0], expected, atol=tolerance, rtol=tolerance)
    assert torch.equal(*again)
    assert torch.equal(keys, expected_kept[0]) and torch.equal(values, expected_kept[1])
