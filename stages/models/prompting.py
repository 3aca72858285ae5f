"""The one place where prompts are rendered: by the chat template that lies with the model.

The same template serves training, generation, judging and every server that loads the model directory.
"""

from transformers import PreTrainedTokenizerBase

from stages.common.errors import StageError
from stages.models.contract import read_prompt, write_prompt  # noqa: F401 (callers find all of prompting here)


def render(tokenizer: PreTrainedTokenizerBase, messages: list[dict]) -> str:
    """The prompt for `messages`, up to where the answer begins, by the chat template saved with the model."""
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: list[dict]) -> list[int]:
    """Token ids of the rendered prompt; the template itself writes the special tokens."""
    return tokenizer(render(tokenizer, messages), add_special_tokens=False)["input_ids"]


def adopt_template(tokenizer: PreTrainedTokenizerBase, template: str | None) -> None:
    """Give the tokenizer the dataset's prompt; one that begins every text with a token of its own keeps doing so.

    None: the tokenizer keeps its own (style `chat`), as it is.

    Raises:
        StageError: if it is to keep its own and has none.
    """
    if template is None:
        if not tokenizer.chat_template:
            raise StageError(
                "tokenizer of the base model",
                "no chat template",
                "one of its own: style chat keeps the template that the base was trained with",
                "choose a base tuned for chat, or another datasets.<name>.format.style",
            )
        return
    begins = tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
    tokenizer.chat_template = ("{{- bos_token -}}" if begins else "") + template
