import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import StageError
from stages.tasks.batches import Example, collate, encode, encode_all, micro_batches
from tests import tiny

CPU = torch.device("cpu")


def targets_logits(model, examples, packing):
    """The logits of every target token, by row."""
    batch = collate(examples, "packed" if packing else "padded", tiny.PAD)
    with torch.no_grad():
        logits = model(**batch.inputs, use_cache=False).logits
    logits = logits[0] if packing else logits[batch.take]
    return [logits[batch.rows == i] for i in range(len(examples))]


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_a_row_is_read_as_if_it_were_alone(architecture, packing):
    model, examples = tiny.model(architecture), tiny.examples(4)
    for example, logits in zip(examples, targets_logits(model, examples, packing), strict=True):
        ids = torch.tensor([[*example.prompt, *example.completion]])
        alone = model(ids).logits[0, len(example.prompt) - 1 : -1]
        torch.testing.assert_close(logits, alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "padded"])
def test_another_row_changes_nothing(packing):
    first, second, third = tiny.examples(3)
    changed = Example("changed", first.prompt[::-1], first.completion[::-1])
    before, after = (targets_logits(tiny.model(), [head, second, third], packing) for head in (first, changed))
    assert not torch.allclose(before[0], after[0])
    torch.testing.assert_close(before[1:], after[1:], atol=1e-6, rtol=0)


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "padded"])
def test_targets_are_the_completions_alone(packing):
    examples = tiny.examples(5)
    batch = collate(examples, "packed" if packing else "padded", tiny.PAD)
    assert batch.targets.tolist() == [token for e in examples for token in e.completion]
    assert batch.rows.tolist() == [i for i, e in enumerate(examples) for _ in e.completion]
    ids, keep = batch.inputs["input_ids"], batch.inputs["logits_to_keep"]
    lines, columns = (torch.zeros_like(keep), keep) if packing else (batch.take[0], keep[batch.take[1]])
    for example in examples:  # where a token is predicted, the one before it stands
        own = batch.rows == examples.index(example)
        before = [*example.prompt[-1:], *example.completion[:-1]]
        assert ids[lines[own], columns[own]].tolist() == before
    assert len(keep) == len(set(columns.tolist())) < ids.shape[1]


def test_a_completion_ends_with_the_end_token():
    example = encode(tiny.rows(1)[0], tiny.tokenizer(), 128)
    assert example.completion[-1] == tiny.EOS and tiny.EOS not in example.prompt + example.completion[:-1]
    assert tiny.tokenizer().decode(example.completion[:-1]) == tiny.rows(1)[0]["completion"]


def test_a_cut_row_is_counted_and_loses_its_end_token():
    row = tiny.rows(1)[0]
    whole = encode(row, tiny.tokenizer(), 128)
    assert encode_all([row], tiny.tokenizer(), len(whole)) == (
        [whole],
        {"rows": 1, "cut": 0, "prompt_too_long": 0, "marked": 0},
    )
    for less in (1, 3):
        (cut,), counts = encode_all([row], tiny.tokenizer(), len(whole) - less)
        assert counts == {"rows": 1, "cut": 1, "prompt_too_long": 0, "marked": 0}
        assert cut.prompt == whole.prompt and cut.completion == whole.completion[:-less]


def test_a_prompt_too_long_is_left_out_and_counted():
    rows = tiny.rows(3)
    rows[1]["messages"][0]["content"] *= 20
    examples, counts = encode_all(rows, tiny.tokenizer(), 100)
    assert [e.id for e in examples] == ["row#0", "row#2"]
    assert counts["rows"] == 3 and counts["prompt_too_long"] == 1
    prompt = encode(rows[0], tiny.tokenizer(), 128).prompt
    assert encode(rows[0], tiny.tokenizer(), len(prompt)) is None
    assert len(encode(rows[0], tiny.tokenizer(), len(prompt) + 1).completion) == 1


def test_a_row_without_targets_is_an_error():
    with pytest.raises(StageError, match="row#0"):
        encode({**tiny.rows(1)[0], "completion": ""}, tiny.tokenizer(), 128)


@given(st.lists(st.integers(2, 40), max_size=30), st.integers(1, 100), st.booleans())
def test_micro_batches_respect_the_bound(lengths, bound, packing):
    examples = [Example(str(i), [7] * (length - 1), [8]) for i, length in enumerate(lengths)]

    def size(group):
        return sum(map(len, group)) if packing else max(map(len, group)) * len(group)

    groups = list(micro_batches(examples, bound, packing))
    assert [e for group in groups for e in group] == examples
    assert all(group and (len(group) == 1 or size(group) <= bound) for group in groups)
    assert all(size([*group, after[0]]) > bound for group, after in zip(groups, groups[1:], strict=False))  # none too small
