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
import csv
import hashlib
import io
import json
import re
import sys
import urllib.request
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lxml import etree

from stages.common.files import write_rows

RAW = "https://raw.githubusercontent.com"
LIVEQA = "abachaa/LiveQA_MedicalTask_TREC2017/3f5a42ccbaa0b8ff1c665a6dc23785740ab0f09f/TestDataset"
TRUTHFUL = "benedictflorance/truthfulqa_experiments/6fdfd38288e86296582a584694df5cf43d1f634a/datasets"
MOHLER = (
    "gsasikiran/Comparative-Evaluation-of-Pretrained-Transfer-Learning-Models-on-ASAG/7ada1c2d2e312e7c11cb5bb895c3f8630dae007d"
)
SOURCES = {  # path below RAW, and sha256
    "liveqa questions": (
        f"{LIVEQA}/TREC-2017-LiveQA-Medical-Test-Questions-w-summaries.xml",
        "f6384fcf03e9b1bd0d9a15f6ea1a1aafc9491082e63fef0922ae2d6bc451805b",
    ),
    "liveqa marks": (
        f"{LIVEQA}/TREC-2017-LiveQA-Medical-qrels-NIST-692.txt",
        "0733ace5409474afb0481805affd73da4b6b10b659c5838582d3dd17a1b44b7a",
    ),
    "mediqa": (
        "abachaa/MEDIQA2019/ae5d3826d6c841923b9db831159fef0f1b893593/MEDIQA_Task3_QA/"
        "MEDIQA2019-Task3-QA-TrainingSet1-LiveQAMed.xml",
        "351d60adbaa6c33f2d26e9dbe511117dc43bcd6a4074095daecc34d179f2c0f2",
    ),
    "mohler": (
        f"{MOHLER}/comparative_evaluation_on_mohler_dataset/dataset/mohler_dataset_edited.csv",
        "6a5b1656bc942559f3610e75b201e1e7be1a82e508590288c4ac13a4d35d3943",
    ),
    "semeval": (
        "myrosia/semeval-2013-task7/5157c69f914e8c581045c03e98f96398d40a91b8/semeval-3way.zip",
        "783223ff624a70a5e6435fd49798b88d87d89d362d943695003a3e9f4060dbff",
    ),
    "evouna": (
        "wangcunxiang/QA-Eval/90007d39d4ef0720984f80d56a586c66d6241e70/EVOUNA/NQ.json",
        "617c7fd95fe4177f39e2304c943cc0abbdbf539bc8a4fb61aeaef255bed503a1",
    ),
    "truth": (f"{TRUTHFUL}/finetune_truth.jsonl", "8e81d9f0dc592e26fb0d37106126e489d39ac75099828b1f2c8142f3ede60c6b"),
    "information": (f"{TRUTHFUL}/finetune_info.jsonl", "b8e00e379f3aefcdb01b93886e67e0991ca90b5fdd389c0be4be2f5f00c07ec3"),
    "truthful": (f"{TRUTHFUL}/TruthfulQA.csv", "99d6ae7755e3b435eade956068c9de7c0c474770344237aeb66b56519ba4b697"),
    "pandalm": (
        "WeOpenML/PandaLM/3871806e72b4832f815ecafd24d3503c73403f48/data/testset-v1.json",
        "cc154f9067c7382d7ea86f8f246511a5e1ac87e1fddd845c5938d789505b07a4",
    ),
    "self-instruct": (
        "yizhongw/self-instruct/0b26ccaa415992100fa32df62d41b994cf928e23/human_eval/user_oriented_instructions.jsonl",
        "81d60a117db495cecedecd9193504fd07c5b5a42f6699ef6b0f9da10fc22f42e",
    ),
}
UNREADABLE = -2  # a mark of liveqa
AT_LEAST = 3  # marks of 1 to 4 that count as right
PASSES = 4  # the same of 0 to 5
ANSWERS = ("Correct Answers", "Incorrect Answers")
MODELS = ("fid", "gpt35", "chatgpt", "gpt4", "newbing")
Row = dict  # question, reference, answer, human, right


def fold(text: str) -> str:
    """The text with single spaces."""
    return " ".join(text.split())


def parsed(content: bytes) -> etree._Element:
    """XML without entities of its own and without network."""
    return etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))


class Sources:
    """The files, from the network or from copies."""

    def __init__(self, copies: Path | None):
        self.copies = copies

    def __getitem__(self, name: str) -> bytes:
        path, expected = SOURCES[name]
        if self.copies:
            content = (self.copies / path).read_bytes()
        else:
            with urllib.request.urlopen(f"{RAW}/{path}", timeout=60) as reply:
                content = reply.read()
        if (sha256 := hashlib.sha256(content).hexdigest()) != expected:
            raise SystemExit(
                f"{path}: sha256 {sha256}, expected {expected}: another file than the one this script was written for"
            )
        return content

    def lines(self, name: str) -> list[dict]:
        """The rows of a JSONL file."""
        return [json.loads(line) for line in self[name].decode().splitlines() if line.strip()]

    def table(self, name: str) -> list[dict]:
        """The rows of a CSV file."""
        return list(csv.DictReader(io.StringIO(self[name].decode("utf-8-sig"), newline="")))


def liveqa_questions(sources: Sources) -> dict[str, tuple[str, str]]:
    """Question and first reference by number."""
    asked_by_number = {}
    for question in parsed(sources["liveqa questions"]).iter("NLM-QUESTION"):
        answers = [fold(answer.text or "") for answer in question.iter("ANSWER")]
        if any(answers):
            reference = next(answer for answer in answers if answer)
            asked_by_number[question.get("qid").removeprefix("TQ")] = (
                fold(question.findtext("NIST-PARAPHRASE") or ""),
                reference,
            )
    return asked_by_number


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
