"""The Alpaca style: headings in plain text, an optional input below the instruction.

The template is the one place where a prompt is built. `format` stores messages, not prompts. Training, generation, judging and
every server that loads the model render them by the chat template saved with the model.
"""

import json

from stages.common.rows import FormattedText, LabelledRow, Message
from stages.common.schema_data import AlpacaFormat
from stages.prompts import formatted

INPUT_HEADING = "\n\n### Input:\n"


def messages(row: LabelledRow, params: AlpacaFormat) -> list[Message]:
    """The conversation up to the answer: one user turn, with the row's input below the instruction."""
    row_input = row.get("input") or ""
    return [{"role": "user", "content": row["instruction"] + (INPUT_HEADING + row_input if row_input else "")}]


def rows(row: LabelledRow, params: AlpacaFormat) -> list[FormattedText]:
    """One row: the conversation and the expected answer."""
    return [formatted(row, messages(row, params), row["response"])]


def contract(params: AlpacaFormat) -> dict:
    """The prompt contract: `chat_template` (Jinja, as `transformers` renders it) and `stop` strings beside the end token."""
    preamble = json.dumps(params.preamble + "\n\n" if params.preamble else "", ensure_ascii=False)
    template = (
        "{%- if messages[0].role == 'system' %}{{ messages[0].content + '\\n\\n' }}{% else %}{{ " + preamble + " }}{% endif -%}"
        "{%- for message in messages -%}"
        "{%- if message.role == 'user' -%}{{ '### Instruction:\\n' + message.content + '\\n\\n' }}"
        "{%- elif message.role == 'assistant' -%}{{ '### Response:\\n' + message.content + eos_token + '\\n\\n' }}"
        "{%- endif -%}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '### Response:\\n' }}{%- endif -%}"
    )
    return {"style": "alpaca", "chat_template": template, "stop": []}
