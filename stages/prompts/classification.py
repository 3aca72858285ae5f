"""The classification style: a text and its label. There is no prompt and so no template."""

from stages.common.rows import FormattedLabel, LabelledRow
from stages.common.schema_data import ClassificationFormat


def rows(row: LabelledRow, params: ClassificationFormat) -> list[FormattedLabel]:
    """One row: `id, task, text, label`."""
    return [{"id": row["id"], "task": "label", "text": row["text"], "label": row["label"]}]


def contract(params: ClassificationFormat) -> dict:
    """A contract without a template, so that all styles have one."""
    return {"style": "classification", "chat_template": None, "stop": []}
