"""Who answers: the tuned model, the base it is compared with under each of its prompts, and its parent in later rounds."""

import json
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from stages.common.errors import StageError
from stages.common.rows import FormattedText, Message
from stages.common.schema_models import OwnServer
from stages.decoding.answers import FORM
from stages.models.contract import with_ending
from stages.models.directory import is_hosted, load_tokenizer
from stages.models.prompting import encode_prompt, read_prompt, render
from stages.models.templates import prepare, turn


@dataclass(frozen=True)
class Contestant:
    """One way of answering: a model directory, and the tokenizer with the chat template to prompt it by.

    A hosted model has no tokenizer here. It is sent messages, with `ending` after each question.

    `before` holds turns that stand before every conversation. They come from the training rows `shots`, which are ids.

    `export` and `server` make it the tuned model in another form: as a GGUF file of this type, or behind this server.
    """

    name: str
    folder: Path
    tokenizer: object | None
    stop: list[str]
    ending: str = ""
    before: tuple[Message, ...] = ()
    shots: tuple[str, ...] = ()
    export: str = ""
    server: OwnServer | None = None

    @property
    def hosted(self) -> bool:
        """Whether a provider's server answers."""
        return self.tokenizer is None

    @property
    def way(self) -> str:
        """How it answers: `here`, `hosted`, `exported` or `served`."""
        return "hosted" if self.hosted else "exported" if self.export else "served" if self.server else "here"

    def prompt(self, messages: list[Message]) -> str:
        """The rendered prompt, or for a hosted model the messages that it is sent, as JSON."""
        if self.hosted:
            return json.dumps(self.sent(messages), ensure_ascii=False)
        return render(self.tokenizer, self.conversation(messages))

    def conversation(self, messages: list[Message]) -> list[Message]:
        """The turns, with `before` in front of them. A system message stays first."""
        start = 1 if messages and messages[0]["role"] == "system" else 0
        return [*messages[:start], *self.before, *messages[start:]]

    def tokens(self, messages: list[Message]) -> list[int]:
        """Token ids of the rendered prompt."""
        return encode_prompt(self.tokenizer, self.conversation(messages))

    def sent(self, messages: list[Message]) -> list[Message]:
        """What a hosted model is sent."""
        return [
            {key: turn[key] for key in ("role", "content")} for turn in with_ending(self.conversation(messages), self.ending)
        ]


def choose_shots(training: list[FormattedText], count: int, seed: int) -> list[FormattedText]:
    """The training rows to show, drawn by the seed. They are the same before every question."""
    return random.Random(seed).sample(training, min(count, len(training)))


def contestants(model: Path, base: Path, root: Path, shots: Sequence[FormattedText] = ()) -> list[Contestant]:
    """Everyone who answers, in this order:

    - `tuned`: the tuned model.
    - `base`: the root, prompted as the tuned model was trained.
    - `base_chat`: the root by its own chat template, where it has another one. A hosted root: without the trained marks.
    - `base_shots`: as the last of these, and shown the training rows `shots`, where there are any.
    - `parent`: the model that training started from, in a later round.
    """
    contract = read_prompt(model)
    tuned = _prompted("tuned", model, contract)
    field = [tuned]
    if is_hosted(root):
        field.append(_prompted("base", root, contract))
        if tuned.ending:
            field.append(Contestant("base_chat", root, None, []))
    else:
        own, trained = load_tokenizer(root), load_tokenizer(root)
        trained.chat_template = tuned.tokenizer.chat_template
        field.append(Contestant("base", root, trained, contract["stop"]))
        if own.chat_template and usable(own) and own.chat_template != trained.chat_template:
            field.append(Contestant("base_chat", root, own, read_prompt(root)["stop"] + turn(own).stop))
    if shots:
        before = [turn for row in shots for turn in [*row["messages"], {"role": "assistant", "content": row["completion"]}]]
        examples = tuple({key: turn[key] for key in ("role", "content")} for turn in before if turn["role"] != "system")
        ids = tuple(row["id"] for row in shots)
        # the trained stop strings end the examples' answers, and so this contestant's; its template's own end does, too
        stop = list(dict.fromkeys([*contract["stop"], *field[-1].stop]))
        field.append(replace(field[-1], name="base_shots", stop=stop, before=examples, shots=ids))
    if base != root:
        field.append(_prompted("parent", base, read_prompt(base)))
    return field


def forms(tuned: Contestant, exports: Sequence[str], servers: Sequence[OwnServer]) -> list[Contestant]:
    """The tuned model in the forms that it ships in, each prompted as the tuned model: its exports, and behind servers."""
    exported = [replace(tuned, name=f"{FORM}{kind}", export=kind) for kind in exports]
    return exported + [replace(tuned, name=f"{FORM}{server.name}", server=server) for server in servers]


def forms_answered(tuned: Contestant, names: Iterable[str]) -> list[Contestant]:
    """The same out of the names of those who answered; how, is past."""
    return [replace(tuned, name=name, export=name.removeprefix(FORM)) for name in names if name.startswith(FORM)]


def usable(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a base can be prompted by its own chat template.

    The template is mended where that is possible. Where it is not, the reason is printed.
    """
    try:
        prepare(tokenizer)
    except StageError as refused:
        print(f"no comparison with the base under its own template: {refused}", file=sys.stderr)
        return False
    return True


def _prompted(name: str, folder: Path, contract: dict) -> Contestant:
    """A contestant prompted by the chat template that lies with the model, or, hosted, by the contract's mark."""
    if is_hosted(folder):
        return Contestant(name, folder, None, contract["stop"], contract.get("prompt_ending", ""))
    return Contestant(name, folder, load_tokenizer(folder), contract["stop"])
