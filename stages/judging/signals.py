"""What the embedded judge looks at. Every signal compares an answer with the expected one, and more is better.

| signal | what | source |
|---|---|---|
| meaning | cosine of the two texts' embeddings | Reimers and Gurevych 2019 |
| precision | every answer token finds its like in the expected answer, weighted by rarity | BERTScore, arXiv 1904.09675 |
| recall | every expected token that the question does not hold finds its like in the answer, weighted by rarity | the same |
| short, long | minus the logarithm of the ratio of lengths, on one side each | |
| fresh | minus the share of word pairs said before | distinct-2, arXiv 1510.03055 |
| own words | minus how much closer to the question it stays than the expected answer does | |
| fluency | log-likelihood a token by the language model, less the expected answer's, 0 at most | BARTScore, arXiv 2106.11520 |
| ending | 0, or -1 where the expected answer ends a sentence and this one does not | |

Fluency only counts against an answer: a judge must not prefer what its own language model would have written.
"""

import math
from collections import Counter
from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.models.marks import readable
from stages.tasks import causal
from stages.tasks.batches import Example
from stages.tasks.score import score

NAMES = ("meaning", "precision", "recall", "short", "long", "fresh", "own words", "fluency", "ending")
MAX_TOKENS = 256  # of a text, read by the encoder
MICRO_TOKENS = 1024
CORPUS_BATCH = 1000  # texts held at once, of those that say how rare a token is


class Encoder:
    """Texts as a unit vector, unit vectors of their tokens and their token ids; each text is read once."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: int = 64):
        self.model, self.tokenizer, self.batch, self.known = model, tokenizer, batch, {}

    @torch.inference_mode()
    def read(self, texts: list[str]) -> None:
        """Encode those not yet known, like lengths together."""
        new = sorted(set(texts) - self.known.keys(), key=lambda text: (len(text), text))
        for start in range(0, len(new), self.batch):
            part = new[start : start + self.batch]
            ids = readable(self.tokenizer, [text or " " for text in part], MAX_TOKENS, bounds=True)
            tokens = self.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
            states = self.model(**tokens.to(self.model.device)).last_hidden_state.float().cpu()
            for text, state, ids, mask in zip(
                part, states, tokens["input_ids"].tolist(), tokens["attention_mask"].tolist(), strict=True
            ):
                length = sum(mask)
                whole = torch.nn.functional.normalize(state[:length].mean(0), dim=0)
                inner = torch.nn.functional.normalize(state[1 : max(2, length - 1)], dim=1)  # without [CLS] and [SEP]
                self.known[text] = whole.numpy(), inner.numpy(), ids[1 : max(2, length - 1)]

    def vectors(self, texts: list[str]) -> np.ndarray:
        """Unit embeddings [n, d]."""
        self.read(texts)
        return np.stack([self.known[text][0] for text in texts])


class Fluency:
    """Mean log-likelihood in nats of a text's first tokens under a language model, given nothing; beginnings read once."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prefix_tokens: int):
        self.model, self.tokenizer, self.prefix_tokens = model, tokenizer, prefix_tokens
        self.task = causal.task(model, MICRO_TOKENS)
        self.known: dict[tuple[int, ...], float] = {}

    def _beginning(self, text: str) -> tuple[int, ...]:
        return tuple(readable(self.tokenizer, [text])[0][: self.prefix_tokens])

    def read(self, texts: list[str]) -> None:
        """Score those not yet known. A text of fewer than two tokens has no order and counts as 0."""
        begin = [i for i in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id) if i is not None][:1]
        new = sorted({self._beginning(text) for text in texts} - self.known.keys())
        examples = {tokens: Example("", [*begin, tokens[0]], list(tokens[1:])) for tokens in new if len(tokens) > 1}
        self.known |= dict.fromkeys(new, 0.0)
        found = score(self.model, list(examples.values()), self.task)
        self.known |= {tokens: -one.nll / one.tokens for tokens, one in zip(examples, found, strict=True)}

    def __getitem__(self, text: str) -> float:
        return self.known[self._beginning(text)]


class NoFluency:
    """Stands in where no language model is at hand: the signal is 0 for every text, and so has no say."""

    def read(self, texts: list[str]) -> None:
        """Nothing to read."""

    def __getitem__(self, text: str) -> float:
        return 0.0


class Signals:
    """Turns (question, expected, answer) into the signals, in the order of NAMES."""

    def __init__(self, encoder: Encoder, fluency: Fluency | NoFluency, corpus: Iterable[str]):
        self.encoder, self.fluency = encoder, fluency
        size, frequency, texts = 0, Counter(), iter(corpus)
        while part := list(islice(texts, CORPUS_BATCH)):
            ids = readable(encoder.tokenizer, part, MAX_TOKENS)
            frequency.update(token for text in ids for token in set(text))
            size += len(part)
        self.rarity = {token: math.log((size + 1) / (count + 1)) for token, count in frequency.items()}
        self.unseen = math.log(size + 1)

    def __call__(self, items: list[tuple[str, str, str]]) -> np.ndarray:
        """Signals [n, len(NAMES)]."""
        self.encoder.read([text for item in items for text in item])
        self.fluency.read([text for _, expected, answer in items for text in (expected, answer)])
        return np.array([self._one(*item) for item in items])

    def _weights(self, ids: list[int]) -> np.ndarray:
        return np.array([self.rarity.get(token, self.unseen) for token in ids]) + 1e-6

    def _one(self, question: str, expected: str, answer: str) -> list[float]:
        (e, e_tokens, e_ids), (a, a_tokens, a_ids), (_, q_tokens, q_ids) = (
            self.encoder.known[t] for t in (expected, answer, question)
        )
        e_weights, a_weights = self._weights(e_ids), self._weights(a_ids)
        new = e_weights * np.array([token not in q_ids for token in e_ids])
        new = new if new.any() else e_weights
        match = a_tokens @ e_tokens.T
        near_question = np.average((a_tokens @ q_tokens.T).max(1), weights=a_weights)
        as_expected = np.average((e_tokens @ q_tokens.T).max(1), weights=e_weights)
        ratio = math.log((len(answer) + 5) / (len(expected) + 5))
        words = answer.casefold().split()
        pairs = list(zip(words, words[1:], strict=False))
        return [
            float(a @ e),
            float(np.average(match.max(1), weights=a_weights)),
            float(np.average(match.max(0), weights=new)),
            min(0.0, ratio),
            -max(0.0, ratio),
            len(set(pairs)) / len(pairs) - 1 if pairs else 0.0,
            -max(0.0, float(near_question - as_expected)),
            min(0.0, self.fluency[answer] - self.fluency[expected]),
            -float(_ends(expected) and not _ends(answer)),
        ]


def _ends(text: str) -> bool:
    return text.rstrip()[-1:] in set(".!?…\"')]”’»")
