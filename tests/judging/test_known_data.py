import pytest

from stages.judging.known_data import LENGTHS, kind, known_agreement

QUESTIONS = ["What is the treatment of the disease?", "Which of the two is the cause of it?"]
SENTENCE = "The treatment of the disease is a combination of rest and of a medicine that is taken with food."


@pytest.mark.parametrize(
    ("expected", "answer_kind"),
    [
        (["Lulu", "in the city of Rome"], "a few words"),
        ([SENTENCE] * 2, "a sentence"),
        ([SENTENCE * 4] * 2, "a passage"),
        ([SENTENCE * 30] * 2, "longer than any that was measured"),
        (["hood, brake, front bumper", "door, seat"], "lists"),
        (["The cat\nsat on\nthe mat\nand slept"] * 2, "verse"),
        (["def f(x):\n    return {x: 1};\n\ng = f(2)\n"] * 2, "code"),
    ],
)
def test_kinds_of_expected_answers(expected, answer_kind):
    assert kind(expected, QUESTIONS) == answer_kind


def test_other_languages_are_unknown():
    french = ["La facture est pour le bois de chauffage du bureau, livré en janvier."] * 2
    assert kind(french, ["À quel compte va cette ligne ?"] * 2) == "no English prose"
    assert known_agreement(french, ["À quel compte ?"] * 2, True) == {"spearman": "unknown", "why": "no English prose"}
    assert kind([""], [""]) == "no English prose"


def test_the_table_answers_for_known_kinds_alone():
    agreement = known_agreement([SENTENCE] * 2, QUESTIONS, True)
    assert agreement["low"] <= agreement["spearman"] <= agreement["high"] and set(agreement["sets"].split(", ")) <= set(
        LENGTHS["a sentence"][2]
    )
    assert known_agreement([SENTENCE] * 2, QUESTIONS, False)["spearman"] == "unknown"
