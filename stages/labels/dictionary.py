"""From names as pages write them to a dictionary of parts: what a part is called, and every way to write it.

A compound with a stroke is several names ("Bonnet/hood", "Brake disc/rotor"), an abbreviation with one is not ("A/C").
Notes in brackets, footnote marks and numbering go. Singular and plural, hyphen, space and neither, are one name.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from stages.common.errors import StageError, shorten
from stages.common.files import clean_text

MAX_WORDS = 6  # a longer "name" is a sentence
STOP_WORDS = """
    a an and or the of with for from to in on by other others etc misc miscellaneous set sets kit kits part
    parts piece pieces unit units item items pair pairs size type types name names number front rear back left
    right upper lower inner outer side top bottom new used see also edit list contents references notes external
    links related system systems accessory accessories general main home component components support
    supports mounting mountings assembly assemblies trap traps
"""
STOP = frozenset(STOP_WORDS.split())
KEPT = frozenset({"rack and pinion", "nut and bolt", "ball and socket"})  # one part, for all its "and"
IRREGULAR = {"shelf": "shelves", "knife": "knives", "leaf": "leaves", "lens": "lenses", "chassis": "chassis"}
SINGULAR = {plural: noun for noun, plural in IRREGULAR.items()}
NO_PLURAL = ("ss", "us", "is", "abs", "wiring", "suspension", "steering", "trim")
BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
MARKS = re.compile(r"[*†‡§¶#^•·●▪→↑«»\"“”„]|(?<=\w)[⁰¹²³⁴-⁹]+")
NUMBERING = re.compile(r"^\s*(?:\d+[.)]|[-–—])\s+")
DASHES = "".join(map(chr, range(0x2010, 0x2016))) + "\u2212"
SPECIAL = re.compile(r"[\u00ad\u200b-\u200d\u2060\ufeff]|[\u2010-\u2015\u2212]|[\u2018\u2019\u02bc]")
SPACES = re.compile(r"\s+")
STROKE = re.compile(r"/(?<=\w/)(?<!\w\w/)(?=\w(?!\w))")  # of an abbreviation: A/C
APART = re.compile(r"[^\w|]|_")


def _table(changes: dict[str, str]) -> bytes:
    return bytes(ord(changes.get(chr(code), chr(code))) for code in range(256))


# a bytes table lowers and replaces ASCII in a tenth of the time that str.translate takes
LOWER = _table({chr(code): chr(code).lower() for code in range(128)} | dict.fromkeys("_\n\r\t\v\f\x1c\x1d\x1e\x1f", " "))
SPACED = _table({chr(code): " " for code in range(128) if not chr(code).isalnum() and chr(code) != "|"})


def fold(text: str) -> str:
    """Text as names are looked for: NFKC, lower case, any white space one space, hyphens and apostrophes plain."""
    if text.isascii():
        text = text.encode().translate(LOWER).decode()
    else:
        text = unicodedata.normalize("NFKC", clean_text(text))
        text = SPECIAL.sub(lambda match: "'" if match[0] in "\u2018\u2019\u02bc" else "-" if match[0] in DASHES else "", text)
        text = unicodedata.normalize("NFKC", SPACES.sub(" ", text.casefold()).replace("_", " "))
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def words_of(folded: str) -> str:
    """A folded text with a space for all that is no letter, digit or the stroke of an abbreviation; as long as it was.

    Two words with one space between them follow each other: `brake, pad` has two.
    """
    if "/" in folded:
        folded = STROKE.sub("|", folded)
    return folded.encode().translate(SPACED).decode() if folded.isascii() else APART.sub(" ", folded)


def key_of(name: str) -> str:
    """What a name is looked up by: its words, one space between them."""
    return " ".join(words_of(fold(name)).split())


def split_name(name: str) -> list[str]:
    """The names that one entry of a page gives, as it writes them; none for an empty one.

    >>> split_name("Bonnet/hood latch (both) [2]")
    ['Bonnet latch', 'hood latch']
    """
    text = unicodedata.normalize("NFKC", MARKS.sub("", name))  # marks first: NFKC makes a raised 2 a 2
    while (shorter := BRACKETS.sub(" ", text)) != text:
        text = shorter
    text = NUMBERING.sub("", SPACES.sub(" ", text)).strip(" .,:;-–—'")
    names: list[str] = []
    for phrase in re.split(r"\s+/\s*|\s*/\s+|\s*[,;]\s*", text):
        for words in _alternatives(phrase.split()):
            names += _conjuncts(" ".join(words))
    return [name for name in dict.fromkeys(name.strip(" .,:;-–—'/") for name in names) if name]


def _alternatives(words: list[str]) -> Iterator[list[str]]:
    """`tail light/lamp` -> `tail light`, `tail lamp`: a tight stroke stands between words, except in abbreviations.

    Where a word stands on both sides of it, it stands between names: `engine mount/motor mount`, `starter/starter motor`.
    """
    for place, word in enumerate(words):
        options = [option for option in word.split("/") if option]
        if len(options) > 1 and any(len(option) > 2 for option in options):
            before, after = words[:place], words[place + 1 :]
            left, right = [*before, options[0]], [*options[1:2], *after]
            if len(options) == 2 and {x.casefold() for x in left} & {x.casefold() for x in right}:
                yield from (*_alternatives(left), *_alternatives(right))
            else:
                for option in options:
                    yield from _alternatives([*before, option, *after])
            return
    yield words


def _conjuncts(name: str) -> list[str]:
    """`Inlet and exhaust manifold` -> both manifolds; `Rack and pinion` stays."""
    parts = re.split(r"\s+(?:and|or|&)\s+", name, flags=re.IGNORECASE)
    if len(parts) == 1 or any(kept in fold(name) for kept in KEPT):
        return [name]
    head = parts[-1].split()
    return [f"{part} {head[-1]}" if len(part.split()) == 1 and len(head) > 1 else part for part in parts]


def singular(word: str) -> str:
    """The singular of an English noun, by its ending; words that look singular already stay."""
    low = word.casefold()
    if low in SINGULAR:
        return SINGULAR[low]
    if len(low) < 4 or not low.endswith("s") or low in IRREGULAR or low.endswith(NO_PLURAL):
        return word
    if low.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if low.endswith(("sses", "shes", "ches", "xes", "zzes")) else word[:-1]


def plural(word: str) -> str:
    """The plural of an English noun, by its ending; of one that has none, the word itself."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith(NO_PLURAL[3:]):
        return word
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "sh", "ch", "x", "z")) else "s")


