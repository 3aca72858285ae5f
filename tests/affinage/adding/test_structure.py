import pytest

from affinage.adding.structure import is_turn


@pytest.mark.parametrize(
    ("value", "turn"),
    [
        ({"role": "user", "content": "q"}, True),
        ({"from": "human", "value": "q"}, True),
        ({"role": None, "from": "gpt", "content": None, "value": "a"}, True),
        ({"speaker": "Assistant:", "text": "a"}, True),
        ({"role": "assistant", "content": None, "tool_calls": []}, True),
        ({"role": "tool", "content": "x"}, True),
        ({"speaker": "Ann", "text": "Hello."}, False),  # a person of a play
        ({"role": "user"}, False),
        ({"from": "Paris", "value": 3}, False),
        ("user: q", False),
    ],
)
def test_a_turn_is_told_by_its_role_and_its_text(value, turn):
    assert is_turn(value) == turn
