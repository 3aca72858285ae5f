"""Which words two texts share, in the same order: what a reader's eye is led to."""

import re
from difflib import SequenceMatcher

SAME, OWN = "same", "own"
MOST_WORDS = 800  # of a text that is compared; the work grows with the product of both lengths
_PUNCTUATION = ".,;:!?\"'()[]{}«»„“”‘’…*_`#"


def split(text: str) -> list[str]:
    """Words and the white space between them, in turn; joined they are the text. No word is cut, whatever its script."""
    return re.findall(r"\s+|\S+", text)


def _key(word: str) -> str:
    return word.strip(_PUNCTUATION).casefold()


def _telling(words: list[str]) -> bool:
    """Whether a run of shared words says something: a lone short word ("of", "the") is shared by chance."""
    return len(words) > 1 or len(words[0]) > 3 or not words[0].isalpha()


def _blocks(first: list[str], second: list[str]) -> list[tuple[int, int, int]]:
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    short = min(len(first), len(second)) <= 3  # a label or a few words: every one counts
    return [block for block in blocks if block.size and (short or _telling(first[block.a : block.a + block.size]))]


def _runs(pieces: list[str], shared: set[int]) -> list[tuple[str, str]]:
    """Pieces as runs; `shared` counts words only. White space goes with a run that goes on after it."""
    runs: list[list[str]] = []
    word, gap = 0, ""
    for piece in pieces:
        if piece.isspace():
            gap = piece
            continue
        kind = SAME if word in shared else OWN
        word += 1
        if runs and runs[-1][0] == kind:
            runs[-1][1] += gap + piece
        else:
            if gap:
                runs.append(["", gap])
            runs.append([kind, piece])
        gap = ""
    return [(kind, text) for kind, text in [*runs, *([["", gap]] if gap else [])]]


def compare(first: str, second: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Both texts as runs (kind, text): `same` words, `own` words, "" for white space between. Case and punctuation at a
    word's ends do not count. Texts of more than MOST_WORDS words are left whole."""
    pieces = split(first), split(second)
    words = [[_key(piece) for piece in side if not piece.isspace()] for side in pieces]
    if not all(words) or max(map(len, words)) > MOST_WORDS:
        return [("", first)] if first else [], [("", second)] if second else []
    blocks = _blocks(*words)
    shared = [{block[side] + i for block in blocks for i in range(block[2])} for side in (0, 1)]
    return _runs(pieces[0], shared[0]), _runs(pieces[1], shared[1])


def share(runs: list[tuple[str, str]]) -> float:
    """Share of the letters of a text's words that are in `same` runs."""
    lengths = {kind: sum(len(text) for own_kind, text in runs if own_kind == kind) for kind in (SAME, OWN)}
    return lengths[SAME] / max(1, sum(lengths.values()))
