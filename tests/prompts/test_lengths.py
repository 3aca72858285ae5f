from hypothesis import given
from hypothesis import strategies as st

from stages.prompts.lengths import Lengths, edges, histogram


def lengths(*words: int) -> Lengths:
    counted = Lengths()
    for count in words:
        counted.add("x " * count)
    return counted


def test_bins_are_single_words_then_four_to_a_doubling():
    assert edges(40) == [*range(9), 10, 12, 14, 16, 20, 24, 28, 32, 40]
    assert edges(0) == [0]


@given(st.lists(st.integers(0, 3000)), st.lists(st.integers(0, 3000)))
def test_every_text_is_in_the_bin_of_its_length(prompts, completions):
    table = histogram(lengths(*prompts), lengths(*completions))
    begins = [row["words"] for row in table] + [1 << 60]
    for name, words in (("prompts", prompts), ("completions", completions)):
        wanted = [sum(begin <= count < end for count in words) for begin, end in zip(begins, begins[1:], strict=False)]
        assert [row[name] for row in table] == wanted
        assert sum(wanted) == len(words)


def test_bins_do_not_move_with_the_data():
    assert edges(5000)[: len(edges(40))] == edges(40)
