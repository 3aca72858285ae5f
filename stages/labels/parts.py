"""Parts named in a text: one pass over it with an Aho-Corasick automaton, longest match on word boundaries."""

from itertools import zip_longest

import ahocorasick

from stages.labels.dictionary import Dictionary, fold, words_of
from stages.labels.faults import faulty

Span = tuple[int, int, int]  # start, end (past the last character), place in the names
NO_PART = -1


class Finder:
    """Finds the parts of a dictionary in texts."""

    def __init__(self, dictionary: Dictionary):
        """Build the automaton: once for all texts, in some milliseconds per thousand spellings."""
        self.names = list(dict.fromkeys(name for name in dictionary.written.values() if name))
        number = {name: place for place, name in enumerate(self.names)}
        self.automaton = ahocorasick.Automaton()
        for key, name in dictionary.written.items():
            self.automaton.add_word(f" {key} ", (len(key), number.get(name, NO_PART)))
        self.automaton.make_automaton()

    def spans(self, text: str) -> list[Span]:
        """Names in a folded text that begins and ends with a space, in order.

        They do not overlap: the leftmost, and of those that begin together the longest. Phrases that name no part are
        among them as NO_PART. The automaton holds names between spaces, so that it knows the boundaries of words itself.
        """
        found = [(end - size, end, what) for end, (size, what) in self.automaton.iter(words_of(text))]
        return leftmost_longest(found) if len(found) > 1 else found

    def mentions(self, text: str) -> list[Span]:
        """The spans of parts.

        Of names that follow each other the last is meant: in `engine mount` the mount, in a compound that no page lists
        as in one that a page does.
        """
        spans = self.spans(text)
        after = [start for start, _, _ in spans[1:]]
        return [
            (start, end, what)
            for (start, end, what), follower in zip_longest(spans, after)
            if what != NO_PART and (end + 1 != follower or text[end] not in " -")
        ]

    def label(self, text: str) -> tuple[list[str], list[str]]:
        """Distinct parts in order of first mention, and those of them about which the text reports a problem."""
        text = f" {fold(text)} "
        mentions = self.mentions(text)
        if not mentions:
            return [], []
        distinct = dict.fromkeys(what for _, _, what in mentions)
        bad = faulty(text, mentions)
        return [self.names[what] for what in distinct], [self.names[what] for what in distinct if what in bad]

    def parts(self, text: str) -> list[str]:
        """Distinct parts in order of first mention."""
        mentions = self.mentions(f" {fold(text)} ")
        return [self.names[what] for what in dict.fromkeys(what for _, _, what in mentions)]


def leftmost_longest(spans: list[Span]) -> list[Span]:
    """Of spans in any order those that do not overlap: the first, of equal starts the longest, and so on after it."""
    kept: list[Span] = []
    for span in sorted(spans):
        if kept and span[0] == kept[-1][0]:
            kept[-1] = span
        elif not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept
