"""Who answers: the tuned model, the base it is compared with under each of its prompts, and its parent in later rounds."""

from dataclasses import dataclass
from pathlib import Path

from stages.models.directory import is_hosted, load_tokenizer
from stages.models.prompting import encode_prompt, read_prompt, render


@dataclass(frozen=True)
class Contestant:
    """One way of answering: a model directory and the tokenizer with the chat template to prompt it by."""

    name: str
    folder: Path
    tokenizer: object
    stop: list[str]

    def prompt(self, messages: list[dict]) -> str:
        """The rendered prompt."""
        return render(self.tokenizer, messages)

    def tokens(self, messages: list[dict]) -> list[int]:
        """Token ids of the rendered prompt."""
        return encode_prompt(self.tokenizer, messages)


def contestants(model: Path, base: Path, root: Path) -> list[Contestant]:
    """`tuned`; `base` (the root prompted as the tuned model was trained) and `base_chat` (by its own chat template, where
    it has one); `parent` in a later round."""
    tuned = load_tokenizer(model)
    stop = read_prompt(model)["stop"]
    found = [Contestant("tuned", model, tuned, stop)]
    if not is_hosted(root):
        own, trained = load_tokenizer(root), load_tokenizer(root)
        trained.chat_template = tuned.chat_template
        found.append(Contestant("base", root, trained, stop))
        if own.chat_template:
            found.append(Contestant("base_chat", root, own, read_prompt(root)["stop"]))
    if base != root:
        found.append(Contestant("parent", base, load_tokenizer(base), read_prompt(base)["stop"]))
    return found
