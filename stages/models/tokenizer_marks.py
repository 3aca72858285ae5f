"""Text is text: only the marks that a template writes become a tokenizer's own tokens.

A tokenizer reads its added tokens (`<|im_end|>`, `</s>`, `<tool_call>`) wherever they stand: in the template, and in a row's
text. Read from a text, `<|im_end|>` would end the turn. So a text is shielded before it is rendered: a private character on
each side of every mark in it. What stands between the two is then read letter by letter, by transformers' own
`encode_marked_chat`. A conversation without a mark in its texts is read in one piece, as ever.

    shielded("Write <|im_end|> here.")  ->  "Write \\U000f0000<|im_end|>\\U000f0001 here."

An added token of white space alone is no mark: several tokenizers write indentation with such tokens. Nor is a plain word that
was added to the vocabulary (`ibuprofen`), unless it was added as a special token.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from weakref import WeakKeyDictionary

import transformers
from transformers import PreTrainedTokenizerBase

from stages.common.errors import StageError

try:
    from transformers.utils.chat_template_utils import encode_marked_chat
except ImportError:  # an older transformers: a text with a mark is refused
    encode_marked_chat = None

OPEN, CLOSE = "\U000f0000", "\U000f0001"  # what transformers puts around a mark
_SHIELD = re.compile(f"{OPEN}.*?{CLOSE}", re.DOTALL)
_WORDS = re.compile(r"[\w\s'’-]*")


class Unreadable(StageError):
    """A text whose marks cannot be told from those of the template. `reason` is counted."""

    def __init__(self, reason: str):
        self.reason = reason
        super().__init__("text", reason, "a text whose marks can be read as letters", "take the mark out of the text")


class Marks:
    """The marks of one tokenizer, and how to read texts that hold some.

    Args:
        tokenizer: of a model. Its added tokens stay as they are.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokens = {
            token.content: number
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.content.strip() and (token.special or not _WORDS.fullmatch(token.content))
        }
        longest_first = sorted(self.tokens, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")  # (?!) matches nothing
        self.unknown = tokenizer.unk_token_id  # stands for any letter that the vocabulary lacks
        self.numbers = {*self.tokens.values()} - {self.unknown}
        self.bounds = self.count(tokenizer("a")["input_ids"])  # that the tokenizer itself puts around a text

    def inside(self, text: str) -> bool:
        """Whether a text holds a mark."""
        return self.pattern.search(text) is not None

    def shielded(self, text: str) -> str:
        """The text with its marks shielded.

        Raises:
            Unreadable: if it holds one of the two private characters itself.
        """
        if OPEN in text or CLOSE in text:
            raise Unreadable("a private character (U+F0000 or U+F0001) in the text")
        return self.pattern.sub(f"{OPEN}\\g<0>{CLOSE}", text)

    def count(self, ids: list[int]) -> int:
        """How many of the tokens are marks."""
        return sum(number in self.numbers for number in ids)

    def written(self, rendered: str) -> int:
        """How many marks a rendered text holds outside of its shields."""
        return len(self.pattern.findall(_SHIELD.sub(OPEN, rendered)))


_MARKS: WeakKeyDictionary[PreTrainedTokenizerBase, Marks] = WeakKeyDictionary()


def marks(tokenizer: PreTrainedTokenizerBase) -> Marks:
    """The marks of a tokenizer, looked up once."""
    if tokenizer not in _MARKS:
        _MARKS[tokenizer] = Marks(tokenizer)
    return _MARKS[tokenizer]


def bare(text: str) -> str:
    """A shielded text without its shields, as a reader sees it."""
    return text.replace(OPEN, "").replace(CLOSE, "")


def encode(tokenizer: PreTrainedTokenizerBase, rendered: str) -> list[int]:
    """Token ids of a rendered text: marks outside of shields are tokens, all else is letters.

    Raises:
        Unreadable: if the tokenizer makes a mark out of what should be letters.
    """
    own_marks = marks(tokenizer)
    if OPEN in rendered or CLOSE in rendered:
        if encode_marked_chat is None:
            raise Unreadable(f"a mark, which transformers {transformers.__version__} cannot read as letters")
        try:
            ids = encode_marked_chat(tokenizer, rendered)
        except ValueError as error:
            raise Unreadable(f"a mark that the tokenizer cannot read as letters ({error})") from None
    else:
        ids = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    if own_marks.count(ids) > own_marks.written(rendered):
        raise Unreadable("a mark that the tokenizer cannot read as letters")
    return ids


def encode_text(
    tokenizer: PreTrainedTokenizerBase, text: str, max_tokens: int | None = None, bounds: bool = False
) -> list[int]:
    """Token ids of a plain text, its marks read as letters.

    Args:
        max_tokens: cut to so many, `bounds` among them.
        bounds: with the tokenizer's own beginning and end (`[CLS]` and `[SEP]`).

    Raises:
        Unreadable: as `encode`.
    """
    if not marks(tokenizer).inside(text):
        cut = {} if max_tokens is None else {"truncation": True, "max_length": max_tokens}
        ids = tokenizer(text, add_special_tokens=bounds, **cut)["input_ids"]
        if marks(tokenizer).count(ids) > marks(tokenizer).bounds * bounds:
            raise Unreadable("a mark that the tokenizer cannot read as letters")
        return ids
    return _cut(tokenizer, encode(tokenizer, marks(tokenizer).shielded(text)), max_tokens, bounds)


def _cut(tokenizer: PreTrainedTokenizerBase, ids: list[int], max_tokens: int | None, bounds: bool) -> list[int]:
    before, after = around(tokenizer) if bounds else ([], [])
    room = len(ids) if max_tokens is None else max(0, max_tokens - len(before) - len(after))
    cut_ids = ids[:room] if tokenizer.truncation_side == "right" else ids[max(0, len(ids) - room) :]
    return [*before, *cut_ids, *after]


def readable(
    tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], max_tokens: int | None = None, bounds: bool = False
) -> list[list[int]]:
    """Each text as `encode_text` reads it. A mark that cannot be read as letters is left out: a judge must go on."""
    return [_readable(tokenizer, text, max_tokens, bounds) for text in texts]


def _readable(tokenizer: PreTrainedTokenizerBase, text: str, max_tokens: int | None, bounds: bool) -> list[int]:
    plain = marks(tokenizer).pattern.sub(" ", bare(text))
    for readable_text in (text, plain):
        with suppress(Unreadable):
            return encode_text(tokenizer, readable_text, max_tokens, bounds)
    ids = tokenizer(plain, add_special_tokens=False)["input_ids"]  # a mark in another spelling, which a normalizer set right
    return _cut(tokenizer, [number for number in ids if number not in marks(tokenizer).numbers], max_tokens, bounds)


def around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The tokens that the tokenizer itself puts before and after every text."""
    whole, inner = (tokenizer("a", add_special_tokens=bounds)["input_ids"] for bounds in (True, False))
    place = next(i for i in range(len(whole)) if whole[i : i + len(inner)] == inner)
    return whole[:place], whole[place + len(inner) :]
