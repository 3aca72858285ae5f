"""Prompts of language-model judges: text files whose names carry their version, and the verdicts that they ask for.

A file begins with `reply:`: `integer`, `reasons and score` or `reasons and winner`. A file for scores says `scale:` next, the
lowest and the highest. Then come `---` and the text. In the text `{question}`, `{expected}` and `{answer}` (or `{first}` and
`{second}`) become enclosed texts, and `{mark}` the code of the enclosing lines.

To change a prompt, write a new file with another version. The verdicts that the old one brought stay as they are.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import StageError, shorten

FOLDER = Path(__file__).parent / "prompts"
INTEGER, SCORE, WINNER = "integer", "reasons and score", "reasons and winner"
FIELDS = {INTEGER: {"question", "expected", "answer"}, SCORE: {"question", "expected", "answer"}}
FIELDS[WINNER] = {"question", "expected", "first", "second"}
CHOICES = ("A", "B", "tie")
_PLACE = re.compile(r"\{(question|expected|answer|first|second|mark)\}")
_FENCED = re.compile(r"(`{3,}|~{3,})[ \t]*(?:[A-Za-z][\w.+-]*)?\s*(.*?)\s*\1", re.DOTALL)  # ```json, ``` JSON, ~~~, …
_AROUND = re.compile(r"[\s`~]*(?:[`~]{3}[ \t]*[A-Za-z]+)?\s*")  # what may lie between a verdict and the end of a reply


class BadVerdict(Exception):
    """A reply that is no verdict. `kind`: unparsable or out_of_range."""

    def __init__(self, kind: str, reply: str):
        super().__init__(f"{kind}: {shorten(reply)}")
        self.kind = kind


@dataclass(frozen=True)
class Prompt:
    """One prompt file; `low` and `high` end its scale."""

    name: str
    text: str
    reply: str
    low: int
    high: int

    @property
    def sha256(self) -> str:
        """Of the text and of how it is read."""
        return hashlib.sha256(repr((self.text, self.reply, self.low, self.high)).encode()).hexdigest()

    def messages(self, fields: dict[str, str]) -> list[dict]:
        """What is sent. Every field is enclosed between lines that it cannot write: their code is made from all fields."""
        mark, tries = "", 0
        while not mark or any(mark in text for text in fields.values()):
            digest = hashlib.sha256(json.dumps([tries, sorted(fields.items())]).encode()).hexdigest()
            mark, tries = f"text-{digest[:16]}", tries + 1
        enclosed = {name: f"<{mark}>\n{text}\n</{mark}>" for name, text in fields.items()} | {"mark": mark}
        # in one pass: a field that holds {answer} stays as it is
        return [{"role": "user", "content": _PLACE.sub(lambda place: enclosed[place[1]], self.text)}]

    def schema(self) -> dict:
        """JSON schema of the reply. The reasons come first, so that the verdict can follow from them."""
        score = {"type": "integer", "minimum": self.low, "maximum": self.high}
        if self.reply == INTEGER:
            return score
        name, verdict = ("score", score) if self.reply == SCORE else ("winner", {"type": "string", "enum": list(CHOICES)})
        return {
            "type": "object",
            "properties": {"reasons": {"type": "string"}, name: verdict},
            "required": ["reasons", name],
            "additionalProperties": False,
        }

    def read(self, reply: str, sent: str = "") -> tuple[int | str, str]:
        """Verdict and reasons.

        The whole reply should be the verdict, in a fence or not. An object with the keys asked for may also begin or end a
        reply of more words. It must be the only one there. It must not stand in what the judge was sent, for a verdict that is
        quoted from an answer is none.

        Args:
            reply: what the judge wrote, thinking left out.
            sent: what it was sent.

        Raises:
            BadVerdict: if it is not as asked.
        """
        text, name = reply.strip(), {SCORE: "score", WINNER: "winner"}.get(self.reply)
        fenced = _FENCED.fullmatch(text)
        try:
            verdict = json.loads(fenced[2] if fenced else text, object_pairs_hook=_once, parse_constant=_refuse)
        except (ValueError, RecursionError):
            verdict = _beside_words(text, sent, {"reasons", name}) if name else None
        if self.reply == INTEGER:
            return self._score(verdict, reply), ""
        if not isinstance(verdict, dict) or verdict.keys() != {"reasons", name} or not isinstance(verdict["reasons"], str):
            raise BadVerdict("unparsable", reply)
        if name == "score":
            return self._score(verdict["score"], reply), verdict["reasons"]
        if verdict["winner"] not in CHOICES:
            raise BadVerdict("out_of_range" if isinstance(verdict["winner"], str) else "unparsable", reply)
        return verdict["winner"], verdict["reasons"]

    def _score(self, score: object, reply: str) -> int:
        if type(score) not in (int, float) or score != score // 1:
            raise BadVerdict("unparsable", reply)
        if not self.low <= score <= self.high:
            raise BadVerdict("out_of_range", reply)
        return int(score)


def _beside_words(text: str, sent: str, keys: set[str]) -> dict | None:
    """The verdict that begins or ends a text. None where there is none or more than one, or where it stands in `sent`."""
    objects = [(start, end, verdict) for start, end, verdict in _objects(text) if verdict.keys() == keys]
    if len(objects) != 1:
        return None
    start, end, verdict = objects[0]
    at_an_end = _AROUND.fullmatch(text[:start]) or _AROUND.fullmatch(text[end:])
    return verdict if at_an_end and verdict not in [quoted for _, _, quoted in _objects(sent)] else None


def _objects(text: str) -> Iterator[tuple[int, int, dict]]:
    """The JSON objects in a text, none inside another, each with its first place and the one after its last."""
    decoder, place = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse), text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
            yield place, end, value
        except (ValueError, RecursionError):
            end = place + 1
        place = text.find("{", end)


def _once(pairs: list[tuple[str, object]]) -> dict:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def _refuse(constant: str):
    raise ValueError(f"{constant} is no JSON")


def load(name: str, replies: Sequence[str], folder: Path = FOLDER) -> Prompt:
    """The prompt file of that name, which must ask for one of `replies`.

    Raises:
        StageError: naming the files there are, or what is wrong with this one.
    """
    path = folder / f"{name}.txt"
    there = sorted(file.stem for file in folder.glob("*.txt"))
    if name not in there:
        raise StageError(f"prompt {name!r}", "no such file", f"one of {', '.join(there)} in {folder}", "edit params.yaml")
    head, _, text = path.read_text(encoding="utf-8").partition("\n---\n")
    head_fields = dict(re.findall(r"(?m)^(reply|scale): (.*)$", head))
    reply, scale = head_fields.get("reply"), re.fullmatch(r"(-?\d+) (-?\d+)", head_fields.get("scale", "0 0"))
    if reply not in replies or not scale or (reply != WINNER and int(scale[1]) >= int(scale[2])):
        expected = f"a reply of {' or '.join(replies)}, and for scores a scale like 0 100"
        raise StageError(
            path, f"reply {reply!r}, scale {head_fields.get('scale')!r}", expected, "name another prompt, or edit its head"
        )
    places = set(_PLACE.findall(text)) - {"mark"}
    if places != FIELDS[reply]:
        raise StageError(path, f"places for {', '.join(sorted(places))}", f"for {', '.join(sorted(FIELDS[reply]))}", "edit it")
    return Prompt(name, text.strip(), reply, int(scale[1]), int(scale[2]))
