"""MedQuAD's XML (Ben Abacha and Demner-Fushman, BMC Bioinformatics 2019): one document, several question-answer pairs."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from stages.sources import SourceFile
from stages.sources.xml_rows import load


def read_medquad(file: SourceFile, params: None = None) -> Iterator[dict]:
    """Rows `question, answer, qtype, focus, document`; a pair without an answer yields an empty one."""
    root = load(file)
    focus = " ".join((root.findtext("Focus") or "").split())
    for pair in root.iter("QAPair"):
        question = pair.find("Question")
        yield {
            "question": _text(question),
            "answer": _text(pair.find("Answer")),
            "qtype": question.get("qtype", "") if question is not None else "",
            "focus": focus,
            "document": root.get("id", PurePosixPath(file.name).stem),
        }


def _text(element) -> str:
    """All text below an element, white space folded; "" for none."""
    return " ".join("".join(element.itertext()).split()) if element is not None else ""
