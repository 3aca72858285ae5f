import json

import pytest
from hypothesis import given

from stages.common.errors import StageError
from stages.prompts import chat, completion
from stages.training.hosted import rules
from tests.data_helpers import ROOT, chat_params, completion_params, json_values


def turn(role: str, content: object = "x", **more) -> dict:
    return {"role": role, "content": content, **more}


def conversation(*more: dict) -> dict:
    return {"messages": [turn("system"), turn("user"), *more, turn("assistant")]}


def file(path, *rows: object, fill: int = 10):
    """A file of these rows (text as it is), filled up to ten with good ones."""
    rows = [*rows, *[conversation()] * (fill - len(rows))]
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_good_file_has_no_problem(tmp_path):
    tools = [{"type": "function", "function": {"name": "f"}}]
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    used = [turn("user"), turn("assistant", None, tool_calls=calls), turn("tool", "3", tool_call_id="1"), turn("assistant")]
    good = [
        conversation(turn("assistant", weight=0), turn("user", name="ann-1_B")),
        {"messages": used, "tools": tools, "parallel_tool_calls": False},
        {"messages": [turn("developer"), turn("user", [{"type": "text", "text": "x"}]), turn("assistant", weight=1)]},
    ]
    assert rules.check(file(tmp_path / "f.jsonl", *good)) is None  # problems would raise


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("[1]", "found [1], expected an object with messages"),
        ("{", "no JSON in UTF-8"),
        ('{"messages": NaN}', "NaN is no JSON"),
        ("", "empty, expected one JSON object a line"),
        (conversation() | {"prompt": "a", "completion": "b"}, "unknown keys completion, prompt"),
        ({}, "messages: found None"),
        ({"messages": []}, "messages: found []"),
        ({"messages": ["x"]}, "found one that is no object"),
        (conversation(turn("poet")), "message 3: role 'poet', expected one of system, developer, user, assistant"),
        (conversation(turn([])), "message 3: role []"),
        (conversation(turn("user", mood="x")), "message 3: unknown keys mood for role user"),
        (conversation(turn("user", weight=1)), "message 3: unknown keys weight for role user"),
        (conversation(turn("user", None)), "message 3: content None, expected text"),
        (conversation(turn("user", [{"type": "image_url"}])), "message 3: content [{'type': 'image_url'}], expected text"),
        (conversation(turn("assistant", "")), "message 3: empty assistant message"),
        (conversation(turn("assistant", " \n")), "message 3: empty assistant message"),
        (conversation(turn("assistant", weight=2)), "message 3: weight 2, expected 0 or 1"),
        (conversation(turn("assistant", weight=0.5)), "message 3: weight 0.5, expected 0 or 1"),
        (conversation(turn("assistant", weight=True)), "message 3: weight True, expected 0 or 1"),
        (conversation(turn("user", name="a b")), "message 3: name 'a b', expected 1 to 64 letters"),
        (conversation(turn("user", name="a" * 65)), "message 3: name"),
        (conversation(turn("tool")), "message 3: no tool_call_id, expected one for role tool"),
        (conversation(turn("function")), "message 3: no name, expected one for role function"),
        ({"messages": [turn("assistant"), turn("user")]}, "the last message is by 'user', expected the assistant"),
        ({"messages": [turn("user"), turn("assistant", weight=0)]}, "every assistant message has weight 0"),
        (conversation(turn("user", "é" * 40_000)), "expected at most 65536"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, row, problem):
    found_problems = list(rules.problems(file(tmp_path / "f.jsonl", conversation(), row, fill=12)))
    assert len(found_problems) == 1 and found_problems[0].startswith("line 2: ") and problem in found_problems[0]


def test_all_problems_come_in_one_report(tmp_path):
    bad = [conversation(turn("poet")), "{", conversation(turn("assistant", "", weight=3))]
    with pytest.raises(StageError) as caught:
        rules.check(file(tmp_path / "f.jsonl", *bad, fill=0))
    text = str(caught.value)
    assert "5 problems" in text
    for part in (
        "line 1: message 3: role",
        "line 2: no JSON",
        "line 3: message 3: empty",
        "line 3: message 3: weight",
        "3 rows",
    ):
        assert part in text


def test_the_file_as_a_whole(tmp_path, monkeypatch):
    path = file(tmp_path / "f.jsonl", fill=9)
    assert list(rules.problems(path)) == ["9 rows, expected at least 10"]
    assert list(rules.problems(path, least_rows=1)) == []  # a validation file
    monkeypatch.setattr(rules, "MOST_BYTES", 100)
    assert list(rules.problems(path, least_rows=1)) == [f"{path.stat().st_size} bytes, expected at most 100"]
    path.write_bytes(b"\xef\xbb\xbf" + b'{"messages": "\xff"}\n')
    found_problems = list(rules.problems(path, least_rows=1))
    assert "byte order mark" in found_problems[0] and "line 1: no JSON in UTF-8" in found_problems[1]
    with pytest.raises(StageError, match="no such file"):
        rules.check(tmp_path / "none.jsonl")


def test_the_bound_of_tokens_counts_bytes_and_frames():
    row = {"messages": [turn("user", "é", name="ann"), turn("assistant", "abc")]}
    assert rules.most_tokens(row) == 3 + (3 + 1 + 3 + 2) + (3 + 3)


@given(json_values)
def test_no_row_makes_the_check_itself_fail(value):
    answer = {"role": "assistant", "content": value, "name": value, "weight": value}
    for row in (value, {"messages": value}, {"messages": [value, answer]}):
        assert all(isinstance(problem, str) and problem for problem in rules.row_problems(row))


def test_chat_rows_go_out_with_each_turn_learned_once(tmp_path):
    turns = [turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("assistant", "d", weight=0)]
    formatted = chat.rows({"id": "1", "messages": [*turns, turn("user", "e"), turn("assistant", "f")]}, chat_params())
    sent = [rules.hosted_row(row, chat.contract(chat_params())) for row in formatted]
    learned = [t["content"] for row in sent for t in row["messages"] if t["role"] == "assistant" and t.get("weight", 1)]
    assert learned == ["b", "f"]
    rules.check(file(tmp_path / "f.jsonl", *sent))


def test_completion_rows_go_out_with_their_marks(tmp_path):
    (row,) = completion.rows({"id": "1", "instruction": "q", "response": "a"}, completion_params())
    sent = rules.hosted_row(row, completion.contract(completion_params()))
    assert sent == {"messages": [turn("user", "q ->"), turn("assistant", " a END")]}
    rules.check(file(tmp_path / "f.jsonl", sent))


def test_keys_agree_with_the_service_s_description():
    path = ROOT.parent / "shared" / "contracts" / "openai-openapi.json"
    if not path.is_file():
        pytest.skip(f"no description at {path}")
    schemas = json.loads(path.read_text(encoding="utf-8"))["components"]["schemas"]
    for role, keys in rules.KEYS.items():
        described = schemas[f"ChatCompletionRequest{role.title()}Message"]
        assert keys - {"weight"} <= set(described["properties"])
        assert set(described["required"]) <= keys
        assert described["properties"]["role"]["enum"] == [role]
    request = json.dumps(schemas["CreateChatCompletionRequest"])
    assert all(f'"{key}"' in request for key in rules.ROW_KEYS)


def test_the_embedded_conversations_are_such_a_file():
    assert rules.check(ROOT / "data" / "sources" / "elements" / "limericks.jsonl") is None