def base(name: str) -> str:
    """What a part is called here: lower case, singular, one space between words. Upper-case abbreviations lose no `s`."""
    words = SPACES.sub(" ", name).strip().split()
    if words and not (words[-1].isupper() and len(words[-1]) <= 4):
        words[-1] = singular(words[-1])
    return " ".join(words).casefold()


def _joined(key: str) -> Iterator[str]:
    """`tail light bulb` -> `taillight bulb`, `tail lightbulb`, `taillightbulb`; short words are left alone."""
    words = key.split()
    for place in range(len(words) - 1):
        if len(words[place]) > 1:
            yield " ".join([*words[:place], words[place] + words[place + 1], *words[place + 2 :]])
    if len(words) == 2 and len(words[0]) == 1:  # o-ring, t-top; but no `actor` out of `a/c tor`
        yield "".join(words)


@dataclass
class Dictionary:
    """Names and how they may be written.

    Attributes:
        names: what each part is called, in the order of the pages.
        written: folded text -> the part's name, or "" for a phrase that names none.
        dropped: entries that name no part, each with its reason.
    """

    names: list[str] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    within: dict[str, str] = field(default_factory=dict)  # words that stand for each other inside longer names too

    def canonical(self, name: str) -> str | None:
        """The dictionary's name for `name`, however it is written; None where it has none."""
        return self.written.get(key_of(name)) or self.written.get(key_of(base(name))) or None

    def add(self, name: str, means: str | None = None) -> None:
        """One name, and what it means (None: itself). The first meaning of a spelling stays."""
        target = base(name) if means is None else means
        if means is None:
            known = next((self.written[key] for key in self._spellings(target) if key in self.written), None)
            target = target if known is None else known
            if known is None:
                self.names.append(target)
        for key in self._spellings(base(name)):
            self.written.setdefault(key, target)

    def _spellings(self, name: str) -> Iterator[str]:
        """Every folded way to write a name, the plainest first."""
        keys = [key_of(name)]
        words = keys[0].split()
        for part, other in [*self.within.items(), *((means, part) for part, means in self.within.items())]:
            size = len(part.split())
            for place in range(len(words) - size + 1):
                if words[place : place + size] == part.split():
                    keys.append(" ".join([*words[:place], other, *words[place + size :]]))
        for key in dict.fromkeys(keys):
            for form in (key, *_joined(key)):
                for spelled in dict.fromkeys((form, form.replace("a|c", "ac"))):
                    yield spelled
                    head, _, last = spelled.rpartition(" ")
                    yield f"{head} {plural(last)}".strip()


def build(entries: Iterable[str], synonyms: Iterable[dict] = ()) -> Dictionary:
    """A dictionary from the entries of pages and from synonyms.

    Args:
        entries: names as pages write them, compounds and all.
        synonyms: rows `name`, `means` ("" for a phrase that names no part: "bumper to bumper") and `within` ("yes": also
            inside longer names, as tyre for tire; "as written": in this number alone, as lights for light).

    Raises:
        StageError: if no entry names a part, or a synonym has no name.
    """
    built, rows = Dictionary(), list(synonyms)
    for number, row in enumerate(rows, 1):
        if not str(row.get("name") or "").strip():
            raise StageError(f"synonym {number}", shorten(row), "columns name, means, within", "edit the file of synonyms")
        if str(row.get("within") or "").strip() == "yes":
            built.within[key_of(row["name"])] = key_of(row["means"])
    for row in rows:  # first, so that a name on a page that is only another's synonym is called as the file says
        if not _as_written(row) and (means := base(row.get("means") or "")):
            built.add(means)
            built.add(row["name"], means)
    for entry in entries:
        names = split_name(entry)
        if not names:
            built.dropped.append((entry, "empty"))
        for name in names:
            if reason := _unfit(name):
                built.dropped.append((name, reason))
            else:
                built.add(name)
    if len(built.names) == 0:
        raise StageError("the dictionary", "no name of a part", "at least one", "check the sources in label.dictionaries")
    for row in rows:
        if _as_written(row):
            means = base(row.get("means") or "")
            built.written[key_of(row["name"])] = built.canonical(means) or means
        elif not base(row.get("means") or ""):
            for key in {key_of(row["name"]), key_of(base(row["name"]))}:
                built.written[key] = ""
    return built


def _as_written(row: dict) -> bool:
    """Whether a synonym stands for its own spelling alone, and not for its other number: `lights` is a part, `light` seldom."""
    return str(row.get("within") or "").strip() == "as written"


def _unfit(name: str) -> str | None:
    """Why a name is no part's, or None."""
    words = key_of(name).split()
    if not any(letter.isalpha() for letter in name) or len("".join(words)) < 2:
        return "no word"
    if all(word in STOP for word in words):
        return "stop name"
    return f"over {MAX_WORDS} words" if len(words) > MAX_WORDS else None
