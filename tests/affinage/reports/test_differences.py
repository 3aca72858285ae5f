from hypothesis import given
from hypothesis import strategies as st

from affinage.reports.differences import MOST_WORDS, compare, share

TEXTS = st.text(alphabet="aä bcd,.\n\u0301\u05d0\U0001f469 ", max_size=60) | st.text(max_size=30)


def said(runs: list[tuple[str, str]], kind: str) -> list[str]:
    return [text for run_kind, text in runs if run_kind == kind]


@given(TEXTS, TEXTS)
def test_nothing_is_lost_or_added(first, second):
    for text, runs in zip((first, second), compare(first, second), strict=True):
        assert "".join(part for _, part in runs) == text


@given(TEXTS)
def test_a_text_is_the_same_as_itself(text):
    first, two = compare(text, text)
    assert first == two and not said(first, "own") or not any(word.strip(".,") for word in text.split())


def test_shared_words_are_found_whatever_case_and_punctuation():
    first, two = compare("The heart pumps blood.", "A heart pumps red Blood")
    assert said(first, "same") == ["heart pumps blood."] and said(two, "same") == ["heart pumps", "Blood"]
    assert said(first, "own") == ["The"] and said(two, "own") == ["A", "red"]


def test_a_lone_short_word_is_chance():
    first, _ = compare("the cat sat on it today", "we went to the far hills")
    assert not said(first, "same")
    assert said(compare("no", "no")[0], "same") == ["no"]  # unless it is the whole text


def test_words_are_never_cut():
    word = "न\u0947मस्ते"
    assert said(compare(word, f"x {word} y z")[1], "same") == [word]


def test_share_counts_letters():
    assert share([("same", "abc"), ("", " "), ("own", "d")]) == 0.75
    assert share([]) == 0


def test_very_long_texts_are_left_whole():
    text = "word " * (MOST_WORDS + 1)
    assert compare(text, text) == ([("", text)], [("", text)])
