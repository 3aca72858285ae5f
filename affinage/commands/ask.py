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

    contestant: str
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


class Asker:
    """A model and what it is compared with, ready to be asked: weights are loaded by the first question, and kept.

    Args:
        model, base, root: their directories; `root` is the pinned base that the rounds began with.
        options: how to answer, as `generate` does.
        shots: training rows that the base is shown before each question.
    """

    def __init__(self, model: Path, base: Path, root: Path, options: Generate, shots: Sequence[dict] = ()):
        from stages.decoding.contestants import contestants
        from stages.models import runtime

        runtime.deterministic()
        self.options = options
        self.contestants = sorted(contestants(model, base, root, shots), key=lambda contestant: contestant.name == "tuned")
        self._loaded: dict[Path, object] = {}

    def ask(self, question: str, system: str = "") -> list[Reply]:
        """The replies, the base's first: what came before stands left of what came after.

        The seconds are those of prompt and answer, without loading the weights. A server that was asked the same before is
        not asked again; the seconds are those of then.

        Raises:
            StageError: for an empty question, a prompt that is too long, or a server that does not answer.
        """
        if not question.strip():
            raise StageError("question", "no text", "a question", 'affinage ask MODEL "What is …?"')
        return [self._reply(contestant, question, system) for contestant in self.contestants]

    def _reply(self, contestant, question: str, system: str) -> Reply:
        from stages.decoding.hosted import served

        alone = [{"role": "user", "content": question}]
        messages = [{"role": "system", "content": system}, *alone] if system else alone
        prompt = contestant.prompt(messages)
        if contestant.hosted:
            rows = [{"id": "question", "messages": messages}]
            (answer,), _ = served.answers(contestant, rows, self.options, _Silent())
        else:
            answer = self._local(contestant, messages)
        heard = not system or prompt != contestant.prompt(alone)
        cost = (answer.tokens, answer.prompt_tokens, answer.finish, answer.seconds)
        return Reply(contestant.name, prompt, answer.text, *cost, heard)

    def _local(self, contestant, messages: list[dict]):
        """An answer by weights on this machine."""
        from stages.decoding import products
        from stages.decoding.causal import batch_answers
        from stages.models import directory, runtime

        tokens = contestant.tokens(messages)
        room = directory.context_length(contestant.folder) - self.options.max_new_tokens
        if len(tokens) > room:
            raise StageError(
                f"prompt of {contestant.name}",
                f"{len(tokens)} tokens",
                f"at most {room}: context less max_new_tokens",
                "ask in fewer words",
            )
        if contestant.folder not in self._loaded:
            device = runtime.device()
            dtype = runtime.precision(self.options.precision, device)
            weights = directory.load(contestant.folder, dtype=dtype, device=device)
            self._loaded[contestant.folder] = products.lay_out(weights)
        model = self._loaded[contestant.folder]
        return batch_answers.answer(model, contestant.tokenizer, [tokens], self.options, contestant.stop)[0]


class _Silent:
    """Stands for a progress bar: one question needs none."""

    def add(self, *_, **__) -> None:
        pass


def _block(reply: Reply, width: int) -> list[str]:
    lines = [line for part in reply.text.splitlines() for line in textwrap.wrap(printable(part), width) or [""]]
    notes = [reply.facts(), *([] if reply.heard else ["this prompt has no place for a system text"])]
    named = figures.contestant(reply.contestant)
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


def asker(name: str) -> Asker:
    """The model `name` of params.yaml, as `generate` has it.

    Raises:
        StageError: where params.yaml has no such model, or it gives labels.
    """
    options = params.section("models", name, "generate")
    wires = params.read()["models"][name]
    folders = [Path("models") / part for part in (name, wires["base"], wires["root"])]
    shots = []
    if options.shots:
        from stages.decoding.contestants import choose_shots

        training = Path("data") / wires["dataset"] / "formatted" / "train"
        shots = choose_shots(list(read_rows(training)), options.shots, options.seed)
    return Asker(*folders, options, shots)


def shown(replies: list[Reply], prompts: bool = False) -> str:
    """Replies as text in the width of the terminal, with each contestant's prompt above where `prompts`."""
    text = side_by_side(replies, shutil.get_terminal_size((120, 24)).columns)
    if prompts:
        above = [
            f"{figures.contestant(reply.contestant)} was given\n{textwrap.indent(reply.prompt, '  | ')}" for reply in replies
        ]
        text = "\n\n".join([*above, text])
    return text


def chat(warm: Asker, system: str = "", prompts: bool = False) -> None:
    """Answer one question after the other, until the input ends. Each is asked by itself: no model sees the ones before."""
    print("A question a line; an empty line or Ctrl-D ends.", flush=True)
    while True:
        try:
            question = input("> ").strip()
        except EOFError:
            question = ""
        if not question:
            return
        try:
            print(f"\n{shown(warm.ask(question, system), prompts)}\n", flush=True)
        except StageError as error:
            print(f"{error}\n", flush=True)


def command(
    model: Annotated[str, typer.Argument(help="A key of `models` in params.yaml.")],
    question: Annotated[str, typer.Argument(help="What to ask, where not --chat.", show_default=False)] = "",
    system: Annotated[str, typer.Option(help="A system text, for prompts that have a place for one.")] = "",
    prompts: Annotated[bool, typer.Option("--prompts", help="Show each contestant's prompt, too.")] = False,
    chatting: Annotated[bool, typer.Option("--chat", help="Ask on: the models stay loaded.")] = False,
) -> None:
    """Ask a model: the tuned model's answer beside its base's.

    Example: affinage ask medical "How is asthma treated?"
    """
    if not (question.strip() or chatting):
        raise typer.BadParameter("a question, or --chat to type several")
    warm = asker(model)
    if question:
        print(shown(warm.ask(question, system), prompts))
    if chatting:
        chat(warm, system, prompts)
