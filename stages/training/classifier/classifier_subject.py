"""Training method `classifier`: a model with a head learns the label of a text."""

from functools import partial

from transformers import PreTrainedTokenizerBase

from stages.common.errors import StageError
from stages.common.files import read_json
from stages.common.rows import FormattedLabel
from stages.common.schema_models import ClassifierTraining
from stages.models import architectures, directory, runtime
from stages.tasks import classifier
from stages.training import memory
from stages.training.paths import Paths
from stages.training.subject import Subject, set_dropout


def classifier_subject(
    name: str, params: ClassifierTraining, tokenizer: PreTrainedTokenizerBase, paths: Paths, rows: list[FormattedLabel]
) -> Subject:
    """The base with a head for the dataset's labels.

    Raises:
        StageError: if there is only one label: nothing can be learned from it.
    """
    labels = read_json(paths.formatted / "labels.json")["labels"]
    if len(labels) < 2:
        label = f"one label only ({', '.join(labels)})"
        raise StageError(paths.formatted / "labels.json", label, "at least two", "bring rows of another label into train")
    if len(chosen := {row["label"] for row in rows}) == 1:
        label = f"{params.rows}, {len(rows)} rows of one label only ({chosen.pop()})"
        raise StageError(f"models.{name}.train.rows", label, "rows of at least two labels", "choose other rows, or shards")
    width = memory.LEARNING if params.tune.kind == "full" else 4
    memory.require_room(f"models.{name}.train.tune", paths.base, width, runtime.device())
    model = directory.load_classifier(paths.base, labels, params.seed).to(runtime.device())
    model.get_input_embeddings().padding_idx = None  # else a token that is padding and end at once would not learn
    set_dropout(model, params.dropout)
    classifier.set_padding(model, tokenizer)
    architectures.require_mask(model, paths.base)
    encode = partial(classifier.encode_all, tokenizer=tokenizer, max_tokens=params.max_tokens, labels=labels)
    weights = classifier.class_weights(encode(rows)[0], len(labels), params.class_weights)
    task = classifier.Classifier(memory.first(params.micro_tokens), tokenizer.pad_token_id, weights)
    return Subject(model, task, rows, encode, labels)
