"""Every parameter with its type, its unit and its legal values: docs/parameters.md explains the file as a whole.

No number that shapes a result stands here: all are in `params.yaml`. A setting that is off unless an entry names it has its
"off" here, which never changes. So nothing here can change what a stage writes: neither this file nor schema_bases.py,
schema_sources.py, schema_data.py, schema_models.py and sections.py, which belong to it, are dependencies of any stage.
"""

import re
from typing import Annotated

from pydantic import AfterValidator

from stages.common.schema_bases import Base
from stages.common.schema_data import Format, Label, Split
from stages.common.schema_models import Answering, Judging, Train
from stages.common.schema_sources import Scrape
from stages.common.sections import Section

# Both stand in commands of dvc.yaml, which a shell reads: the directory within double quotes, the shards without.


def _quotable(path: str) -> str:
    if not path or path.startswith("-") or re.search(r'[\x00-\x1f"$`\\]', path):
        raise ValueError('a directory without " $ ` \\ or a line break in its name, and no - first: a shell reads it')
    return path


def _shards(path: str) -> str:
    if not re.fullmatch(r"train(/\d+\.jsonl)?", path):
        raise ValueError("train, or one of its files such as train/000.jsonl")
    return path


Directory = Annotated[str, AfterValidator(_quotable)]
Shards = Annotated[str, AfterValidator(_shards)]


class BaseEntry(Section):
    base: Base


class DatasetEntry(Section):
    source: Directory  # that `scrape` reads, from the repository's root
    scrape: Scrape
    label: Label
    split: Split
    format: Format


class ModelEntry(Section):
    dataset: str
    shards: Shards  # below formatted/: `train`, or one file of it such as train/000.jsonl; other rows do not concern the model
    base: str  # what training starts from: a base or an earlier round
    root: str  # the base at the start of the chain of rounds, which answers are compared with
    train: Train
    generate: Answering
    judge: Judging


class Params(Section):
    """`params.yaml` with every entry filled in from `defaults`."""

    judge_base: str  # the encoder of every embedded judge: scores of two encoders do not compare
    bases: dict[str, BaseEntry]
    datasets: dict[str, DatasetEntry]
    models: dict[str, ModelEntry]
