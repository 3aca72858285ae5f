"""Figures of a task itself, beside those that any text has. `judge.measures` names them.

`parts` reads an answer as a list of names (Jurafsky and Martin, Speech and Language Processing, on set precision and recall):

| name | what | sums of a row |
|---|---|---|
| parts_f1, parts_precision, parts_recall | of names, over all rows (micro) | right, answered, expected, 1 |
| parts_f1_per_review | F1 of each row, averaged | F1, 1 |
| count_error | how far the number of names is off, averaged | names, 1 |
| unreadable | share of answers that broke off before their end | 0 or 1, 1 |

Where no name is expected and none answered, F1 is 1.

`limerick` looks at the form, by the CMU Pronouncing Dictionary. A line's rhyme is what its last word has from the last stressed
vowel on, in any of its pronunciations. How strong the stress is does not matter (light, dynamite).

| name | what | sums of a row |
|---|---|---|
| five_lines | share of answers of five lines | 0 or 1, 1 |
| rhyme | share of answers of five lines that rhyme AABBA | 0 or 1, 1 |
| rhymed_pairs | share of the pairs of lines 1 and 2, 3 and 4 that rhyme, in answers of any length | 0 to 2, 2 |
| names_subject | share of answers that hold the rarest word which question and expected answer share | 0 or 1, 1 |
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from stages.common.rows import TextAnswer, TextAnswers
from stages.judging.controls import question
from stages.judging.intervals import mean, with_count
from stages.judging.metrics import Figure
from stages.tasks.name_lists import NOTHING, names

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def parts(expected: list[str], answers: list[str], whole: list[bool]) -> dict[str, Figure]:
    """Figures of lists of names; `whole` says which answers came to their end."""
    sums, own, counts = [], [], []
    for expected_names, answer_names in zip(map(names, expected), map(names, answers), strict=True):
        right = len({*expected_names} & {*answer_names})
        sums.append([right, len(answer_names), len(expected_names), 1])
        own.append(2 * right / (len(answer_names) + len(expected_names)) if answer_names or expected_names else 1.0)
        counts.append(abs(len(answer_names) - len(expected_names)))
    table = np.array(sums, float)

    def f1(sums: np.ndarray) -> np.ndarray:
        named = sums[..., 1] + sums[..., 2]
        return np.where(named > 0, 2 * sums[..., 0] / np.maximum(named, 1), 1.0)

    def precision(sums: np.ndarray) -> np.ndarray:
        return sums[..., 0] / np.maximum(sums[..., 1], 1)

    def recall(sums: np.ndarray) -> np.ndarray:
        return sums[..., 0] / np.maximum(sums[..., 2], 1)

    return {
        "parts_f1": (table, f1),
        "parts_precision": (table, precision),
        "parts_recall": (table, recall),
        "parts_f1_per_review": (with_count(own), mean),
        "count_error": (with_count(counts), mean),
        "unreadable": (with_count([not ended for ended in whole]), mean),
    }


def best_constant(training: Iterable[str]) -> str:
    """The list of names that has the best F1 when it is the answer to every training row.

    It holds the most frequent names, as many as help.
    """
    lists, having = 0, Counter()  # answers, and how many of them have a name
    for text in training:
        lists += 1
        having.update(names(text))
    total, right, best = having.total(), 0, (0.0, 0)
    frequent = sorted(having, key=lambda name: (-having[name], name))
    for size, name in enumerate(frequent, 1):
        right += having[name]
        best = max(best, (2 * right / (size * lists + total), -size))
    return ", ".join(frequent[: -best[1]]) or NOTHING


def rhymes(first: str, second: str) -> bool:
    """Whether two lines end in different words that rhyme."""
    import pronouncing

    ends = [_WORD.findall(line.lower().replace("’", "'"))[-1:] for line in (first, second)]
    if not all(ends) or ends[0] == ends[1]:
        return False
    parts = [{pronouncing.rhyming_part(phones) for phones in pronouncing.phones_for_word(word)} for (word,) in ends]
    first, second = ({re.sub(r"\d", "", part) for part in line_parts} for line_parts in parts)
    return bool(first & second)


def rhymes_as_limerick(text: str) -> bool:
    """Five lines, of which the first, second and fifth rhyme, and the third and fourth."""
    lines = text.strip().splitlines()
    return len(lines) == 5 and all(rhymes(lines[a], lines[b]) for a, b in ((0, 1), (0, 4), (1, 4), (2, 3)))


def rhymed_pairs(text: str) -> int:
    """How many of two pairs of lines rhyme: 1 and 2, 3 and 4. A pair without its second line does not."""
    lines = text.strip().splitlines()
    return sum(len(lines) > b and rhymes(lines[a], lines[b]) for a, b in ((0, 1), (2, 3)))


def limerick(questions: list[str], expected: list[str], answers: list[str], training: Iterable[str]) -> dict[str, Figure]:
    """Figures of limericks. The training answers say how rare a word is."""
    common = Counter(word for text in training for word in {*_WORD.findall(text.lower())})
    named = []
    for asked, expected_answer, answer in zip(questions, expected, answers, strict=True):
        shared = {*_WORD.findall(asked.lower())} & {*_WORD.findall(expected_answer.lower())}
        subject = min(shared, key=lambda word: (common[word], word), default="")
        named.append(subject in {*_WORD.findall(answer.lower())} if subject else True)
    return {
        "five_lines": (with_count([len(text.strip().splitlines()) == 5 for text in answers]), mean),
        "rhyme": (with_count([rhymes_as_limerick(text) for text in answers]), mean),
        "rhymed_pairs": (np.array([[rhymed_pairs(text), 2] for text in answers], float), mean),
        "names_subject": (with_count(named), mean),
    }


def _of_lists(rows: list[TextAnswers], answers: list[TextAnswer], _: Iterable[str]) -> dict[str, Figure]:
    expected, texts = [row["expected"] for row in rows], [answer["text"] for answer in answers]
    return parts(expected, texts, [answer["finish"] == "stop" for answer in answers])


def _of_limericks(rows: list[TextAnswers], answers: list[TextAnswer], training: Iterable[str]) -> dict[str, Figure]:
    expected, texts = [row["expected"] for row in rows], [answer["text"] for answer in answers]
    return limerick([question(row) for row in rows], expected, texts, training)


# by its name in `judge.measures`: a function of the test rows, one answer each, and the training rows' expected answers
MEASURES: dict[str, Callable[..., dict[str, Figure]]] = {"parts": _of_lists, "limerick": _of_limericks}


def task_figures(measures: list[str], rows: list[dict], answers: list[dict], training: Iterable[str]) -> dict[str, Figure]:
    """What the task itself asks of answers (`text` and `finish`)."""
    chosen = [measure for name, measure in MEASURES.items() if name in measures]
    return {name: figure for measure in chosen for name, figure in measure(rows, answers, training).items()}


def without_model(measures: list[str], rows: list[dict], training: Iterable[str]) -> dict[str, dict[str, Figure]]:
    """Figures of contestants that need no model.

    `constant` is the one answer that does best on the training rows. `labeller` is the labelling program that wrote the
    training rows; it is there where people labelled the test rows.
    """
    if "parts" not in measures:
        return {}
    texts_of = {"constant": [best_constant(training)] * len(rows)}
    if all("weak" in row for row in rows):
        texts_of["labeller"] = [row["weak"] for row in rows]
    answers_of = {contestant: [{"text": text, "finish": "stop"} for text in texts] for contestant, texts in texts_of.items()}
    return {contestant: task_figures(measures, rows, answers, training) for contestant, answers in answers_of.items()}
