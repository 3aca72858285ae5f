"""When two texts are the same. Texts themselves are never changed: each function here makes a key, and keys are compared.

| key | takes for the same | tells apart |
|---|---|---|
| `text_key` | an accent in one character or in two; any white space; a zero-width space or nothing | 5² and 52, Yes and yes |
| `folded_key` | the same, and Yes and yes, straße and STRASSE | 5² and 52 |
| `loose_key` | the same, and 5² and 52, full-width and plain letters, joined and unjoined spellings | colour and color |

`text_key` is for labels, for what is empty and for `exact_match_cased`; `folded_key` for questions, answers and groups
(duplicates, conflicts, leakage) and for `exact_match`; `loose_key` for near-duplicates, which are only left out of train, and
for the headings of pages. It takes different texts for the same (10⁻³ and 10−3), so nothing else may be decided by it.
"""

import re
import unicodedata
from collections.abc import Iterable

ZWJ = "\u200d"  # zero-width joiner; its counterpart is U+200C, the non-joiner

# Code points that show nothing: Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt) but for joiners and tags;
# control characters that are no white space; marks of annotation. Not all of category Cf: an Arabic number sign can be seen.
_RANGES = """
    00-08 0e-1b 7f-84 86-9f ad 34f 61c 115f-1160 17b4-17b5 180b-180f 200b 200e-200f 202a-202e 2060-206f 3164 fe00-fe0f feff
    ffa0 fff0-fffb 1bca0-1bca3 1d173-1d17a e0000-e001f e0080-e0fff
"""
_ENDS = [[int(end, 16) for end in item.split("-")] for item in _RANGES.split()]
_INVISIBLE = frozenset(chr(code) for ends in _ENDS for code in range(ends[0], ends[-1] + 1))
_CONTROLS = bytes(ord(letter) for letter in _INVISIBLE if letter.isascii())
_JOINERS_AND_TAGS = re.compile("[\u200c\u200d\U000e0020-\U000e007f]+")
_TAGS = re.compile("[\U000e0020-\U000e007f]+")
_BLACK_FLAG = "\U0001f3f4"
# Arabic letters that never join the letter after them: a joiner there changes nothing
_JOINS_NO_NEXT = frozenset("آأؤإاةدذرزوءٱٲٳٴٵٶٷڈډڊڋڌڍڎڏڐڑڒړڔڕږڗژڙۀۃۄۅۆۇۈۉۊۋۍۏےۓەۮۯ")
_BRAILLE_BLANK = "\u2800"  # a symbol to Unicode, a space to the eye
_VIRAMA = 9  # canonical combining class
_AROUND = 8  # characters looked at on either side of a joiner


def text_key(text: object) -> str:
    """What two texts share that read the same: NFC, no invisible characters, one space for any white space, none at the ends.
    Of a number its text, 1 for 1.0.

    Joiners stay where they change what is written; so do the tags of a flag. Elsewhere they are invisible and go.

    >>> text_key("Is it red?\u200b") == text_key("Is\u00a0it red? ")
    True
    >>> text_key("5²") == text_key("52")
    False
    >>> text_key("می\u200cخواهم") == text_key("میخواهم")  # written apart, and joined
    False
    """
    if isinstance(text, float) and text.is_integer():  # columns with gaps are often written as floats
        text = int(text)
    text = "" if text is None else str(text)
    if text.isascii():
        return " ".join(text.encode().translate(None, _CONTROLS).decode().split())
    if not _INVISIBLE.isdisjoint(text):
        text = "".join(letter for letter in text if letter not in _INVISIBLE)
    text = unicodedata.normalize("NFC", text.replace(_BRAILLE_BLANK, " "))
    while _JOINERS_AND_TAGS.search(text) and (plainer := _plainer(text)) != text:
        text = plainer
    return " ".join(text.split())


def folded_key(text: object) -> str:
    """`text_key` with case folded, by Unicode's canonical caseless matching (D145): Straße and STRASSE are the same."""
    key = text_key(text)
    return key.lower() if key.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFD", key).casefold())


def loose_key(text: object) -> str:
    """`folded_key` without compatibility forms (NFKC) and joiners: for a search that may find too much."""
    key = folded_key(text)
    if key.isascii():
        return key
    return folded_key(unicodedata.normalize("NFKC", _JOINERS_AND_TAGS.sub("", key)))


def same_text(left: object, right: object) -> bool:
    """Whether two texts read the same, to the case of their letters."""
    return text_key(left) == text_key(right)


def _plainer(text: str) -> str:
    """A text without joiners and tags that change nothing. What goes may bring others together: go on until nothing goes."""
    return unicodedata.normalize("NFC", _JOINERS_AND_TAGS.sub(_meaningful, text))


def _meaningful(match: re.Match) -> str:
    """What is kept of a run of joiners and tags: the tags that spell a flag, the first joiner if it changes what is written.

    Source: RFC 5892, appendix A.1 and A.2, for letters; the Unicode Standard, chapter 12, for a joiner before a virama, as in
    Bengali and Kannada; UTS 51 for emoji and flags.
    """
    run, before = match[0], match.string[max(0, match.start() - _AROUND) : match.start()]
    after = match.string[match.end() : match.end() + _AROUND]
    if tags := _TAGS.match(run):
        return tags[0] if before.endswith(_BLACK_FLAG) else ""
    if _VIRAMA in map(unicodedata.combining, (*before[-1:], *(after[:1] if run[0] == ZWJ else ""))):
        return run[0]
    if run[0] == ZWJ and _pictograph(before[-1:]) and _pictograph(after[:1]):
        return run[0]
    letter_before, letter_after = _letter(reversed(before)), _letter(after)
    joined = _cursive(letter_before) and _cursive(letter_after) and letter_before not in _JOINS_NO_NEXT
    return run[0] if joined else ""


def _letter(text: Iterable[str]) -> str:
    """The first character that is no combining mark; "" if there is none."""
    return next((letter for letter in text if not unicodedata.combining(letter)), "")


def _pictograph(letter: str) -> bool:
    """Whether it is an emoji, its colour of skin included, or another symbol."""
    return bool(letter) and (unicodedata.category(letter) == "So" or letter == "↔" or "\U0001f3fb" <= letter <= "\U0001f3ff")


def _cursive(letter: str) -> bool:
    """Whether it is a letter of a script whose letters join: Arabic, Syriac, N'Ko, Mongolian and their like."""
    block = "\u0620" <= letter <= "\u08ff" or "\u1800" <= letter <= "\u18af" or "\ua840" <= letter <= "\ua87f"
    return block and letter.isalpha()


def as_text(value: object) -> object:
    """A number as text, a truth value as true or false; other values as they are.

    A whole number has no decimals: exporters write 1 as 1.0 in columns with gaps.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else value


def until(text: str, stop: list[str]) -> str:
    """`text` up to the first stop string."""
    places = [text.find(end) for end in stop if end in text]
    return text[: min(places)] if places else text


def shorten(value: object, width: int = 80) -> str:
    """`repr(value)`, cut to `width` characters, for messages and notes."""
    text = repr(value)
    return text if len(text) <= width else text[: width - 1] + "…"
