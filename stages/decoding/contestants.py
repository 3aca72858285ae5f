"""Who answers: the tuned model, the base it is compared with under each of its prompts, and its parent in later rounds."""

import json
from dataclasses import dataclass
from pathlib import Path

from stages.common.chat import with_ending
from stages.models.directory import is_hosted, load_tokenizer
from stages.models.prompting import encode_prompt, read_prompt, render


@dataclass(frozen=True)
class Contestant:
    """One way of answering: a model directory and the tokenizer with the chat template to prompt it by.

    A hosted model has no tokenizer here: it is sent messages, with `ending` after each question.
    """

    name: str
    folder: Path
    tokenizer: object | None
    stop: list[str]
    ending: str = ""

    @property
    def hosted(self) -> bool:
        """Whether a server answers."""
        return self.tokenizer is None

    def prompt(self, messages: list[dict]) -> str:
        """The rendered prompt; for a hosted model the messages sent, as JSON."""
        return json.dumps(self.sent(messages), ensure_ascii=False) if self.hosted else render(self.tokenizer, messages)

    def tokens(self, messages: list[dict]) -> list[int]:
        """Token ids of the rendered prompt."""
        return encode_prompt(self.tokenizer, messages)

    def sent(self, messages: list[dict]) -> list[dict]:
        """What a hosted model is sent."""
        return [{key: turn[key] for key in ("role", "content")} for turn in with_ending(messages, self.ending)]


def contestants(model: Path, base: Path, root: Path) -> list[Contestant]:
    """`tuned`; `base` (the root prompted as the tuned model was trained) and `base_chat` (by its own chat template, where
    it has one, or, hosted, without the trained marks); `parent` in a later round."""
    contract, tuned = read_prompt(model), _prompted("tuned", model, read_prompt(model))
    found = [tuned]
    if is_hosted(root):
        found.append(_prompted("base", root, contract))
        if tuned.ending:
            found.append(Contestant("base_chat", root, None, []))
    else:
        own, trained = load_tokenizer(root), load_tokenizer(root)
        trained.chat_template = tuned.tokenizer.chat_template
        found.append(Contestant("base", root, trained, contract["stop"]))
        if own.chat_template:
            found.append(Contestant("base_chat", root, own, read_prompt(root)["stop"]))
    if base != root:
        found.append(_prompted("parent", base, read_prompt(base)))
    return found


def _prompted(name: str, folder: Path, contract: dict) -> Contestant:
    """By the chat template that lies with the model; hosted, by the contract's mark."""
    if is_hosted(folder):
        return Contestant(name, folder, None, contract["stop"], contract.get("prompt_ending", ""))
    return Contestant(name, folder, load_tokenizer(folder), contract["stop"])
