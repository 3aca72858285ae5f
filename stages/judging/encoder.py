"""Texts read by a sentence encoder. Each text is read once alone, and once after each question that it answers."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from stages.common.scratch import content_hash
from stages.decoding import products
from stages.models import directory, runtime
from stages.models.tokenizer_marks import readable

BATCH_TOKENS = 1024  # padding included; larger batches hold texts of unlike lengths, and are half padding
PART_TOKENS = 254  # of a text, read at once
QUESTION_TOKENS = 120  # of the question's end, where it is read before an answer
SYNTAX_LAYER = 3  # whose states tell a sentence from its words in disorder


@dataclass(frozen=True)
class Reading:
    """What the encoder makes of a text of n tokens.

    Args:
        ids: token ids [n].
        states: unit vectors of the tokens [n, d], last layer.
        whole: unit vector of the text [d], the mean of its tokens.
        syntax: mean state [d] of an early layer, which knows the order of words (zeros where it was not asked for).
    """

    ids: np.ndarray
    states: np.ndarray
    whole: np.ndarray
    syntax: np.ndarray


class Encoder:
    """A BERT-like encoder: its model directory and its tokenizer.

    A text longer than the model reads at once is read in parts, so that no word of it is lost.
    """

    def __init__(self, path: Path):
        self.path, self.tokenizer = path, directory.load_tokenizer(path)
        self.readings: dict[tuple[str, str], Reading] = {}
        self.held: set[tuple[str, str]] = set()
        self.early: dict[str, np.ndarray] = {}  # `syntax` of texts that were read alone
        room = directory.context_length(path) - 3
        self.question_tokens = min(QUESTION_TOKENS, room // 3)
        self.part_tokens = min(PART_TOKENS, room - self.question_tokens)

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model, loaded when a text is first read. Work that was kept needs none."""
        return products.lay_out(directory.load(self.path, "encoder").to(runtime.device()))

    @cached_property
    def content_hash(self) -> str:
        """sha256 of the model directory."""
        return content_hash(self.path)

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text, without marks at its ends."""
        return readable(self.tokenizer, [text])[0]

    def read(self, texts: list[tuple[str, str]]) -> None:
        """Read the texts that were not read before. Texts of like length share a batch.

        Args:
            texts: (question, text); "" for a text that is read alone.
        """
        new = sorted(set(texts) - self.readings.keys())
        parts = [(key, number, *part) for key in new for number, part in enumerate(self._parts(*key))]
        parts.sort(key=lambda part: (len(part[2]) + len(part[3]), part[:2]))
        states_of: dict[tuple[str, str], dict[int, tuple]] = {key: {} for key in new}
        for batch in self._batches(parts):
            for (key, number, *_), states in zip(batch, self._states([part[2:] for part in batch]), strict=True):
                states_of[key][number] = states
        for key, by_number in states_of.items():
            self.readings[key] = _joined([by_number[number] for number in sorted(by_number)])
            if not key[0]:
                self.early[key[1]] = self.readings[key].syntax

    def __getitem__(self, key: tuple[str, str]) -> Reading:
        return self.readings[key]

    def vectors(self, texts: list[str]) -> np.ndarray:
        """Unit embeddings [n, d] of texts read alone."""
        keys = [("", text) for text in texts]
        self.read(keys)
        return np.stack([self.readings[key].whole for key in keys])

    def syntax(self, texts: list[str]) -> np.ndarray:
        """Mean early states [n, d] of texts read alone."""
        self.read([("", text) for text in texts if text not in self.early])
        return np.stack([self.early[text] for text in texts])

    def hold(self, texts: set[tuple[str, str]]) -> None:
        """Have read these texts, and no other. They stay until others are held.

        They are read together, for the last digits of a reading depend on the texts beside it.
        """
        if texts != self.held:
            self.readings.clear()
            self.read(sorted(texts))
            self.held = texts
        self.forget()

    def forget(self) -> None:
        """Drop what was read and is not held, except `syntax`. The states take most of the memory."""
        self.readings = {key: self.readings[key] for key in self.held}

    @cached_property
    def rarity(self) -> np.ndarray:
        """How much each token of the vocabulary [v] counts.

        It counts by the logarithm of its place, for frequent tokens come first. Punctuation hardly counts. Pieces of one
        character count little; in BERT's vocabulary they stand before the words.
        """
        tokens = self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer)))
        first = next((place for place, token in enumerate(tokens) if re.fullmatch(r"\W?[^\W\d_]{2,}", token)), 0)
        weights = np.log1p(np.maximum(np.arange(len(tokens)) - first, 0) / 20)
        letters = [sum(letter.isalnum() for letter in token.removeprefix("##")) for token in tokens]
        weights[[count == 1 for count in letters]] = 0.3
        weights[[count == 0 for count in letters]] = 0.01
        return weights + 1e-6

    def _parts(self, question: str, text: str) -> list[tuple[list[int], list[int]]]:
        """The text in parts of at most `part_tokens` ids, each with the last ids of the question before it."""
        before = self.tokens(question)[-self.question_tokens :] if question else []
        ids = self.tokens(text)
        return [(before, ids[start : start + self.part_tokens]) for start in range(0, max(1, len(ids)), self.part_tokens)]

    @staticmethod
    def _batches(parts: list[tuple]) -> list[list[tuple]]:
        """Neighbouring parts in batches, each of at most BATCH_TOKENS."""
        batches: list[list[tuple]] = [[]]
        for part in parts:
            if batches[-1] and (len(batches[-1]) + 1) * (len(part[2]) + len(part[3]) + 3) > BATCH_TOKENS:
                batches.append([])
            batches[-1].append(part)
        return batches if parts else []

    @torch.inference_mode()
    def _states(self, parts: list[tuple[list[int], list[int]]]) -> list[tuple]:
        """Of each part: its token ids, their last states, the sum and the number of all last states (those of the question and
        of the special tokens too), and the sum of its early states."""
        first, last = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        rows = [[first, *before, last, *ids, last] if before else [first, *ids, last] for before, ids in parts]
        longest = max(map(len, rows))
        inputs, mask = np.zeros((len(rows), longest), int), np.zeros((len(rows), longest), int)
        for row, line, seen in zip(rows, inputs, mask, strict=True):
            line[: len(row)], seen[: len(row)] = row, 1
        device = self.model.device
        layers = self.model(
            input_ids=torch.tensor(inputs, device=device),
            attention_mask=torch.tensor(mask, device=device),
            output_hidden_states=True,
        ).hidden_states
        top = layers[-1].float().cpu().numpy()
        early = layers[min(SYNTAX_LAYER, len(layers) - 1)].float().cpu().numpy()
        results = []
        for (before, ids), row, states, lower in zip(parts, rows, top, early, strict=True):
            start = len(before) + 2 if before else 1
            inner = slice(start, start + len(ids))
            results.append((ids, states[inner], states[: len(row)].sum(0), len(row), lower[inner].sum(0)))
        return results


def _joined(parts: list[tuple]) -> Reading:
    """The reading of a text from those of its parts: states in order, means over all of them."""
    ids = np.array([token for part in parts for token in part[0]], int)
    states = np.concatenate([part[1] for part in parts])
    whole = sum(part[2] for part in parts) / sum(part[3] for part in parts)
    syntax = sum(part[4] for part in parts) / max(1, len(ids))
    return Reading(ids, _unit(states), _unit(whole[None])[0], syntax)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
