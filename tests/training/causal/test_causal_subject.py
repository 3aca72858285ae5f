"""What is trained: where the beginning that prompts share is read once for all rows of a micro-batch."""

import os
from pathlib import Path

import pytest
import torch

from stages.common.files import read_rows
from stages.models.directory import load_tokenizer
from stages.training.causal.causal_subject import causal_subject
from stages.training.paths import Paths
from stages.training.subject import has_dropout
from tests import tiny

LORA = {"kind": "lora", "rank": 2, "alpha": 4, "base": "plain", "save": "merged"}


@pytest.mark.parametrize(
    ("architecture", "params", "shares"),
    [
        ("llama", {}, True),
        ("llama", {"packing": False}, True),  # asked for, and without effect: rows are padded
        ("gpt2", {}, False),  # its own dropout of 0.1
        ("gpt2", {"dropout": 0.0}, True),
        ("llama", {"dropout": 0.1}, False),
        ("llama", {"tune": LORA | {"dropout": 0.0}}, True),
        ("llama", {"tune": LORA | {"dropout": 0.1}}, False),
    ],
)
def test_a_head_is_shared_where_nothing_is_drawn_for_each_row(tmp_path, architecture, params, shares):
    tiny.base(tmp_path / "base", architecture)
    formatted, nowhere = tiny.formatted(tmp_path / "formatted"), Path(os.devnull)
    paths = Paths(formatted / "train", formatted, tmp_path / "base", nowhere, nowhere, nowhere, nowhere)
    rows = list(read_rows(paths.rows))
    subject = causal_subject("medical", tiny.training(**params), load_tokenizer(paths.base), paths, rows)
    assert subject.task.shares_head == shares
    examples, _ = subject.encode(rows[:4])
    assert "headed" not in subject.task.collate(examples[:1]).inputs  # a row has nothing to share with itself
    assert ("headed" in subject.task.collate(examples[:1] * 2).inputs) == (shares and params.get("packing", True))


@pytest.mark.parametrize("name", ["dropout", "layerdrop", "router_jitter_noise"])
def test_dropout_is_seen_where_it_is_a_number_too(name):
    model = tiny.model()
    assert not has_dropout(model)
    setattr(model.model.layers[0], name, 0.1)
    assert has_dropout(model)


def test_a_layer_of_dropout_counts_by_its_rate():
    model = tiny.model()
    model.model.layers[0].after = torch.nn.Dropout(0.0)
    assert not has_dropout(model)
    model.model.layers[0].after.p = 0.1
    assert has_dropout(model)
