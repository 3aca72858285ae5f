"""The completion style: a mark ends the prompt (` ->`), another one the answer (` END`), as the first hosted tunings had it.

The answer's mark belongs to the formatted `completion`, for it is learned. It is the contract's stop string too, so that an
answer ends before it. The prompt's mark is written by the chat template alone. A row that holds a mark where it would be read
as the end is refused.
"""

import json

from stages.common.rows import FormattedText, LabelledRow
from stages.common.schema_data import CompletionFormat
from stages.prompts import Refused, formatted


def rows(row: LabelledRow, params: CompletionFormat) -> list[FormattedText]:
    """One row.

    Raises:
        Refused: if the prompt holds the mark that ends prompts, or the answer the mark that ends answers.
    """
    row_input = row.get("input") or ""
    prompt = row["instruction"] + (f"\n\n{row_input}" if row_input else "")
    # a mark that begins in the prompt and ends in the ending counts, too
    if params.prompt_ending in f"{prompt}{params.prompt_ending}"[:-1]:
        raise Refused("prompt ending in the prompt")
    answer = params.completion_start + row["response"]
    if params.completion_ending in f"{answer}{params.completion_ending}"[:-1]:
        raise Refused("completion ending in the completion")
    return [formatted(row, [{"role": "user", "content": prompt}], answer + params.completion_ending)]


def contract(params: CompletionFormat) -> dict:
    """The prompt contract: each question with its mark, each answer with the end token, and a system message in front."""
    ending = json.dumps(params.prompt_ending, ensure_ascii=False)
    template = (
        "{%- for message in messages -%}"
        "{%- if message.role == 'user' -%}{{ message.content + " + ending + " }}"
        "{%- elif message.role == 'assistant' -%}{{ message.content + eos_token + '\\n\\n' }}"
        "{%- elif message.role == 'system' -%}{{ message.content + '\\n\\n' }}"
        "{%- endif -%}{%- endfor -%}"
    )
    return {
        "style": "completion",
        "chat_template": template,
        "stop": [params.completion_ending],
        "prompt_ending": params.prompt_ending,  # for services that render no template
    }
