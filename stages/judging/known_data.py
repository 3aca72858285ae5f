"""How far the embedded judge agrees with people on data of this kind, where that was ever measured.

It was measured on English prose: answers to questions. `weights/content.json` holds the table: for each set of answers,
Spearman's correlation of scores and people's marks, by weights that were fitted without that set. On data of another kind
(another language, code, verse, lists) nothing was measured. The agreement is `unknown` there.
"""

import re
from statistics import median

import numpy as np

from stages.judging.embedded import shipped
from stages.judging.form import listed
from stages.judging.scoring import UNKNOWN
from stages.judging.signals import STOP_WORDS

# words of the expected answer (median), and the sets of that length
LENGTHS = {
    "a few words": (0, 5, ("evouna",)),
    "a sentence": (5, 40, ("mohler", "beetle", "scientsbank", "truthful", "truthful_hand", "pandalm")),
    "a passage": (40, 250, ("liveqa", "mediqa")),
}
ENGLISH = 0.2  # share of words that any English text has
_CODE = re.compile(r"[{};=<>]|\(\)|\bdef \b|\breturn\b|^\s{4}", re.MULTILINE)


def kind(expected: list[str], questions: list[str]) -> str:
    """The kind of a data set's expected answers: a key of LENGTHS, or the reason why the agreement on them is unknown."""
    prose = " ".join(questions + expected).casefold()
    tokens = re.findall(r"[^\W\d_]+", prose)
    if not tokens or sum(word in STOP_WORDS for word in tokens) / len(tokens) < ENGLISH:
        return "no English prose"
    if np.mean([len(_CODE.findall(text)) > 2 for text in expected]) > 0.5:
        return "code"
    if np.mean([_verse(text) for text in expected]) > 0.5:
        return "verse"
    if np.mean([listed(text) for text in expected]) > 0.5:
        return "lists"
    length = median(len(text.split()) for text in expected)
    fitting = [name for name, (least, most, _) in LENGTHS.items() if least < length <= most]
    return fitting[0] if fitting else "longer than any that was measured"


def _verse(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) >= 4 and max(len(line.split()) for line in lines) <= 12


def known_agreement(expected: list[str], questions: list[str], encoder_as_fitted: bool) -> dict:
    """The rank agreement to expect, with `low` and `high` over the sets of this kind; or `unknown` and why."""
    if not encoder_as_fitted:
        return {"spearman": UNKNOWN, "why": "another encoder than the weights were fitted with"}
    answer_kind = kind(expected, questions)
    if answer_kind not in LENGTHS:
        return {"spearman": UNKNOWN, "why": answer_kind}
    table = shipped()["held_out_spearman"]
    values = {name: table[name]["value"] for name in LENGTHS[answer_kind][2] if name in table}
    return {
        "spearman": float(np.mean(list(values.values()))),
        "low": min(values.values()),
        "high": max(values.values()),
        "expected_answers": answer_kind,
        "sets": ", ".join(sorted(values)),
    }
