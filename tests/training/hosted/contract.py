"""What requests to a fine-tuning service and its answers must look like.

The measure is the service's OpenAPI description where AFFINAGE_CONTRACTS names a directory that holds it
(`openai-openapi.json`), else the short list of fields below.
"""

import copy
import json
import os
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator

NUMBER, TEXT = (int, float), (str,)
MAYBE = (type(None),)
FIELDS = {  # required fields and their types, of what we read or send
    "OpenAIFile": {"id": TEXT, "object": TEXT, "bytes": NUMBER, "created_at": NUMBER, "filename": TEXT, "purpose": TEXT},
    "FineTuningJob": {
        "id": TEXT,
        "object": TEXT,
        "status": TEXT,
        "model": TEXT,
        "training_file": TEXT,
        "validation_file": TEXT + MAYBE,
        "fine_tuned_model": TEXT + MAYBE,
        "error": (dict, *MAYBE),
        "result_files": (list,),
        "trained_tokens": (int, *MAYBE),
        "hyperparameters": (dict,),
        "seed": (int,),
        "created_at": NUMBER,
        "finished_at": NUMBER + MAYBE,
    },
    "FineTuningJobEvent": {"id": TEXT, "object": TEXT, "created_at": NUMBER, "level": TEXT, "message": TEXT},
    "FineTuningJobCheckpoint": {"id": TEXT, "step_number": (int,), "fine_tuned_model_checkpoint": TEXT, "metrics": (dict,)},
    "CreateFineTuningJobRequest": {"model": TEXT, "training_file": TEXT},
    "CreateFileRequest": {"file": TEXT, "purpose": TEXT},
    "ErrorResponse": {"error": (dict,)},
}
LISTS = {  # of entries, with what lists have beside them
    "ListFilesResponse": "OpenAIFile",
    "ListPaginatedFineTuningJobsResponse": "FineTuningJob",
    "ListFineTuningJobEventsResponse": "FineTuningJobEvent",
    "ListFineTuningJobCheckpointsResponse": "FineTuningJobCheckpoint",
}
KNOWN = {  # fields that a request may have
    "CreateFineTuningJobRequest": {"model", "training_file", "validation_file", "method", "seed", "suffix", "metadata"},
    "CreateFileRequest": {"file", "purpose"},
}
QUERIES = {"/files": {"purpose", "limit", "order", "after"}}


@cache
def described() -> dict | None:
    """The OpenAPI description in JSON Schema 2020-12, or None where there is none."""
    folder = os.environ.get("AFFINAGE_CONTRACTS")
    if not folder:
        return None
    return _modern(json.loads((Path(folder) / "openai-openapi.json").read_text(encoding="utf-8")))


def _modern(node):
    """`nullable` and true for `exclusiveMinimum` are of OpenAPI 3.0 and mean nothing to a validator of today."""
    if isinstance(node, list):
        return [_modern(item) for item in node]
    if not isinstance(node, dict):
        return node
    modern = {key: _modern(value) for key, value in node.items()}
    if modern.get("exclusiveMinimum") is True:
        modern["exclusiveMinimum"] = modern.pop("minimum")
    if modern.pop("nullable", False) is True:
        modern = {"anyOf": [modern, {"type": "null"}]}
    return modern


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": described()["components"]})


def problems(schema: str, value: object) -> list[str]:
    """What is wrong with a body."""
    if described():
        problems = [f"{schema}: {error.json_path} {error.message}"[:300] for error in _validator(schema).iter_errors(value)]
        properties = described()["components"]["schemas"][schema].get("properties", {}).keys()
    else:
        problems, properties = list(_by_hand(schema, copy.deepcopy(value))), KNOWN.get(schema, ())
    if schema in KNOWN:  # a request: what is not described must not be sent
        problems += [f"{schema}: unknown {name}" for name in sorted(value.keys() - set(properties))]
    return problems


def _by_hand(schema: str, value: dict):
    if schema in LISTS:
        if value.get("object") != "list" or not isinstance(value.get("has_more"), bool):
            yield f"{schema}: no list"
        for entry in value["data"]:
            yield from _by_hand(LISTS[schema], entry)
        return
    for name, kinds in FIELDS[schema].items():
        if name not in value or not isinstance(value[name], kinds):
            yield f"{schema}: {name} is {value.get(name)!r}"


def query_problems(path: str, query: dict[str, str]) -> list[str]:
    """What is wrong with the parameters of a list; `path` as described, with its names in braces."""
    if described():
        allowed = {p["name"] for p in described()["paths"][path]["get"].get("parameters", []) if p["in"] == "query"}
    else:
        allowed = QUERIES.get(path, {"limit", "after"})
    problems = [f"{path}: unknown query {name}" for name in sorted(query.keys() - allowed)]
    return problems + [f"{path}: limit {query['limit']}" for _ in [0] if not query.get("limit", "1").isdecimal()]
