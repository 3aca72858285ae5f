"""When two texts are the same: examples with their right value, and rules that hold for any text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.text_keys import folded_key, loose_key, same_text, text_key
from tests.data_helpers import odd_text

FAMILY = "\U0001f469\u200d\U0001f467"  # woman, joiner, girl
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
# zero-width space, joiners, marks of direction, soft hyphen, byte order mark, word joiner, Hangul filler, variation selector
INVISIBLE = "\u200b\u200c\u200d\u200e\u202e\u00ad\ufeff\u2060\u3164\ufe0f\x00\x7f\U000e0041\u034f"
LATIN = st.text("abcXYZ 0²½éß.,?", max_size=12)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("What is\tit?", "  What  is\n it? "),
        ("e\u0301", "é"),  # composed in two ways
        ("a\u00a0b", "a b"),
        ("a\u3000b\u2800c", "a b c"),  # an ideographic space, a blank of Braille
        (None, ""),
        ("\u200b\ufeff", ""),
        ("co\u00adop\u200berate", "cooperate"),
        ("e\u034f\u0301", "é"),  # a joiner of marks hides the accent from NFC
        ("❤\ufe0f\u200d🔥", "❤\u200d🔥"),  # the burning heart, with and without its selector
        ("red?\U000e0062\U000e0063", "red?"),  # tags hide a message
        ("کار\u200cخانه", "کارخانه"),  # this letter never joins the next one: the two look alike
        ("آیا؟\u200c", "آیا؟"),
        ("葛\U000e0100", "葛\U000e0101"),  # variants of one ideograph
        ("か\u3099", "が"),
        ("a\u0323\u0302", "a\u0302\u0323"),  # marks in another order
        ("1\ufe0f\u20e3", "1\u20e3"),
        ("300 \u212a", "300 K"),  # the sign of Kelvin is the letter
        ("a\r\nb\u2028c", "a\nb c"),
        ("שלום\u200f", "שלום"),
    ],
)
def test_these_read_the_same(first, other):
    assert same_text(first, other)
    assert folded_key(first) == folded_key(other)
    assert loose_key(first) == loose_key(other)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("5²", "52"),
        ("2³", "23"),
        ("x₁", "x1"),
        ("1½", "11⁄2"),
        ("10⁻³", "10−3"),
        ("㎏", "kg"),
        ("Ⅳ", "IV"),
        ("می\u200cخواهم", "میخواهم"),  # Persian: written apart, and joined
        ("\u0d28\u0d4d\u200d", "\u0d28\u0d4d"),  # Malayalam: a letter of its own
        ("র\u200d্যাব", "র্যাব"),  # Bengali: the joiner stands before the virama, and parts ra from a sign above
        ("ರ\u200d್ಕ", "ರ್ಕ"),  # Kannada, too
        ("🙂\u200d↔\ufe0f", "🙂↔"),  # a head that shakes, and one beside an arrow
        ("❤\ufe0f\u200d🔥", "❤🔥"),
        ("１２", "12"),
        ("ｶﾞ", "ガ"),
        ("ﻻ", "لا"),
        ("①", "1"),
        ("1ª", "1a"),
    ],
)
def test_these_differ_but_for_a_search_that_may_find_too_much(first, other):
    assert text_key(first) != text_key(other)
    assert folded_key(first) != folded_key(other)
    assert loose_key(first) == loose_key(other)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("non\u2011stop", "nonstop"),
        ("مـحمد", "محمد"),  # a letter drawn out
        ("👍🏽", "👍"),
        ("٣", "3"),
        ("½", "1/2"),
        ("İ", "i"),
        ("I", "ı"),
    ]
    + [("a b", "ab"), ("a", "á"), ("1", "2"), ("a.", "a"), (0, ""), (0, False), ("\u0600", ""), (FAMILY, FAMILY[::2] + "!")],
)
def test_these_differ_everywhere(first, other):
    assert len({text_key(first), text_key(other)}) == len({folded_key(first), folded_key(other)}) == 2
    assert loose_key(first) != loose_key(other)


def test_one_emoji_is_not_two():
    assert not same_text(FAMILY, FAMILY.replace("\u200d", ""))
    assert same_text(FAMILY, FAMILY.replace("\u200d", "\u200d\u200d\u200b"))


def test_flags_of_regions_differ_by_their_tags_alone():
    assert not same_text(ENGLAND, SCOTLAND)


@pytest.mark.parametrize(
    ("first", "other"),
    [("Yes", "yes"), ("STRASSE", "straße"), ("Σίσυφος", "ΣΊΣΥΦΟΣ"), ("É", "e\u0301"), ("ﬁne", "fine")],
)
def test_case_counts_in_one_key_alone(first, other):
    assert not same_text(first, other)
    assert folded_key(first) == folded_key(other)


@given(odd_text, st.sampled_from([text_key, folded_key]))
def test_a_key_is_the_key_of_itself(text, key):
    assert key(key(text)) == key(text)


@given(odd_text, st.sampled_from(" \n\t\u00a0\u2003\u3000\x1f"), st.sampled_from([text_key, folded_key, loose_key]))
def test_white_space_at_the_ends_never_matters(text, space, key):
    assert key(f"{space}{text}{space}") == key(text)


@given(odd_text, st.sampled_from(["NFC", "NFD"]))
def test_how_an_accent_is_composed_never_matters(text, form):
    assert same_text(unicodedata.normalize(form, text), text)


@given(LATIN, st.data())
def test_an_invisible_character_anywhere_never_matters(text, data):
    place = data.draw(st.integers(0, len(text)))
    other = text[:place] + data.draw(st.text(INVISIBLE, min_size=1, max_size=3)) + text[place:]
    assert same_text(text, other)


@given(LATIN, LATIN)
def test_texts_that_can_be_told_apart_by_eye_are(first, other):
    assert same_text(first, other) == (first.split() == other.split())


@given(st.lists(odd_text, min_size=2, max_size=2) | odd_text.map(lambda text: [text, text.swapcase()]))
def test_each_key_takes_for_the_same_what_the_one_before_it_does(texts):
    first, other = texts
    assert not same_text(first, other) or folded_key(first) == folded_key(other)
    assert folded_key(first) != folded_key(other) or loose_key(first) == loose_key(other)


@given(st.text(INVISIBLE + " \n", max_size=6))
def test_what_cannot_be_seen_is_empty(text):
    assert text_key(text) == ""
