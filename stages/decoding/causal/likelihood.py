"""How likely a contestant finds the expected answers, prompted in its own way.

`generate` reads them right after the prompts, while the keys and values of these are there. So no prompt is read twice.
"""

import copy
import math
import sys
import time
from dataclasses import astuple
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.common import kept
from stages.common.errors import StageError
from stages.common.rows import FormattedText
from stages.decoding import products
from stages.decoding.causal import caches
from stages.decoding.causal.whole_rows import Whole
from stages.decoding.contestants import Contestant
from stages.models import architectures, directory, runtime
from stages.models.prompting import Refusals
from stages.models.templates import Refusal
from stages.models.tokenizer_marks import Unreadable
from stages.tasks import batches, causal
from stages.tasks.batches import Example
from stages.tasks.score import Score, score

MICRO_TOKENS = 1024  # in memory at once; changes no figure
ANSWER_TOKENS = 256  # of expected answers that are read at once after their prompts; more would be of unlike lengths
NONE = Score(0.0, 0, 0)  # of an expected answer that was not read


def encoded(contestant: Contestant, rows: list[FormattedText]) -> list[Example | None]:
    """Each row's prompt and expected answer in tokens, as the contestant is shown them.

    A row is None where it has no expected answer, where the two do not fit the context, or where a mark in their texts cannot
    be read as letters.

    Raises:
        StageError: if the template refuses rows; it names them.
    """
    room = directory.context_length(contestant.folder)
    examples, refusals = [], Refusals()
    for row in rows:
        example = None
        if row.get("completion") is not None:
            shown = {**row, "messages": contestant.conversation(row["messages"])}
            try:
                example = batches.encode(shown, contestant.tokenizer, room)
            except Refusal as refusal:
                refusals.add(row["id"], refusal)
            except Unreadable:
                pass
        examples.append(None if example is None or example.cut else example)
    refusals.check(["datasets.<name>.format.system", "models.<name>.base"])
    if not any(examples) and any(row.get("completion") for row in rows):
        print(
            f"warning: {contestant.name} has no perplexity: with its prompt, no expected answer fits the {room} tokens of "
            f"{contestant.folder}",
            file=sys.stderr,
        )
    return examples


class Reading:
    """Reads the expected answers of a group of rows, once a decoder has read their prompts.

    Args:
        examples: of the rows; one that is None has the score of no tokens.

    What the decoder has read stays as it is. `scores` and `seconds` are there afterwards.
    """

    def __init__(self, decoder: caches.Growing | caches.Graphed | Whole, examples: list[Example | None]):
        self.decoder, self.examples = decoder, examples

    def __call__(self, logits: torch.Tensor) -> None:
        """Read them; `logits` [B, V] are those after the prompts."""
        start = time.perf_counter()
        # the kernel of a graph takes one token a row; other kinds of model were tried for one, and not for several
        if isinstance(self.decoder, caches.Growing) and architectures.is_tested(self.decoder.model):
            self.scores = after_prompts(self.decoder, logits, self.examples)
        else:
            self.scores = alone(self.decoder.model, self.examples)
        require_numbers(self.scores, self.examples)
        self.seconds = time.perf_counter() - start


@torch.inference_mode()
def after_prompts(decoder: caches.Growing, logits: torch.Tensor, examples: list[Example | None]) -> list[Score]:
    """A Score for each expected answer. Those of like length are read together, after the keys and values of their prompts."""
    rows = sorted((row for row, example in enumerate(examples) if example), key=lambda row: examples[row].targets)
    scores = [NONE] * len(examples)
    for answers in batches.micro_batches([examples[row].completion for row in rows], ANSWER_TOKENS, False):
        group, rows = rows[: len(answers)], rows[len(answers) :]
        losses, hits = _read(decoder, logits, torch.tensor(group, device=logits.device), answers)
        for row, loss, hit in zip(group, losses, hits, strict=True):
            scores[row] = Score(float(loss.double().sum()), examples[row].targets, int(hit.sum()))
    return scores


def _read(
    decoder: caches.Growing, logits: torch.Tensor, lines: torch.Tensor, answers: list[list[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses and hits [lines, tokens] of answers after the prompts in these lines. Both are 0 past an answer's end."""
    tokens = [torch.tensor(answer, device=logits.device) for answer in answers]
    ids = pad_sequence(tokens, batch_first=True)
    there = pad_sequence([torch.ones_like(answer) for answer in tokens], batch_first=True)
    losses, hits = torch.zeros(ids.shape, device=ids.device), torch.zeros_like(there)
    losses[:, 0], hits[:, 0] = causal.losses_and_hits(logits[lines], ids[:, 0])
    if ids.shape[1] > 1:
        cache = copy.copy(decoder.cache)
        cache.layers = [copy.copy(layer) for layer in decoder.cache.layers]
        cache.batch_select_indices(lines)
        after = decoder.model(
            input_ids=ids[:, :-1],  # nothing comes after the last token
            attention_mask=torch.cat([decoder.mask[lines], there[:, :-1]], 1),
            position_ids=decoder.positions[lines, -1:] + there[:, :-1].cumsum(1),
            past_key_values=cache,
            use_cache=True,
        )
        later = there[:, 1:].bool()
        loss, hit = causal.losses_and_hits(after.logits[later], ids[:, 1:][later])
        losses[:, 1:][later], hits[:, 1:][later] = loss, hit.long()
    return losses, hits


def alone(model: PreTrainedModel, examples: list[Example | None]) -> list[Score]:
    """A Score for each expected answer, by reading its prompt, too."""
    whole, attention = [example for example in examples if example], model.config._attn_implementation
    task = causal.task(model, MICRO_TOKENS)
    if model.device.type == "cpu":
        task, whole = causal.headed(task, whole)
    scores = iter([*score(model, whole, task)])
    model.set_attn_implementation(attention)
    return [next(scores) if example else NONE for example in examples]


def require_numbers(scores: list[Score], examples: list[Example | None]) -> None:
    """
    Raises:
        StageError: naming the rows whose expected answers have a likelihood that is no number.
    """
    pairs = zip(scores, examples, strict=True)
    if broken := [example.id for row_score, example in pairs if example and not math.isfinite(row_score.nll)]:
        fix = "set models.<name>.generate.precision to fp32; if that does not help, train again at a lower learning rate"
        rows = f"rows {', '.join(broken[:3])}"
        raise StageError(rows, "a likelihood of the expected answer that is no number", "a finite one", fix)


def check_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: list[Example | None]) -> None:
    """Check that the model has an embedding of every token.

    Raises:
        StageError: naming the row.
    """
    for example in filter(None, examples):
        runtime.check_rows(model, tokenizer, example.tokens, f"row {example.id}")


class Likelihoods:
    """Scores of expected answers where nothing is answered. Neighbours with the same weights share them, read from disk once.

    Args:
        precision: what the weights are turned to as they are loaded; auto: bf16 where the device is fast at it.
    """

    def __init__(self, precision: str = "auto"):
        self.device = runtime.device()
        self.dtype = runtime.precision(precision, self.device)
        self.folder: Path | None = None
        self.model: PreTrainedModel | None = None

    def of(self, contestant: Contestant, rows: list[FormattedText]) -> list[Score]:
        """A Score for each row's expected answer, made once for the same weights, prompts, answers, precision and code."""
        if contestant.folder != self.folder:
            self.folder, self.model = contestant.folder, None
            self.before = kept.computed("likelihood", __name__, [self.folder], MICRO_TOKENS, runtime.machine(self.dtype))
        examples = encoded(contestant, rows)
        request = [(example.prompt, example.completion) if example else None for example in examples]
        return [Score(*values) for values in self.before.get(request, lambda: self._make(contestant, examples))]

    def _make(self, contestant: Contestant, examples: list[Example | None]) -> list[tuple]:
        self.model = self.model or products.lay_out(directory.load(self.folder, dtype=self.dtype, device=self.device))
        check_tokens(self.model, contestant.tokenizer, examples)
        scores = alone(self.model, examples)
        require_numbers(scores, examples)
        return [astuple(row_score) for row_score in scores]
