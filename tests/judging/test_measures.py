from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.judging.intervals import Bootstrap
from stages.judging.measures import (
    best_constant,
    limerick,
    names,
    parts,
    rhymed_pairs,
    rhymes,
    rhymes_as_limerick,
    task_figures,
    without_model,
)
from stages.judging.scoring import headline, summarize

PARTS = ["wheel", "seat", "hood", "door"]
some_lists = st.lists(st.lists(st.sampled_from(PARTS), max_size=4, unique=True).map(", ".join), min_size=1, max_size=8)
GOLD = """A jeweller who dealt in pure gold
Left his workshop one night in the cold;
He slept like a log
At the feet of his dog
And had never been happier, I'm told."""
IRON = """An iron old gate by the sea
Was as rusty as rusty can be;
The gulls would all stand
On its hinges and sand
And complain of it loudly to me."""


def value(figure) -> float:
    sums, statistic = figure
    return float(statistic(sums.sum(0)))


def values(expected: list[str], answers: list[str], whole: list[bool] | None = None) -> dict[str, float]:
    return {name: value(figure) for name, figure in parts(expected, answers, whole or [True] * len(answers)).items()}


@pytest.mark.parametrize(
    ("text", "expected_names"),
    [
        ("wheel, seat", ["wheel", "seat"]),
        ("  Wheel ,SEAT,", ["wheel", "seat"]),
        ("seat, wheel, Seat", ["seat", "wheel"]),
        ("wheel\nseat", ["wheel", "seat"]),
        ("steering   wheel", ["steering wheel"]),
        ("ｗｈｅｅｌ", ["ｗｈｅｅｌ"]),  # another form of a letter is another letter
        ("none", []),
        (" None ", []),
        ("none, wheel", ["wheel"]),
        ("", []),
        (",\n ,", []),
        ("I found nothing", ["i found nothing"]),
    ],
)
def test_names_of_an_answer(text, expected_names):
    assert names(text) == expected_names


def test_figures_by_hand():
    figure_values = values(["wheel, seat", "none", "hood"], ["Wheel, door", "none", "seat\nhood, wheel"], [True, True, False])
    assert figure_values == pytest.approx(
        {
            "parts_f1": 2 * 2 / (5 + 3),
            "parts_precision": 2 / 5,
            "parts_recall": 2 / 3,
            "parts_f1_per_review": (0.5 + 1 + 0.5) / 3,
            "count_error": (0 + 0 + 2) / 3,
            "unreadable": 1 / 3,
        }
    )


def test_what_broke_off_is_unreadable_and_counts_by_what_it_names():
    rows = [{"expected": "wheel"}] * 3
    answers = [{"text": "wheel", "finish": finish} for finish in ("stop", "length", "prompt too long")]
    figure_values = task_figures(["parts"], rows, answers, [])
    assert value(figure_values["unreadable"]) == pytest.approx(2 / 3) and value(figure_values["parts_f1"]) == 1


@given(st.lists(st.tuples(st.sets(st.sampled_from(PARTS)), st.sets(st.sampled_from(PARTS))), min_size=1, max_size=6))
def test_f1_lies_between_0_and_1_and_is_perfect_for_equal_sets_alone(pairs):
    expected, answers = ([", ".join(sorted(part_names)) or "none" for part_names in side] for side in zip(*pairs, strict=True))
    figure_values, same = values(list(expected), list(answers)), all(meant == answered for meant, answered in pairs)
    assert all(0 <= figure_values[name] <= 1 for name in figure_values if name != "count_error")
    assert (figure_values["parts_f1"] == 1) == (figure_values["parts_f1_per_review"] == 1) == same
    assert figure_values["count_error"] == sum(abs(len(meant) - len(answered)) for meant, answered in pairs) / len(pairs)
    assert (figure_values["parts_f1"] == 0) == (
        not any(meant & answered for meant, answered in pairs) and any(m or g for m, g in pairs)
    )


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_read(expected, answer):
    figure_values = values([expected], [answer])
    assert 0 <= figure_values["parts_f1"] <= 1
    assert values([expected], [expected])["parts_f1"] == 1


@given(some_lists)
def test_the_best_constant_is_as_good_as_any_list_of_names(training):
    def f1(constant) -> float:
        return values(training, [", ".join(constant)] * len(training))["parts_f1"]

    best = best_constant(training)
    if not any(map(names, training)):
        assert best == "none"
        return
    tried = {constant: f1(constant) for size in range(1, 5) for constant in combinations(PARTS, size)}
    assert f1(names(best)) == pytest.approx(max(tried.values()))
    shortest = min(len(constant) for constant, score in tried.items() if score == pytest.approx(max(tried.values())))
    assert len(names(best)) == shortest


def test_the_best_constant_by_hand():
    assert best_constant(["wheel", "wheel, seat", "none", "wheel, hood"]) == "wheel"
    assert best_constant(["wheel, seat", "seat, wheel"]) == "seat, wheel"  # of like frequency: by name
    assert best_constant(["none", ""]) == "none"


def test_references_need_no_model():
    rows = [{"expected": "wheel, seat", "weak": "wheel"}, {"expected": "none", "weak": "none"}]
    by_contestant = without_model(["parts"], rows, ["wheel", "wheel", "seat, wheel"])
    assert set(by_contestant) == {"constant", "labeller"}
    assert value(by_contestant["constant"]["parts_f1"]) == pytest.approx(2 * 1 / (2 + 2))  # `wheel` twice
    assert value(by_contestant["labeller"]["parts_f1"]) == pytest.approx(2 * 1 / (1 + 2))
    assert value(by_contestant["labeller"]["unreadable"]) == 0
    assert set(without_model(["parts"], [rows[0], {"expected": "none"}], ["wheel"])) == {"constant"}
    assert without_model(["limerick"], rows, ["wheel"]) == without_model([], rows, ["wheel"]) == {}


