"""What is no number is told where it is seen first: never an answer of token 0, a label by chance or a checkpoint."""

import pytest
import torch

from stages.common.errors import StageError
from stages.common.progress import Progress
from stages.common.schema_models import Classify
from stages.decoding.causal import batch_answers, likelihood
from stages.decoding.classifier.classifying import classify
from stages.models import directory
from stages.training import loop
from tests import tiny, trained


def broken(architecture: str = "llama"):
    """A model one of whose weights is no number."""
    model = tiny.model(architecture)
    with torch.no_grad():
        next(parameter for name, parameter in model.named_parameters() if "up_proj" in name or "c_fc" in name)[0] = torch.nan
    return model


@pytest.mark.parametrize("temperature", [0, 0.7])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_no_answer_is_written_by_scores_that_are_no_numbers(architecture, temperature):
    prompts = [example.prompt for example in tiny.examples(3)]
    with pytest.raises(StageError, match="scores that are no numbers"):
        batch_answers.answer(broken(architecture), tiny.tokenizer(), prompts, tiny.generation(temperature=temperature), [])


def test_no_likelihood_is_no_number():
    examples = tiny.examples(3)
    with pytest.raises(StageError, match=r"row#0, row#1, row#2(?s:.*)no number"):
        likelihood.require_numbers(likelihood.alone(broken(), examples), examples)


def test_no_label_is_given_by_probabilities_that_are_no_numbers(tmp_path):
    tiny.headless(tmp_path / "base", "bert")
    model = directory.load_classifier(tmp_path / "base", tiny.LABELS["labels"], 1)
    with torch.no_grad():
        model.classifier.weight[0, 0] = torch.nan
    (tmp_path / "model").mkdir()
    directory.save(tmp_path / "model", model, directory.load_tokenizer(tmp_path / "base"))
    options = Classify(task="label", batch_rows=4, precision="fp32", seed=1)
    with pytest.raises(StageError, match="probabilities that are no numbers"), Progress(2, "", "", quiet=True) as progress:
        classify(tmp_path / "model", ["un", "deux"], tiny.LABELS["labels"], options, progress)


def test_weights_that_are_no_numbers_replace_no_checkpoint(tmp_path, monkeypatch):
    tiny.base(tmp_path / "base"), tiny.formatted(tmp_path / "formatted")
    step, saved = loop.Run.step, []

    def breaks(self, *batch):
        launched = step(self, *batch)
        if self.state.step == 4:  # the step's own loss was a number
            next(self.model.parameters()).data[0] = torch.nan
        return launched

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)
    monkeypatch.setattr(loop.Run, "step", breaks)
    monkeypatch.setattr(loop.Checkpoints, "save", lambda self, state: saved.append(state["state"]["step"]))
    with pytest.raises(StageError, match=r"step 4(?s:.*)no numbers"):
        trained.run(tmp_path, tiny.training())
    assert saved == [1, 2, 3]
