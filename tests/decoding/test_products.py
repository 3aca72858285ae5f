"""Products by oneDNN give what the model gives, and a row's do not depend on the rows beside it."""

import pytest
import torch
from torch.nn import Linear

from stages.decoding import products
from tests import tiny

pytestmark = pytest.mark.skipif(not products.available(), reason="PyTorch has no oneDNN for this processor")


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "phi"])
@torch.no_grad()
def test_a_laid_out_model_says_the_same(architecture):
    model = tiny.model(architecture).eval()
    ids = torch.arange(40).reshape(4, 10)
    before = model(ids).logits
    assert products.lay_out(model) is model
    torch.testing.assert_close(model(ids).logits, before, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_old_weights_are_given_up_but_for_those_that_embed_tokens():
    model = products.lay_out(tiny.model("llama"))
    left = {name for name, _ in model.named_parameters() if "norm" not in name}
    assert left == {"model.embed_tokens.weight"}


@pytest.mark.parametrize("size", [8, 1536])
@pytest.mark.parametrize("rows", [1, 2, 3, 17])
def test_a_row_is_the_same_in_every_batch(rows, size):
    torch.manual_seed(0)
    states, weight, bias = torch.randn(40, size), torch.randn(24, size), torch.randn(24)
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight, products.ROWS)
    whole = products.product(laid_out, bias, states)
    torch.testing.assert_close(whole, states @ weight.T + bias, rtol=1e-4, atol=1e-4)
    assert torch.equal(products.product(laid_out, bias, states[:rows]), whole[:rows])
    assert torch.equal(products.product(laid_out, bias, states[None, None, :rows]), whole[None, None, :rows])


def test_a_model_in_half_precision_stays_as_it_is():
    model = products.lay_out(tiny.model("llama").bfloat16())
    assert all(module.weight.layout is torch.strided for module in model.modules() if isinstance(module, Linear))


def test_a_model_stays_as_it_is_without_onednn(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    model = products.lay_out(tiny.model("llama"))
    assert all(module.weight.layout is torch.strided for module in model.modules() if isinstance(module, Linear))
