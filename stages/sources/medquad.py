"""MedQuAD's XML (Ben Abacha and Demner-Fushman, BMC Bioinformatics 2019): one document, several question-answer pairs."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from lxml import etree

from stages.common.errors import StageError
from stages.sources import SourceFile


def read_medquad(file: SourceFile, params: None = None) -> Iterator[dict]:
    """Rows `question, answer, qtype, focus, document`; a pair without an answer yields an empty one.

    Entities are not resolved, DTDs and the network are not loaded and huge trees are refused, so that an XML bomb or an
    external entity is an error. The file's `encoding` plays no part: XML declares its own.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.parse(str(file.path), parser).getroot()
    except etree.XMLSyntaxError as error:
        raise StageError(
            f"{file.place} line {error.lineno}", f"broken XML: {error.msg}", "a MedQuAD document", "edit the file"
        ) from None
    except OSError as error:  # bytes that are not in the declared encoding, among others
        raise StageError(
            file.place, str(error), "XML in the encoding that it declares", "edit the file or its declaration"
        ) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise StageError(
            file.place,
            "a document type definition",
            "plain XML: definitions can hide entity bombs",
            "remove the <!DOCTYPE …> from the file",
        )
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
