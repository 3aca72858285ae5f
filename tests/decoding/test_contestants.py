import json

import pytest

from stages.decoding.contestants import choose_shots, contestants
from stages.models.directory import load, load_tokenizer, save
from stages.models.prompting import adopt_template, write_prompt
from tests import tiny

MESSAGES = [{"role": "user", "content": "Why?"}]
TRAINED, OWN = "### Instruction:\nWhy?\n\n### Response:\n", "<user> Why?\n<assistant> "


def tuned(folder, base, stop=()):
    """What `train` leaves."""
    tokenizer = load_tokenizer(base)
    adopt_template(tokenizer, tiny.CONTRACT["chat_template"])
    folder.mkdir()
    save(folder, load(base), tokenizer)
    write_prompt(folder, {**tiny.CONTRACT, "stop": list(stop)})
    return folder


@pytest.fixture
def base(tmp_path):
    return tiny.base(tmp_path / "base")


def test_the_base_answers_by_both_prompts(tmp_path, base):
    model = tuned(tmp_path / "tuned", base, stop=["###"])
    field = contestants(model, base, base)
    assert [(contestant.name, contestant.folder, contestant.prompt(MESSAGES), contestant.stop) for contestant in field] == [
        ("tuned", model, TRAINED, ["###"]),
        ("base", base, TRAINED, ["###"]),
        ("base_chat", base, OWN, []),
    ]


def test_the_base_is_shown_examples_before_the_question(tmp_path, base):
    shots = tiny.rows(2)
    shots[0]["messages"].insert(0, {"role": "system", "content": "Be odd."})
    field = contestants(tuned(tmp_path / "tuned", base, stop=["END"]), base, base, shots)
    assert [contestant.name for contestant in field] == ["tuned", "base", "base_chat", "base_shots"]
    contestant = field[-1]
    said = [f"<user> {row['messages'][-1]['content']}\n<assistant> {row['completion']}</s>\n" for row in shots]
    assert contestant.prompt(MESSAGES) == "".join(said) + OWN and "odd" not in contestant.prompt(MESSAGES)
    assert contestant.shots == ("row#0", "row#1") and contestant.stop == ["END"]
    brief = [{"role": "system", "content": "Brief."}, *MESSAGES]
    assert contestant.prompt(brief) == "<system> Brief.\n" + "".join(said) + OWN
    assert field[2].prompt(MESSAGES) == OWN  # the others are shown none


def test_a_base_that_is_shown_examples_stops_where_its_own_template_ends_a_turn_too(tmp_path):
    turns = "{{ 'Q: ' if m.role == 'user' else 'A: ' }}{{ m.content }}{{ '\\n##\\n' }}"
    chat = "{% for m in messages %}" + turns + "{% endfor %}{% if add_generation_prompt %}{{ 'A: ' }}{% endif %}"
    base = tiny.base(tmp_path / "base", chat=chat)
    field = contestants(tuned(tmp_path / "tuned", base, stop=["END"]), base, base, tiny.rows(1))
    assert [(contestant.name, contestant.stop) for contestant in field[2:]] == [
        ("base_chat", ["##"]),
        ("base_shots", ["END", "##"]),
    ]


def test_a_base_without_chat_template_is_shown_examples_in_the_trained_prompt(tmp_path):
    base = tiny.base(tmp_path / "base", "gpt2", chat=None)
    contestant = contestants(tuned(tmp_path / "tuned", base), base, base, tiny.rows(1))[-1]
    assert contestant.name == "base_shots" and contestant.prompt(MESSAGES).count("### Response:") == 2


def test_examples_are_drawn_by_the_seed():
    rows = tiny.rows(20)
    assert choose_shots(rows, 3, 1) == choose_shots(rows, 3, 1) != choose_shots(rows, 3, 2)
    assert len(choose_shots(rows, 3, 1)) == 3 and len(choose_shots(rows, 99, 1)) == 20


