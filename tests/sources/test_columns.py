import pytest

from stages.common.errors import StageError
from stages.sources.columns import column

ROW = {"supplier": "EDF", "wording": "Électricité", "amount": 12.0, "input": "", "a.b": 1, "instances": [{"output": "o"}]}


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("supplier", "EDF"),
        ("amount", 12.0),
        ("instances.0.output", "o"),
        ("instances[0].output", "o"),
        ("a.b", 1),  # a column of that very name comes first
        ("{supplier} | {wording} | {amount}", "EDF | Électricité | 12"),
        ("{instances.0.output}!", "o!"),
        ("{{{supplier}}}", "{EDF}"),
        ("{supplier} {input}", ""),  # nothing in one of them: no text
        ("{supplier}{input?}", "EDF"),
        ("{supplier:.1}: {amount:.9}", "E: 12"),
        ("{wording:.2}{input?:.1}", "Él"),
    ],
)
def test_a_column_by_name_path_or_template(said, value):
    assert column(said, "text")(ROW) == value


@pytest.mark.parametrize(
    ("said", "missing"), [("colour", "colour"), ("{supplier} {colour}", "colour"), ("instances.1", "instances.1")]
)
def test_a_column_that_is_missing_is_named(said, missing):
    with pytest.raises(KeyError) as caught:
        column(said, "text")(ROW)
    assert caught.value.args[0] == missing


@pytest.mark.parametrize("said", ["{a", "{a:>8}", "{a:.}"])
def test_what_is_no_template_is_named(said):
    with pytest.raises(StageError, match=r"columns\.text: '\{a"):
        column(said, "text")


ASKED, ANSWERED = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "chosen": "a"},
        {"prompt": [ASKED], "chosen": [ANSWERED]},
        {"prompt": "q", "chosen": [ASKED, ANSWERED]},
        {"prompt": [ASKED], "chosen": [ASKED, ANSWERED]},
        {"prompt": [ASKED], "chosen": "a"},
    ],
)
def test_a_prompt_and_the_chosen_answer_are_a_conversation(row):
    assert column("{prompt}{chosen}", "messages")(row) == [ASKED, ANSWERED]
