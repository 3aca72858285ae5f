"""The public files that bench/judged_sets.py is made of: each at one commit of a public repository, checked by its sha256."""

import csv
import hashlib
import io
import json
import urllib.request
from pathlib import Path

from lxml import etree

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
