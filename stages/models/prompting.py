"""The one place where prompts are rendered: by the chat template that lies with the model.

The same template serves training, generation, judging and every server that loads the model directory. What is learned is
what the template itself writes between the prompt and the mark that ends the answer.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.common.errors import StageError, shorten
from stages.models import templates
from stages.models.contract import read_prompt, write_prompt  # noqa: F401 (callers find all of prompting here)
from stages.models.directory import load_tokenizer
from stages.models.tokenizer_marks import Unreadable, bare, encode, marks

HEAD = 16  # tokens that prompts have in common, from which on they are read once


@dataclass(frozen=True)
class EncodedTurn:
    """A prompt and the answer to learn after it, in tokens. The answer includes the mark that ends it.

    `marked` says that a text among them holds a mark of the tokenizer, which is read as letters.
    """

    prompt: list[int]
    answer: list[int]
    marked: bool


def render(tokenizer: PreTrainedTokenizerBase, messages: list[dict]) -> str:
    """The prompt for `messages`, up to where the answer begins, by the chat template saved with the model.

    Raises:
        Refusal: if the template refuses the conversation.
    """
    return templates.rendered(tokenizer, messages, True)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: list[dict]) -> list[int]:
    """Token ids of the rendered prompt. Only the template writes special tokens.

    Raises:
        Refusal: if the template refuses the conversation.
        Unreadable: if marks in the texts cannot be read as letters, or are the template's own in letters.
    """
    _check_letters(tokenizer, messages)
    return encode(tokenizer, render(tokenizer, _shielded(tokenizer, messages)))


def encode_turn(tokenizer: PreTrainedTokenizerBase, messages: list[dict], answer: str) -> EncodedTurn:
    """A conversation and the answer to learn, in tokens of the template's own rendering.

    Raises:
        Refusal: if the template refuses the conversation, leaves a text out, or begins it otherwise than the prompt.
        Unreadable: if marks in the texts cannot be read as letters, or are the template's own in letters.
    """
    turn = templates.turn(tokenizer)
    plain = [*messages, {"role": "assistant", "content": answer}]
    _check_letters(tokenizer, plain)
    finished = _shielded(tokenizer, plain)
    before = finished[:-1]
    prompt, whole = render(tokenizer, before), templates.rendered(tokenizer, finished, False)
    if not whole.startswith(prompt):
        raise templates.Refusal(tokenizer, f"its prompt {prompt!r} does not begin the finished conversation {whole!r}")
    if not whole.endswith(turn.end + turn.rest):
        raise templates.Refusal(tokenizer, f"it ends {whole!r} otherwise than with {turn.end + turn.rest!r}")
    if role := _left_out(before, prompt):
        raise templates.Refusal(tokenizer, f"it leaves out or changes a text of role {role}")
    written = whole[len(prompt) : len(whole) - len(turn.end + turn.rest)]
    marked, whole_answer = finished != plain, answer.strip() in bare(written)
    if marked and not (whole_answer and bare(whole) == templates.rendered(tokenizer, plain, False)):
        raise Unreadable("a mark at which the template takes the text apart")
    if not whole_answer:
        raise templates.Refusal(tokenizer, f"it writes the answer {shorten(answer)} as {shorten(bare(written))}")
    if any(stop in bare(written) for stop in turn.stop):
        raise Unreadable(f"{turn.stop[0]!r}, which ends a turn, in the answer")
    prompt_tokens = encode(tokenizer, prompt)
    return EncodedTurn(prompt_tokens, _after(tokenizer, prompt, prompt_tokens, written + turn.end), marked)


def _check_letters(tokenizer: PreTrainedTokenizerBase, messages: list[dict]) -> None:
    """
    Raises:
        Unreadable: if a text holds a mark that the template writes in letters: it would open or end a turn.
    """
    for mark in sorted(templates.turn(tokenizer).letters):
        if any(mark in turn["content"] or mark in turn.get("name", "") for turn in messages):
            raise Unreadable(f"{mark!r}, by which the template opens or ends a turn, in a text")


def _left_out(messages: list[dict], prompt: str) -> str:
    """The role of a text that is not in the prompt; "" where all are there, each in a place of its own. What an assistant
    thought before an earlier answer may be left out, as several templates do."""
    texts = [
        (bare(message["content"].rpartition("</think>")[2] if message["role"] == "assistant" else message["content"]), message)
        for message in messages
    ]
    rest = bare(prompt)
    for text, message in sorted(texts, key=lambda pair: -len(pair[0])):  # a short text may be part of a longer one
        if text.strip() not in rest:
            return message["role"]
        rest = rest.replace(text.strip(), "", 1)
    return ""


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that ends an answer: the template's own, the tokenizer's end token, and those of the generation settings.

    A number that is no row of the model's embeddings (-1, or one past the last) ends nothing and is left out.
    """
    named = model.generation_config.eos_token_id
    named = named if isinstance(named, list) else [named]
    written = templates.turn(tokenizer).token if tokenizer.chat_template else None
    rows = range(model.get_input_embeddings().num_embeddings)
    return sorted(token for token in {*named, tokenizer.eos_token_id, written} if token in rows)


