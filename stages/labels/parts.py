"""Parts named in a text: one pass over it with an Aho-Corasick automaton, longest match on word boundaries.

An automaton finds a name also inside of a word, as `oil` in `boiling`. There are two ways to whole words:

- In ASCII text. `title()` gives every word a capital letter, in the text and in the names. `Oil` is not in `Boiling`, so one
  automaton may choose the leftmost longest names by itself. This is the fast way, and most texts go it.
- In all other text. A second automaton gives every name that stands between two spaces, and `leftmost_longest` chooses.

`title()` also begins a word after a digit: `4wd` becomes `4Wd`, with the name `Wd` in it. Such a text goes the second way.
"""

from ahocorasick_rs import AhoCorasick, BytesAhoCorasick, Implementation, MatchKind

from stages.labels.dictionary import Dictionary, fold, words_of
from stages.labels.faults import faulty

Span = tuple[int, int, int]  # start, end (past the last character), place in the names
NO_PART = -1
SPACE = ord(" ")


class Finder:
    """Finds the parts of a dictionary in texts."""

    def __init__(self, dictionary: Dictionary):
        """Build the automata: once for all texts, in some milliseconds per thousand spellings."""
        self.dictionary = dictionary
        self.names = list(dict.fromkeys(name for name in dictionary.written.values() if name))
        number = {name: place for place, name in enumerate(self.names)}
        ascii_first = sorted(dictionary.written, key=lambda key: not key.isascii())  # so that both automata number them alike
        self.means = [number.get(dictionary.written[key], NO_PART) for key in ascii_first]
        kind = Implementation.DFA
        plain = [f"{key} ".encode().title() for key in ascii_first if key.isascii()]
        self.plain = BytesAhoCorasick(plain, MatchKind.LeftmostLongest, kind)
        self.every = AhoCorasick([f" {key} " for key in ascii_first], MatchKind.Standard, implementation=kind)

    def __reduce__(self):
        """A copy is built anew: automata do not pickle."""
        return Finder, (self.dictionary,)

    def spans(self, text: str) -> list[Span]:
        """Names in a folded text that begins and ends with a space, in order.

        They do not overlap: the leftmost comes first, and of names that begin together the longest. A phrase that names no
        part ("bumper to bumper") is among them as NO_PART, so that no part is found in it.
        """
        if text.isascii():
            titled = words_of(text).encode().title()
            matches = self.plain.find_matches_as_indexes(titled)
            for _, start, _ in matches:
                if titled[start - 1] != SPACE:
                    break  # a name inside of a word, which may hide another name
            else:
                return [(start, end - 1, self.means[which]) for which, start, end in matches]
        matches = self.every.find_matches_as_indexes(words_of(text), overlapping=True)
        return leftmost_longest([(start + 1, end - 1, self.means[which]) for which, start, end in matches])

    def mentions(self, text: str) -> list[Span]:
        """The spans of parts.

        Of names that follow each other the last one counts: `engine mount` is about a mount, though no page lists it.
        """
        kept, last = [], NO_PART
        for span in self.spans(text):
            start, end, part = span
            if start == last + 1 and kept and kept[-1][1] == last and text[last] in " -":
                kept.pop()
            if part != NO_PART:
                kept.append(span)
            last = end
        return kept

    def label(self, text: str) -> tuple[list[str], list[str]]:
        """Distinct parts in order of first mention, and those of them about which the text reports a problem."""
        text = f" {fold(text)} "
        mentions = self.mentions(text)
        if not mentions:
            return [], []
        distinct = dict.fromkeys(part for _, _, part in mentions)
        bad = faulty(text, mentions)
        return [self.names[part] for part in distinct], [self.names[part] for part in distinct if part in bad]

    def parts(self, text: str) -> list[str]:
        """Distinct parts in order of first mention."""
        mentions = self.mentions(f" {fold(text)} ")
        return [self.names[part] for part in dict.fromkeys(part for _, _, part in mentions)]


def leftmost_longest(spans: list[Span]) -> list[Span]:
    """Spans that do not overlap, out of spans in any order: the one that begins first, and of these the longest; then the
    next that begins behind it, and so on."""
    kept: list[Span] = []
    for span in sorted(spans):
        if kept and span[0] == kept[-1][0]:
            kept[-1] = span
        elif not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept
