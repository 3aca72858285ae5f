"""Answers of a model on this machine: batched by length, cached keys and values, finished rows leave early."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.common.errors import StageError
from stages.common.schema_models import Generate
from stages.common.text_keys import until
from stages.decoding.answers import Answer
from stages.decoding.causal import caches, whole_rows
from stages.decoding.causal.sampling import Chooser, random_numbers
from stages.models import runtime
from stages.models.prompting import end_tokens
from stages.models.templates import turn


def groups(prompts: list[list[int]], batch_rows: int, longest: int) -> list[list[int]]:
    """Which prompts are answered together, by their places: like lengths, shortest first.

    Prompts of no token, or of more than `longest`, are in no group.
    """
    fitting = [i for i in sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i)) if 0 < len(prompts[i]) <= longest]
    return [fitting[start : start + batch_rows] for start in range(0, len(fitting), batch_rows)]


@dataclass
class _Writing:
    """The answers of a group as they are written, a column of tokens at a time.

    `lead` is what the template writes before every answer. It is learned, but is no part of the answer.
    """

    tokenizer: PreTrainedTokenizerBase
    ends: set[int]
    stop: list[str]
    lead: str
    most: int
    written: list[list[int]]
    finish: list[str]
    seconds: list[float]
    start: float = field(default_factory=lambda: time.perf_counter())

    def add(self, alive: list[int], tokens: list[list[int]]) -> None:
        """More tokens for each row of `alive`, up to where it ends. A row's seconds are those up to its last token."""
        now = time.perf_counter() - self.start
        for row, more in zip(alive, tokens, strict=True):
            if self.ended(row):
                continue
            written = self.written[row]
            more = more[: self.most - len(written)]
            if not self.ends.isdisjoint(more) or self._stopped(written + more):
                more = self._until_end(row, more)
            written += more
            self.seconds[row] = now

    def _until_end(self, row: int, more: list[int]) -> list[int]:
        """What of `more` belongs to the answer of a row that an end token or a stop string among them may end."""
        for count, token in enumerate(more):
            if token in self.ends:
                self.finish[row] = "stop"
                return more[:count]
            if self._stopped(self.written[row] + more[: count + 1]):
                self.finish[row] = "stop"
                return more[: count + 1]
        return more

    def _stopped(self, written: list[int]) -> bool:
        return bool(self.stop) and any(text in self.tokenizer.decode(written) for text in self.stop)

    def ended(self, row: int) -> bool:
        """Whether nothing more is to be written."""
        return self.finish[row] == "stop" or len(self.written[row]) >= self.most

    def _after_lead(self, tokens: list[int]) -> list[int]:
        """The tokens without those of the lead. It may hold marks, which the text of the answer does not show."""
        for count in range(1, min(len(tokens), len(self.lead)) + 1):
            if self.tokenizer.decode(tokens[:count]).strip() == self.lead:
                return tokens[count:]
        return tokens

    def answers(self, prompts: list[list[int]]) -> list[Answer]:
        texts = [self.tokenizer.decode(self._after_lead(tokens), skip_special_tokens=True) for tokens in self.written]
        texts = [until(text, self.stop).strip() for text in texts]
        texts = [text.removeprefix(self.lead).strip() for text in texts]
        counts = [list(map(len, sequences)) for sequences in (self.written, prompts)]
        return list(map(Answer, texts, *counts, self.finish, self.seconds))


@torch.inference_mode()
def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    options: Generate,
    stop: list[str],
    decoder: caches.Growing | caches.Graphed | whole_rows.Whole | None = None,
    meanwhile: Callable[[torch.Tensor], None] | None = None,
) -> list[Answer]:
    """Answers to a group of prompts (token ids), in their order.

    Args:
        stop: strings that end an answer.
        decoder: what `caches.steps` has made of the model for earlier groups, with the same options, while the model does not
            change: it need not set everything up again. None: a new one.
        meanwhile: is called once the prompts are read, with the logits after them [B, V]. Its time does not count.
    """
    runtime.check_rows(model, tokenizer, chain.from_iterable(prompts), "a prompt")
    ends = end_tokens(model, tokenizer)
    count = len(prompts)
    fresh = ([[] for _ in prompts], ["length"] * count, [0.0] * count)
    lead = turn(tokenizer).lead.strip() if tokenizer.chat_template else ""
    writing = _Writing(tokenizer, {*ends}, stop, lead, options.max_new_tokens, *fresh)
    ids, mask = _padded(prompts, model.device)
    seen = _seen(prompts, ids, mask, model) if options.repetition_penalty != 1 else None
    draws = random_numbers(options, prompts).to(model.device) if options.temperature > 0 else None
    chooser = Chooser(options, draws, seen, ends)
    alive = list(range(len(prompts)))  # which prompt each line of the batch belongs to
    decoder = decoder or caches.steps(model, options.max_new_tokens)
    logits = decoder.first(ids, mask)
    if meanwhile:
        begun = time.perf_counter()
        meanwhile(logits)
        writing.start += time.perf_counter() - begun
    tokens = chooser.next(logits)
    columns, unread = [tokens], deque()  # unread: columns on their way to the CPU, and whose they are
    while True:
        while len(columns) < decoder.at_once and chooser.length < options.max_new_tokens:
            logits = decoder.next(tokens)
            tokens = chooser.next(logits)
            columns.append(tokens)
        if columns:
            unread.append((alive, _sent(_told(torch.stack(columns, 1), logits))))
            columns = []
            if len(unread) <= decoder.ahead:
                continue
        rows, arrived = unread.popleft()
        arrived_tokens = arrived()
        _require_numbers(arrived_tokens, model)
        writing.add(rows, arrived_tokens)
        lines = [line for line, row in enumerate(alive) if not writing.ended(row)]
        if not lines:
            return writing.answers(prompts)
        if decoder.worth_leaving(len(lines), len(alive)):
            index = torch.tensor(lines, device=model.device)
            decoder.keep(index)
            chooser.keep(index)
            alive, tokens = [alive[line] for line in lines], tokens[index]


def _sent(tokens: torch.Tensor) -> Callable[[], list[list[int]]]:
    """Send tokens [B, columns] to the CPU. Returns what waits for them there: a GPU goes on meanwhile."""
    if tokens.device.type != "cuda":
        return tokens.tolist
    here, copied = tokens.to("cpu", non_blocking=True), torch.cuda.Event()
    copied.record()
    return lambda: copied.synchronize() or here.tolist()


def _told(tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Tokens [B, columns], or -1 in each row whose scores [B, V] are no numbers: those after them are not either."""
    return tokens.masked_fill(logits[:, :4].isnan().any(1, keepdim=True), -1)


def _require_numbers(tokens: list[list[int]], model: PreTrainedModel) -> None:
    """
    Raises:
        StageError: if a row was told to have scores that are no numbers. Its answer would be one token again and again.
    """
    if any(-1 in row for row in tokens):
        fix = "set models.<name>.generate.precision to fp32; if that does not help, train again at a lower learning rate"
        raise StageError(model.name_or_path or "the model", "scores that are no numbers", "numbers for each next token", fix)


def _padded(prompts: list[list[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask [B, L], padded on the left, so that all rows go on at the same column."""
    sizes = np.array([*map(len, prompts)])
    longest = sizes.max()
    mask = np.arange(longest) >= longest - sizes[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.fromiter(chain.from_iterable(prompts), np.int64, sizes.sum())
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask.astype(np.int64)).to(device)


def _seen(prompts: list[list[int]], ids: torch.Tensor, mask: torch.Tensor, model: PreTrainedModel) -> torch.Tensor:
    """Which tokens [B, V] each prompt holds."""
    words = model.get_input_embeddings().num_embeddings
    seen = torch.zeros((len(prompts), words), dtype=torch.bool, device=ids.device)
    seen.scatter_(1, ids, mask.bool())
    seen[:, 0] = torch.tensor([0 in prompt for prompt in prompts], device=ids.device)  # padding wrote here
    return seen