def before_end(tokens: list[int], ends: set[int]) -> list[int]:
    """Tokens before the first one that ends an answer."""
    return next((tokens[:place] for place, token in enumerate(tokens) if token in ends), tokens)


def end_at_turns(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let the model's generation settings name every token that ends an answer, for whoever loads the directory."""
    first = templates.turn(tokenizer).token
    ends = sorted(end_tokens(model, tokenizer), key=lambda token: token != first)
    model.generation_config.eos_token_id = ends if len(ends) > 1 else next(iter(ends), None)


def contract(formatted: dict, tokenizer: PreTrainedTokenizerBase, base: Path) -> dict:
    """The prompt contract of a model: that of its formatted rows, and what its template adds.

    A template that ends a turn with plain text adds a stop string. Where the base's template writes today's date, `date` is the
    one that is pinned instead.
    """
    saved = formatted | {"stop": [*formatted["stop"], *templates.turn(tokenizer).stop]}
    if formatted["chat_template"] is not None:
        return saved
    date = templates.DATE.isoformat() if templates.writes_date(load_tokenizer(base)) else read_prompt(base).get("date")
    return saved | ({"date": date} if date else {})


def _shielded(tokenizer: PreTrainedTokenizerBase, messages: list[dict]) -> list[dict]:
    """The turns with the marks in their texts and names shielded. Roles are our own and need no shield."""
    own_marks = marks(tokenizer)
    return [
        {
            key: value if key == "role" or not isinstance(value, str) else own_marks.shielded(value)
            for key, value in turn.items()
        }
        for turn in messages
    ]


def _after(tokenizer: PreTrainedTokenizerBase, prompt: str, prompt_tokens: list[int], answer: str) -> list[int]:
    """Tokens of what is said after a prompt: those that follow the prompt's in the whole text.

    A token may reach over the boundary, as after a prompt that ends with a space. A prompted model cannot change the prompt's
    last token. So the answer is then read by itself. Some tokenizers put a space before a text; then it is read after a new
    line.
    """
    whole = encode(tokenizer, prompt + answer)
    if whole[: len(prompt_tokens)] == prompt_tokens:
        return whole[len(prompt_tokens) :]
    text = tokenizer.decode(whole)
    line = encode(tokenizer, "\n")
    after_line = encode(tokenizer, "\n" + answer)
    candidates = [encode(tokenizer, answer), after_line[len(line) :] if after_line[: len(line)] == line else []]
    for ids in candidates:
        if tokenizer.decode([*prompt_tokens, *ids]) == text:
            return ids
    raise Unreadable("an answer whose tokens cannot be told from the prompt's")


class Refusals:
    """Rows that a template refuses, collected, so that one error names them all."""

    def __init__(self):
        self.rows: list[tuple[str, templates.Refusal]] = []

    def add(self, row: str, refusal: templates.Refusal) -> None:
        """One more row, by its id."""
        self.rows.append((row, refusal))

    def check(self, parameters: Iterable[str]) -> None:
        """Stop if there are any.

        Raises:
            StageError: naming the first three rows, `parameters` and the template's own words.
        """
        if not self.rows:
            return
        names = ", ".join(row for row, _ in self.rows[:3]) + (", …" if len(self.rows) > 3 else "")
        words = dict.fromkeys(refusal.words for _, refusal in self.rows[:3])
        raise StageError(
            f"{len(self.rows)} rows ({names}), {self.rows[0][1].where}",
            f"the template refuses them: {'; '.join(words)}",
            "conversations in the roles of the template",
            f"change {' or '.join(parameters)}, or the turns of these rows",
        )


def adopt_template(tokenizer: PreTrainedTokenizerBase, template: str | None) -> None:
    """Give the tokenizer the dataset's chat template.

    A tokenizer that begins every text with a token of its own keeps doing so. With None it keeps its own template (style
    `chat`); today's date is pinned in it, and its prompt led up to the answer.

    Raises:
        StageError: if it is to keep its own and has none, or the template cannot be trained with.
    """
    if template is None:
        if not tokenizer.chat_template:
            raise StageError(
                "tokenizer of the base model",
                "no chat template",
                "one of its own: style chat keeps the template that the base was trained with",
                "choose a base tuned for chat, or another datasets.<name>.format.style",
            )
    else:
        if tokenizer.eos_token_id is None:
            raise StageError(
                "tokenizer of the base model",
                "no end token",
                "a tokenizer with eos_token: a model must learn where to stop",
                "choose another base",
            )
        begins = tokenizer.bos_token_id is not None and tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
        tokenizer.chat_template = ("{{- bos_token -}}" if begins else "") + template
    templates.prepare(tokenizer)


def common_head(prompts: list[list[int]]) -> list[int]:
    """The tokens that all prompts begin with, where it is worth reading them once. Each prompt has one more at least."""
    head = os.path.commonprefix([prompt[:-1] for prompt in prompts]) if len(prompts) > 1 else []
    return head if len(head) >= HEAD else []
