"""Ask a model one question and see the answers side by side: tuned, and its base under each of its prompts.

`affinage ask MODEL "question" [--system TEXT]`. Models answer as `generate` has them: same weights, prompts and
parameters (`models.<model>.generate`), a model behind a server through that server.
"""

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from affinage.reports import figures
from affinage.reports.results import printable
from stages.common import params
from stages.common.errors import StageError
from stages.common.files import read_rows
from stages.common.schema_models import Generate

GAP = 3  # columns between two answers
NARROWEST = 34  # columns of an answer; on a narrower terminal they stand below each other


@dataclass(frozen=True)
class Reply:
    """What one contestant answered, and what it took; `heard` is False where its prompt has no place for the system text."""

    who: str
    prompt: str
    text: str
    tokens: int
    prompt_tokens: int
    finish: str
    seconds: float
    heard: bool = True

    def facts(self) -> str:
        end = {"length": ", broke off at the limit", "stop": ""}.get(self.finish, f", {self.finish}")
        return f"{self.prompt_tokens} + {self.tokens} tokens, {self.seconds:.2f} s{end}"


def ask(
    model: Path, base: Path, root: Path, options: Generate, question: str, system: str = "", shots: Sequence[dict] = ()
) -> list[Reply]:
    """The contestants' replies, the base's first: what came before stands left of what came after.

    The seconds are those of prompt and answer, loading the weights left out; a server that was asked the same before is
    not asked again, and the seconds are those of then.

    Raises:
        StageError: for an empty question, a prompt that is too long, or a server that does not answer.
    """
    from stages.decoding.contestants import contestants
    from stages.decoding.hosted import served  # torch is loaded only once parameters and question are known to be good
    from stages.models import runtime

    if not question.strip():
        raise StageError("question", "no text", "a question", 'affinage ask MODEL "What is …?"')
    runtime.deterministic()
    asked = [{"role": "user", "content": question}]
    messages = [{"role": "system", "content": system}, *asked] if system else asked
    field = sorted(contestants(model, base, root, shots), key=lambda who: who.name == "tuned")
    loaded, replies = {}, []
    for who in field:
        prompt = who.prompt(messages)
        if who.hosted:
            (answer,), _ = served.answers(who, [{"id": "question", "messages": messages}], options, _Silent())
        else:
            answer = _local(who, messages, options, loaded)
        heard = not system or prompt != who.prompt(asked)
        given = (answer.text, answer.tokens, answer.prompt_tokens, answer.finish, answer.seconds)
        replies.append(Reply(who.name, prompt, *given, heard))
    return replies


def _local(who, messages: list[dict], options: Generate, loaded: dict):
    """An answer by weights on this machine. `loaded` keeps the models: a base answers twice."""
    from stages.decoding.causal import local
    from stages.models import directory, runtime

    tokens = who.tokens(messages)
    room = directory.context_length(who.folder) - options.max_new_tokens
    if len(tokens) > room:
        raise StageError(
            f"prompt of {who.name}",
            f"{len(tokens)} tokens",
            f"at most {room}: context less max_new_tokens",
            "ask in fewer words",
        )
    if who.folder not in loaded:
        device = runtime.device()
        loaded[who.folder] = directory.load(who.folder, dtype=runtime.precision(options.precision, device)).to(device)
    return local.answer(loaded[who.folder], who.tokenizer, [tokens], options, who.stop)[0]


class _Silent:
    """Stands for a progress bar: one question needs none."""

    def add(self, *_, **__) -> None:
        pass


def _block(reply: Reply, width: int) -> list[str]:
    lines = [line for part in reply.text.splitlines() for line in textwrap.wrap(printable(part), width) or [""]]
    notes = [reply.facts(), *([] if reply.heard else ["this prompt has no place for a system text"])]
    named = figures.contestant(reply.who)
    return [
        named,
        "-" * len(named),
        *(lines or ["(empty)"]),
        "",
        *(line for note in notes for line in textwrap.wrap(note, width)),
    ]


def side_by_side(replies: list[Reply], width: int) -> str:
    """Replies as columns; below each other where the terminal is too narrow."""
    column = (width - GAP * (len(replies) - 1)) // len(replies)
    if column < NARROWEST:
        return "\n\n".join("\n".join(_block(reply, width)) for reply in replies)
    blocks = [_block(reply, column) for reply in replies]
    tallest = max(map(len, blocks))
    lines = zip(*(block + [""] * (tallest - len(block)) for block in blocks), strict=True)
    return "\n".join((" " * GAP).join(cell.ljust(column) for cell in line).rstrip() for line in lines)


def answer(name: str, question: str, system: str = "", prompts: bool = False) -> str:
    """The replies of the model `name` of params.yaml, as text."""
    options = params.section("models", name, "generate")
    wires = params.read()["models"][name]
    folders = (Path("models") / part for part in (name, wires["base"], wires["root"]))
    shots = []
    if options.shots:
        from stages.decoding.contestants import choose_shots

        training = Path("data") / wires["dataset"] / "formatted" / "train"
        shots = choose_shots(list(read_rows(training)), options.shots, options.seed)
    replies = ask(*folders, options, question, system, shots)
    shown = side_by_side(replies, shutil.get_terminal_size((120, 24)).columns)
    if prompts:
        given = [f"{figures.contestant(reply.who)} was given\n{textwrap.indent(reply.prompt, '  | ')}" for reply in replies]
        shown = "\n\n".join([*given, shown])
    return shown


def command(
    model: Annotated[str, typer.Argument(help="A key of `models` in params.yaml.")],
    question: Annotated[str, typer.Argument()],
    system: Annotated[str, typer.Option(help="A system text, for prompts that have a place for one.")] = "",
    prompts: Annotated[bool, typer.Option("--prompts", help="Show each contestant's prompt, too.")] = False,
) -> None:
    """Ask a model one question: the tuned model's answer beside its base's.

    Example: affinage ask medical "How is asthma treated?"
    """
    print(answer(model, question, system, prompts))
