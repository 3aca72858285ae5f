"""Builds sets of answers that people marked from their public sources, for bench/judge_people.py and bench/fit_judge.py.

    python bench/judged_sets.py OUT [--sets liveqa mohler …] [--copies FOLDER]

Each source is one file at one commit of a public repository, checked by its sha256. `--copies` reads FOLDER/<path> of a source
instead of the network. Written are OUT/<set>.jsonl with `set, group` (the question), `question, reference, answer, human` (the
mark, 0 to 1) and `right`. White space is folded; answers to a question that read the same are one row, marks averaged.

The sets are not part of this repository: most of their authors state no licence for them. liveqa, mediqa: TREC 2017 LiveQA-Med,
MEDIQA 2019. mohler: Mohler et al. 2011. beetle, scientsbank: SemEval-2013 task 7. evouna: EVOUNA-NQ. truthful, truthful_hand:
TruthfulQA. pandalm: PandaLM's test set, with references from self-instruct, whose authors ask that nothing be trained on them.
"""

import argparse
import io
import json
import re
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lxml import etree

from bench.judged_sources import Sources, fold, parsed
from stages.common.files import write_rows

UNREADABLE = -2  # a mark of liveqa
AT_LEAST = 3  # marks of 1 to 4 that count as right
PASSES = 4  # the same of 0 to 5
ANSWERS = ("Correct Answers", "Incorrect Answers")
MODELS = ("fid", "gpt35", "chatgpt", "gpt4", "newbing")
Row = dict  # question, reference, answer, human, right


def liveqa_questions(sources: Sources) -> dict[str, tuple[str, str]]:
    """Question and first reference by number."""
    questions = {}
    for question in parsed(sources["liveqa questions"]).iter("NLM-QUESTION"):
        answers = [fold(answer.text or "") for answer in question.iter("ANSWER")]
        if any(answers):
            reference = next(answer for answer in answers if answer)
            paraphrase = fold(question.findtext("NIST-PARAPHRASE") or "")
            questions[question.get("qid").removeprefix("TQ")] = paraphrase, reference
    return questions


def liveqa(sources: Sources) -> Iterator[Row]:
    """Answers of systems, marked 1 to 4 by NIST's assessors."""
    questions = liveqa_questions(sources)
    for line in sources["liveqa marks"].decode(errors="replace").splitlines():
        number, mark, *answer = line.split(maxsplit=2)
        if number in questions and int(mark) != UNREADABLE and answer:
            question, reference = questions[number]
            yield of_four(f"liveqa:{number}", question, reference, answer[0], int(mark))


def mediqa(sources: Sources) -> Iterator[Row]:
    """Passages that CHiQA retrieved for the same questions, rated on the same scale."""
    questions = liveqa_questions(sources)
    for question in parsed(sources["mediqa"]).iter("Question"):
        number = question.get("QID")
        for answer in question.iter("Answer") if number in questions else ():
            text = fold(answer.findtext("AnswerText") or "")
            yield of_four(f"liveqa:{number}", *questions[number], text, int(answer.get("ReferenceScore")))


def of_four(group: str, question: str, reference: str, answer: str, mark: int) -> Row:
    """A row of the scale from 1 (incorrect) to 4 (excellent)."""
    human, right = (mark - 1) / 3, mark >= AT_LEAST
    return {"group": group, "question": question, "reference": reference, "answer": answer, "human": human, "right": right}


def mohler(sources: Sources) -> Iterator[Row]:
    """Students' answers, the mean of two graders from 0 to 5."""
    for row in sources.table("mohler"):
        mark = float(row["score_avg"])
        texts = {"question": row["question"], "reference": row["desired_answer"], "answer": row["student_answer"]}
        yield {"group": f"mohler:{row['id']}", **texts, "human": mark / 5, "right": mark >= PASSES}


def _semeval(sources: Sources, folder: str, name: str) -> Iterator[Row]:
    with zipfile.ZipFile(io.BytesIO(sources["semeval"])) as archive:
        wanted = re.compile(rf"test/3way/{folder}/test-unseen-(answers|questions)/.*\.xml")
        for path in sorted(path for path in archive.namelist() if wanted.fullmatch(path)):
            yield from _question(parsed(archive.read(path)), name)


def _question(question: etree._Element, name: str) -> Iterator[Row]:
    references = list(question.iter("referenceAnswer"))
    best = next((reference for reference in references if reference.get("category") == "BEST"), references[0])
    for answer in question.iter("studentAnswer"):
        right = answer.get("accuracy") == "correct"
        texts = {"question": question.findtext("questionText"), "reference": best.text, "answer": answer.text or ""}
        yield {"group": f"{name}:{question.get('id')}", **texts, "human": float(right), "right": right}


def beetle(sources: Sources) -> Iterator[Row]:
    """Students' answers on circuits: correct, or not."""
    return _semeval(sources, "beetle", "beetle")


def scientsbank(sources: Sources) -> Iterator[Row]:
    """Pupils' answers on science: correct, or not."""
    return _semeval(sources, "sciEntsBank", "scientsbank")