def test_tokens_are_those_of_the_prompt(tmp_path, base):
    for contestant in contestants(tuned(tmp_path / "tuned", base), base, base):
        assert tiny.tokenizer().decode(contestant.tokens(MESSAGES)) == contestant.prompt(MESSAGES)


def test_a_base_without_chat_template_answers_once(tmp_path):
    base = tiny.base(tmp_path / "base", "gpt2", chat=None)
    assert [contestant.name for contestant in contestants(tuned(tmp_path / "tuned", base), base, base)] == ["tuned", "base"]


def test_a_base_whose_own_template_is_the_trained_one_answers_once(tmp_path):
    base = tiny.base(tmp_path / "base", chat=tiny.CONTRACT["chat_template"])
    field = contestants(tuned(tmp_path / "tuned", base), base, base)
    assert [contestant.name for contestant in field] == ["tuned", "base"]
    assert field[0].prompt(MESSAGES) == field[1].prompt(MESSAGES) == TRAINED


def test_a_later_round_meets_its_parent(tmp_path, base):
    first = tuned(tmp_path / "first", base, stop=["one"])
    second = tuned(tmp_path / "second", first, stop=["two"])
    field = contestants(second, first, base)
    assert [contestant.name for contestant in field] == ["tuned", "base", "base_chat", "parent"]
    assert (field[-1].folder, field[-1].prompt(MESSAGES), field[-1].stop) == (first, TRAINED, ["one"])


def test_a_hosted_base_is_sent_the_examples(tmp_path):
    contract = {"style": "completion", "stop": [" END"], "prompt_ending": " ->"}
    root = hosted(tmp_path / "root")
    contestant = contestants(hosted(tmp_path / "tuned", contract), root, root, tiny.rows(1))[-1]
    sent = contestant.sent(MESSAGES)
    assert contestant.name == "base_shots" and [turn["role"] for turn in sent] == ["user", "assistant", "user"]
    assert sent[-1]["content"] == "Why?" and json.loads(contestant.prompt(MESSAGES)) == sent


def hosted(folder, contract=None):
    """A model that a server has."""
    folder.mkdir()
    (folder / "hosted.json").write_text("{}")
    if contract:
        write_prompt(folder, contract)
    return folder


def test_hosted_models_are_sent_messages(tmp_path):
    root = hosted(tmp_path / "root")
    field = contestants(hosted(tmp_path / "tuned", {"style": "chat", "stop": []}), root, root)
    assert [(contestant.name, contestant.hosted, contestant.sent(MESSAGES), contestant.stop) for contestant in field] == [
        ("tuned", True, MESSAGES, []),
        ("base", True, MESSAGES, []),
    ]
    assert json.loads(field[0].prompt(MESSAGES)) == MESSAGES


def test_hosted_models_tuned_on_marks_are_sent_marks(tmp_path):
    contract = {"style": "completion", "stop": [" END"], "prompt_ending": " ->"}
    root, first = hosted(tmp_path / "root"), hosted(tmp_path / "first", contract)
    field = contestants(hosted(tmp_path / "second", contract), first, root)
    assert [
        (contestant.name, contestant.folder.name, contestant.sent(MESSAGES)[0]["content"], contestant.stop)
        for contestant in field
    ] == [
        ("tuned", "second", "Why? ->", [" END"]),
        ("base", "root", "Why? ->", [" END"]),
        ("base_chat", "root", "Why?", []),
        ("parent", "first", "Why? ->", [" END"]),
    ]


def test_notes_of_a_turn_are_not_sent(tmp_path):
    contestant = contestants(hosted(tmp_path / "tuned"), hosted(tmp_path / "root"), tmp_path / "root")[0]
    asked = [*MESSAGES, {"role": "assistant", "content": "So.", "weight": 0}, {"role": "user", "content": "Why?"}]
    assert [set(turn) for turn in contestant.sent(asked)] == [{"role", "content"}] * 3
