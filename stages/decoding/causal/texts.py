"""The tuned model prompted by text, as its exports and servers are: what each is asked, and what its reply says."""

from stages.common.errors import StageError
from stages.common.rows import FormattedText
from stages.common.schema_models import Generate
from stages.common.text_keys import until
from stages.decoding.answers import Answer, too_long, unreadable
from stages.decoding.causal.answering import prompted
from stages.decoding.contestants import Contestant
from stages.models.directory import context_length
from stages.models.templates import turn
from stages.models.tokenizer_marks import encode, marks

NO_SAY = {"probes", "shots", "precision", "batch_rows", "exports", "servers", "min_new_tokens"}
MARKED = "refused: marks"  # how an answer ended that was never asked for
Prompt = tuple[str, int]  # a text, and how many tokens it is


def prompt_texts(
    contestant: Contestant, rows: list[FormattedText], options: Generate
) -> tuple[list[Prompt | None], list[Answer | None], int]:
    """The prompt of each row, or what stands for its answer where it is not asked; and how many rows hold a mark.

    A prompt is not asked if it leaves no room for an answer, or if a text in it holds a mark of the tokenizer: `generate` reads
    it as letters, and every server that reads prompts as one text reads it as a token.

    Raises:
        StageError: if the template refuses rows; it names them.
    """
    tokens, marked = prompted(contestant, rows)
    room = context_length(contestant.folder) - options.max_new_tokens
    tokenizer_marks = marks(contestant.tokenizer)
    prompts, unasked = [], []
    for row, prompt in zip(rows, tokens, strict=True):
        holds_mark = any(tokenizer_marks.inside(message["content"]) for message in row["messages"])
        if holds_mark or not prompt:
            unasked.append(unreadable(MARKED))
        else:
            unasked.append(None if len(prompt) <= room else too_long(prompt))
        prompts.append((contestant.prompt(row["messages"]), len(prompt)) if unasked[-1] is None else None)
    return prompts, unasked, marked


def said(contestant: Contestant, text: str) -> str:
    """What a reply says, as `generate` reads answers: up to a stop string, without what the template writes before each."""
    lead, said_text = turn(contestant.tokenizer).lead.strip(), until(text, contestant.stop).strip()
    if not said_text.startswith(lead):  # servers leave out special tokens
        ids = encode(contestant.tokenizer, lead)
        lead = contestant.tokenizer.decode(ids, skip_special_tokens=True).strip()
    return said_text.removeprefix(lead).strip()


def check_tokens(where: str, read: int | None, expected: int) -> None:
    """
    Raises:
        StageError: if a server `read` another number of tokens than the prompt has here.
    """
    if read != expected:
        raise StageError(
            where,
            f"{read} tokens read of a prompt of {expected}",
            "the tokens that the model was trained on",
            "serve the model directory itself, or the file of `affinage export`, and no other template or tokenizer",
        )
