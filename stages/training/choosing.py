"""Which state of a training is kept: the one of lowest loss on the validation rows, or the best by the task's own figure.

| `choose_by` | what is measured | method |
|---|---|---|
| loss | nats a target, as in training | all |
| accuracy | share of texts labelled right | classifier |
| macro_f1 | F1 of each label that the validation rows have, averaged | classifier |
| chrf | corpus chrF of the answers that the model writes | causal |
| parts_f1 | F1 of the names in these answers, over all rows | causal |

The loss is measured in any case. Of two states with the same figure the one of lower loss is better. The embedded judge is no
choice: training would hang on its code and encoder, so that each change of the judge would train every model again, and what
chose a state would then judge it.
"""

from collections.abc import Callable

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.common.errors import StageError
from stages.common.schema_models import LocalTraining
from stages.common.tables import entry

LOSS = "loss"
Figure = Callable[[PreTrainedModel], float]  # of a model as it stands; more is better

FIGURES = {  # each takes the validation examples, the tokenizer, the stop strings and the parameters, and gives a Figure
    "accuracy": "stages.training.classifier.figures:accuracy",
    "macro_f1": "stages.training.classifier.figures:macro_f1",
    "chrf": "stages.training.causal.figures:chrf",
    "parts_f1": "stages.training.causal.figures:parts_f1",
}


def figure(
    parameter: str, validation: list, tokenizer: PreTrainedTokenizerBase, stop: list[str], params: LocalTraining
) -> Figure | None:
    """How a state is measured, beside its loss; None where the loss alone decides.

    Args:
        parameter: its path in params.yaml, for messages.

    Raises:
        StageError: if there is no validation row to measure it on.
    """
    if params.choose_by == LOSS:
        return None
    if not validation:
        fix = "raise datasets.<name>.split.validation, or set it to loss"
        raise StageError(parameter, f"{params.choose_by} without a validation row", "at least one", fix)
    return entry(FIGURES, params.choose_by)(validation, tokenizer, stop, params)


def rank(measured: dict[str, float], choose_by: str) -> list[float]:
    """What states are compared by: the greater is the better."""
    loss = -measured["validation_loss"]
    return [loss] if choose_by == LOSS else [measured[f"validation_{choose_by}"], loss]
