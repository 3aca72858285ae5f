"""Training method `causal`: a language model learns to continue a prompt with its answer."""

from dataclasses import replace
from functools import partial

from transformers import PreTrainedTokenizerBase

from stages.common.files import read_json, read_rows
from stages.common.rows import FormattedText
from stages.common.schema_models import CausalTraining
from stages.models import architectures, prompting, runtime
from stages.tasks import batches, causal
from stages.training import memory, selection
from stages.training.causal import norms, start
from stages.training.paths import Paths
from stages.training.subject import Subject, has_dropout, set_dropout


def causal_subject(
    name: str, params: CausalTraining, tokenizer: PreTrainedTokenizerBase, paths: Paths, rows: list[FormattedText]
) -> Subject:
    """The base, prompted as the dataset is formatted.

    Test rows are read only to see whether the template refuses any. They have no say in the model, and so are no dependency of
    `train`.
    """
    prompting.adopt_template(tokenizer, read_json(paths.formatted / "prompt.json")["chat_template"])
    if (test := paths.formatted / "test").exists():
        batches.check_template(read_rows(test), tokenizer)
    model = start.load(name, paths.base, params)
    architectures.require_causal(model, paths.base)
    prompting.end_at_turns(model, tokenizer)
    model.get_input_embeddings().padding_idx = None  # else a token that is padding and end at once would not learn
    set_dropout(model, params.dropout)
    norms.combine(model)
    dtype = runtime.training_precision(params.precision, model.device)
    sparing = memory.is_dear(params)
    task = causal.task(model, memory.first(params.micro_tokens), params.packing, dtype, sparing)
    draws = has_dropout(model) or getattr(params.tune, "dropout", 0.0) > 0  # each row would draw for itself
    task = replace(task, shares_head=model.device.type == "cpu" and not draws)
    if params.shuffle_pairs:
        rows = selection.shuffled_pairs(rows, params.seed)
    return Subject(model, task, rows, partial(batches.encode_all, tokenizer=tokenizer, max_tokens=params.max_tokens), [])