def evouna(sources: Sources) -> Iterator[Row]:
    """Answers of five models to open questions, judged true or false."""
    for row in json.loads(sources["evouna"]):
        for model in MODELS:
            right = row[f"judge_{model}"]
            if not row["improper"] and right is not None and row[f"answer_{model}"]:
                texts = {"question": row["question"], "reference": row["golden_answer"].split("/")[0]}
                answer = row[f"answer_{model}"]
                yield {"group": f"evouna:{row['question']}", **texts, "answer": answer, "human": float(right), "right": right}


def _labels(rows: list[dict], asks: str) -> dict[tuple[str, str], bool]:
    """Question and answer of rows `Q: …\\nA: …\\n<asks>:` and what was said of them."""
    pattern = re.compile(rf"Q: (.*?)\nA: (.*)\n{asks}:", re.DOTALL)
    labels = {}
    for row in rows:
        if match := pattern.match(row["prompt"]):
            labels[fold(match[1]), fold(match[2])] = row["completion"].strip() == "yes"
    return labels


def truthful(sources: Sources) -> Iterator[Row]:
    """Models' informative answers, true or false; those that repeat a reference are left out, and questions of one label."""
    informative = _labels(sources.lines("information"), "Helpful")
    references = {fold(row["Question"]): row for row in sources.table("truthful")}
    by_question: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for (question, answer), right in _labels(sources.lines("truth"), "True").items():
        row = references.get(question)
        if row and informative.get((question, answer)) and answer.rstrip(".") not in _listed(row, *ANSWERS):
            by_question[question].append((answer, right))
    for question, answers in by_question.items():
        if len({right for _, right in answers}) == 2:
            for answer, right in answers:
                yield _truthful(references[question], answer, right)


def truthful_hand(sources: Sources) -> Iterator[Row]:
    """Right and fluent wrong answers that TruthfulQA's authors wrote."""
    for row in sources.table("truthful"):
        best = fold(row["Best Answer"]).rstrip(".")
        for column, right in zip(ANSWERS, (True, False), strict=True):
            for answer in _listed(row, column):
                if answer != best:
                    yield _truthful(row, answer, right)


def _listed(row: dict, *columns: str) -> list[str]:
    return [fold(part).rstrip(".") for column in columns for part in row[column].split(";") if part.strip()]


def _truthful(row: dict, answer: str, right: bool) -> Row:
    texts = {"question": row["Question"], "reference": row["Best Answer"], "answer": answer}
    return {"group": f"truthful:{fold(row['Question'])}", **texts, "human": float(right), "right": right}


def pandalm(sources: Sources) -> Iterator[Row]:
    """Answers of tuned models: the share of comparisons, by three annotators, that each won; a tie is half."""
    references = {}
    for row in sources.lines("self-instruct"):
        for instance in row["instances"]:
            references[fold(row["instruction"]), fold(instance["input"])] = instance["output"]
    won: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in json.loads(sources["pandalm"]):
        task = fold(row["instruction"]), fold(str(row["input"]))
        for place in (1, 2):
            votes = [row[f"annotator{number}"] for number in (1, 2, 3)]
            won[*task, fold(str(row[f"response{place}"]))] += [0.5 if vote == 0 else float(vote == place) for vote in votes]
    for (instruction, inputs, answer), votes in won.items():
        if (instruction, inputs) in references and answer:
            question = f"{instruction}\n\n{inputs}" if inputs else instruction
            texts = {"question": question, "reference": references[instruction, inputs], "answer": answer}
            yield {"group": f"pandalm:{question}", **texts, "human": sum(votes) / len(votes), "right": None}


SETS = {
    "liveqa": liveqa,
    "mediqa": mediqa,
    "mohler": mohler,
    "beetle": beetle,
    "scientsbank": scientsbank,
    "evouna": evouna,
    "truthful": truthful,
    "truthful_hand": truthful_hand,
    "pandalm": pandalm,
}


def merged(name: str, rows: Iterator[Row]) -> list[Row]:
    """Folded rows of one set; answers to a question that read the same are one, their marks averaged."""
    by_answer: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        row |= {column: fold(row[column] or "") for column in ("question", "reference", "answer")}
        if row["answer"] and row["reference"]:
            by_answer[row["group"], row["answer"]].append(row)
    rows_of_set = []
    for same in by_answer.values():
        human = sum(row["human"] for row in same) / len(same)
        rights = [row["right"] for row in same if row["right"] is not None]
        rows_of_set.append(
            {"set": name, **same[0], "human": human, "right": sum(rights) * 2 >= len(rights) if rights else None}
        )
    return rows_of_set


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--copies", type=Path, help="folder with the sources, instead of the network")
    options = parser.parse_args(arguments)
    sources = Sources(options.copies)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        rows = merged(name, SETS[name](sources))
        write_rows(options.out / f"{name}.jsonl", rows)
        print(f"{name}: {len(rows)} answers to {len({row['group'] for row in rows})} questions")


if __name__ == "__main__":
    main()
