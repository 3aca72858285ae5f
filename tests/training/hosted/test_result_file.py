import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.training.hosted import result_file

OPENAI = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,1.5,0.0,,\n2,0.5,0.25,2.5,0.125\n"
ROWS = [
    {"step": 1, "training_loss": 1.5, "training_token_accuracy": 0.0},
    {
        "step": 2,
        "training_loss": 0.5,
        "training_token_accuracy": 0.25,
        "validation_loss": 2.5,
        "validation_token_accuracy": 0.125,
    },
]
OLD = """step,elapsed_tokens,elapsed_examples,training_loss,training_sequence_accuracy,training_token_accuracy
1,200,4,1.5,0.25,0.5
"""


@pytest.mark.parametrize("coded", [False, True])
def test_a_result_file_in_csv_or_base64(coded):
    assert result_file.read(base64.b64encode(OPENAI.encode()) if coded else OPENAI.encode()) == ROWS


def test_a_result_file_of_the_completion_era():
    assert result_file.read(OLD.encode()) == [
        {
            "step": 1,
            "elapsed_tokens": 200,
            "elapsed_examples": 4,
            "training_loss": 1.5,
            "training_sequence_accuracy": 0.25,
            "training_token_accuracy": 0.5,
        }
    ]


def test_what_is_no_number_is_left_out_and_steps_are_in_order():
    text = "step,train_loss,train_accuracy\n3,nan,inf\n1,x,0.5\n,1,1\n3.0,0.25,\n"
    assert result_file.read(text.encode()) == [{"step": 1, "training_token_accuracy": 0.5}, {"step": 3, "training_loss": 0.25}]


def test_steps_alone_are_no_table_and_a_byte_order_mark_is_no_name():
    assert result_file.read(b"step,train_loss\n1,\n2,nan\n") == []
    assert result_file.read(b"\xef\xbb\xbfstep,train_loss\n1,0.5\n") == [{"step": 1, "training_loss": 0.5}]


def test_what_several_files_say_of_a_step_stands_in_one_row():
    rows = [{"step": 2, "training_loss": 0.5}, {"step": 1, "training_loss": 1.0}, {"step": 2, "validation_loss": 0.75}]
    assert result_file.joined(rows) == [
        {"step": 1, "training_loss": 1.0},
        {"step": 2, "training_loss": 0.5, "validation_loss": 0.75},
    ]


def test_events_of_metrics_are_steps():
    metrics = {"step": 2, "train_loss": 0.5, "total_steps": 9, "train_mean_token_accuracy": 0.75}
    events = [{"type": "metrics", "data": metrics}, {"type": "message", "data": {"step": 3}}, {"type": "metrics"}]
    assert result_file.of_events(events) == [{"step": 2, "training_loss": 0.5, "training_token_accuracy": 0.75}]


@given(
    st.binary() | st.text().map(str.encode) | st.text().map(lambda text: f"step,{text}\n1,{text}\n".encode("utf-8", "replace"))
)
def test_no_content_makes_reading_fail(content):
    assert all(isinstance(row["step"], int) for row in result_file.read(content))
