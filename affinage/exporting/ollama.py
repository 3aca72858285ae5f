"""A Modelfile for Ollama: the weights, the prompt in Go's template language, and the parameters of `generate`.

Ollama renders no Jinja. The chat template is therefore taken apart by rendering it with marks in place of the texts; what
stands around each role's text becomes the Go template, and the parts, put together again, must give the same prompts.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from stages.common.errors import StageError
from stages.common.schema_models import Generate
from stages.models.templates import turn

U, V, A, S = "\ue000", "\ue001", "\ue002", "\ue003"  # two questions, an answer, a system message: private characters


@dataclass(frozen=True)
class Parts:
    """Text before and after what each role says, before a conversation with no system message, and before the answer."""

    system: tuple[str, str]
    user: tuple[str, str]
    assistant: tuple[str, str]
    default: str
    generation: str

    def compose(self, messages: list[dict]) -> str:
        """The prompt, as Ollama writes it."""
        has_system = messages[0]["role"] == "system"
        spoken = (self.__dict__[message["role"]] for message in messages)
        bodies = (f"{before}{message['content']}{after}" for message, (before, after) in zip(messages, spoken, strict=True))
        return ("" if has_system else self.default) + "".join(bodies) + self.generation


def _say(pattern: str) -> list[dict]:
    roles = {U: "user", V: "user", A: "assistant", S: "system"}
    return [{"role": roles[mark], "content": mark} for mark in pattern]


def take_apart(tokenizer: PreTrainedTokenizerBase, folder: Path) -> Parts:
    """The chat template in parts.

    Raises:
        StageError: if it does more than to write texts around each role's text.
    """

    def rendered(pattern: str, answer_next: bool = True) -> str:
        return tokenizer.apply_chat_template(_say(pattern), add_generation_prompt=answer_next, tokenize=False)

    refused = StageError(
        folder / "chat_template.jinja",
        "a template that does more than to write texts around each role's text",
        "one that Ollama's TEMPLATE can express",
        "export with --to gguf and write the Modelfile by hand",
    )
    try:
        question, dialogue = rendered(U, False), rendered(U + A + V, False)
        after_user = question.split(U)[1]
        between = dialogue.split(U)[1].split(A)[0]  # after the question, before the answer
        after_answer = rendered(U + A, False).split(A)[1]
        before_user = dialogue.split(A)[1].split(V)[0].removeprefix(after_answer)
        before_system, after_system = rendered(S + U, False).split(U)[0].split(S)
        parts = Parts(
            system=(before_system, after_system.removesuffix(before_user)),
            user=(before_user, after_user),
            assistant=(between.removeprefix(after_user), after_answer),
            default=question.split(U)[0].removesuffix(before_user),
            generation=rendered(U).removeprefix(question),
        )
        patterns = (U, S + U, U + A + V, S + U + A + V, U + A + V + A + U)
        if any(parts.compose(_say(pattern)) != rendered(pattern) for pattern in patterns):
            raise refused
    except (IndexError, ValueError, TemplateError):  # a mark went missing or came twice, or a role is refused
        raise refused from None
    return parts


def _literal(text: str) -> str:
    safe = not any(sign in text for sign in ("{{", "}}", '"""'))
    return text if safe else f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}"


def template(parts: Parts) -> str:
    """The parts in Go's template language."""
    default = parts.default and '{{ if ne (index .Messages 0).Role "system" }}' + _literal(parts.default) + "{{ end }}"
    turns = "{{ else ".join(
        f'if eq .Role "{role}" }}}}{_literal(before)}{{{{ .Content }}}}{_literal(after)}'
        for role, (before, after) in (("system", parts.system), ("user", parts.user), ("assistant", parts.assistant))
    )
    return default + "{{ range .Messages }}{{ " + turns + "{{ end }}{{ end }}" + _literal(parts.generation)


def parameters(options: Generate, stop: list[str], context: int) -> list[tuple[str, object]]:
    """Ollama's names for what `generate` was told; its own defaults (temperature 0.8, penalty 1.1) are all overruled."""
    named = [
        ("temperature", options.temperature),
        ("top_k", options.top_k),
        ("top_p", options.top_p),
        ("min_p", 0),
        ("repeat_penalty", options.repetition_penalty),
        ("repeat_last_n", -1),
        ("seed", options.seed),
        ("num_predict", options.max_new_tokens),
        ("num_ctx", context),
    ]
    return named + [("stop", _quoted(text)) for text in stop]


def end_marks(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The mark that the template writes after an answer, where it is a token other than the tokenizer's end token. Ollama stops
    at that one anyway, and as a stop string it would also end an answer that spells it."""
    token = turn(tokenizer).token if tokenizer.chat_template else None
    return [] if token in (None, tokenizer.eos_token_id) else [tokenizer.convert_ids_to_tokens(token)]


def _quoted(text: str) -> str:
    """A value as the Modelfile's parser reads it: no escapes, three quotes where there is one in the text."""
    return f'"""{text}"""' if '"' in text or "\n" in text else f'"{text}"'


def modelfile(weights: str, go_template: str, named: list[tuple[str, object]]) -> str:
    """The text of the Modelfile; `weights` is relative to it."""
    lines = [f"FROM {weights}", f'TEMPLATE """{go_template}"""', *(f"PARAMETER {name} {value}" for name, value in named)]
    return "\n".join(lines) + "\n"
