"""The peers of training see the rows that ours sees."""

import torch

from bench import train_peers
from tests import tiny


def test_the_trainers_batch_has_every_row_and_learns_the_answers_alone():
    examples = tiny.examples(5)
    items = train_peers.items(examples)
    assert [len(item["input_ids"]) for item in items] == [len(example) for example in examples]
    batch = train_peers.padded(items)
    for row, example in enumerate(examples):
        tokens = torch.tensor(example.prompt + example.completion)
        assert torch.equal(batch["input_ids"][row][batch["attention_mask"][row].bool()], tokens)
        learned = batch["labels"][row] != -100
        assert batch["labels"][row][learned].tolist() == example.completion
        assert torch.equal(batch["input_ids"][row][learned], batch["labels"][row][learned])