def test_the_gain_is_over_the_base_or_the_constant_and_the_labeller_is_no_rival():
    rows = [{"expected": "wheel, seat", "weak": "wheel, seat"}, {"expected": "wheel", "weak": "wheel"}]
    said = {"tuned": ["wheel, seat", "wheel"], "base": ["hood", "door"]}
    figures = {
        contestant: task_figures(["parts"], rows, [{"text": text, "finish": "stop"} for text in texts], [])
        for contestant, texts in said.items()
    }
    figures |= without_model(["parts"], rows, ["wheel", "wheel"])
    results = summarize(figures, Bootstrap(2, 100, 0.95, 1)) | {"judges": {}}
    gain = results["gain"]["parts_f1"]
    assert gain["over"] == "constant" and gain["value"] == pytest.approx(1 - 2 * 2 / (2 + 3))
    assert results["gain"]["count_error"]["over"] in ("base", "constant")  # fewer is better: a tie of 0.5
    shown = headline(results, [], ["parts"])["parts_f1"]
    assert shown["tuned"] == shown["labeller"] == 1 and shown["constant"] == pytest.approx(0.8)
    assert (shown["gain"], shown["low"], shown["high"]) == (gain["value"], gain["low"], gain["high"])


def test_fewer_errors_are_better():
    rows = [{"expected": "wheel"}, {"expected": "wheel, seat"}]
    said = {"tuned": ["wheel", "wheel, seat"], "base": ["wheel, seat, hood", "none"], "base_chat": ["wheel", "wheel"]}
    figures = {
        contestant: task_figures(["parts"], rows, [{"text": text, "finish": "stop"} for text in texts], [])
        for contestant, texts in said.items()
    }
    gain = summarize(figures, Bootstrap(2, 100, 0.95, 1))["gain"]["count_error"]
    assert gain["over"] == "base_chat" and gain["value"] == -0.5


@pytest.mark.parametrize(
    ("first", "second", "rhyming"),
    [
        ("a ring of gold", "out in the cold!", True),
        ("it was GOLD.", "'I am told'", True),
        ("by candle light", "some dynamite", True),  # stressed less, but it rhymes
        ("we sat by the sea", "said he to me,", True),
        ("they read", "it was red", True),  # in one of its pronunciations
        ("a ring of gold", "a ring of silver", False),
        ("a ring of gold", "a heart of Gold!", False),  # the same word
        ("he found some xqzzt", "she lost her xqzzs", False),  # unknown words
        ("a ring of gold", "...", False),
        ("", "", False),
        ("I don’t", "they won't", True),
    ],
)
def test_rhymes(first, second, rhyming):
    assert rhymes(first, second) == rhymes(second, first) == rhyming


@pytest.mark.parametrize("verse", [GOLD, IRON, f"\n{GOLD}\n\n"])
def test_a_limerick_rhymes(verse):
    assert rhymes_as_limerick(verse)


def test_what_is_no_limerick():
    lines = GOLD.splitlines()
    for verse in ("", "\n".join(lines[:4]), "\n".join([*lines, lines[0]]), "\n".join([lines[0]] * 5)):
        assert not rhymes_as_limerick(verse)
    for place, line in (
        (0, "A jeweller dealt in pure tin"),
        (2, "He slept like a stone"),
        (4, "And he sold it at last for gold"),
    ):
        changed = [line if i == place else kept_line for i, kept_line in enumerate(lines)]
        assert not rhymes_as_limerick("\n".join(changed))


def test_figures_of_limericks():
    asked = ["Write a limerick about gold.", "Write a limerick about iron."]
    training = ["A limerick about a cat", "Write about a dog", "Write a limerick"]
    answers = [GOLD, "\n".join(GOLD.splitlines()[:4])]
    figure_values = {name: value(figure) for name, figure in limerick(asked, [GOLD, IRON], answers, training).items()}
    assert figure_values == {"five_lines": 0.5, "rhyme": 0.5, "rhymed_pairs": 1, "names_subject": 0.5}


@pytest.mark.parametrize(
    ("lines", "pairs"),
    [
        (["a ring of gold", "in the cold", "we sat by the sea", "said he to me", "by the door"], 2),
        (["a ring of gold", "in the cold", "we sat by the sea", "all day long"], 1),
        (["a ring of gold", "by the sea", "in the cold", "said me", "as told"], 0),  # they rhyme, but not there
        (["a ring of gold", "in the cold", "we sat by the sea"], 1),
        (["a ring of gold"], 0),
        ([], 0),
    ],
)
def test_pairs_of_lines(lines, pairs):
    assert rhymed_pairs("\n".join(lines)) == pairs


def test_the_subject_is_the_rarest_word_of_question_and_expected_answer():
    def named(asked: str, expected: str, answer: str) -> float:
        return value(limerick([asked], [expected], [answer], ["the tale of the element"])["names_subject"])

    assert named("The element gold", "The element gold shines", "GOLD! it is.") == 1
    assert named("The element gold", "The element gold shines", "The element shines") == 0
    assert named("The element gold", "The element gold shines", "golden") == 0  # a word, not a part of one
    assert named("Tell me", "something else", "anything") == 1  # nothing shared: nothing to name


def test_measures_are_asked_for_by_name():
    rows = [{"expected": "wheel", "messages": [{"role": "user", "content": "?"}]}]
    answers = [{"text": "wheel", "finish": "stop"}]
    assert task_figures([], rows, answers, []) == {}
    assert set(task_figures(["limerick"], rows, answers, [])) == {"five_lines", "rhyme", "rhymed_pairs", "names_subject"}
    assert len(task_figures(["parts", "limerick"], rows, answers, [])) == 10
