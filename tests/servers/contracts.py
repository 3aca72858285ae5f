"""Whether what is sent and answered keeps to the servers' OpenAPI descriptions.

AFFINAGE_CONTRACTS names the directory that holds them (`ollama-openapi.yaml`, `openai-openapi.json`); without it, the fields
that are used are checked here by hand.
"""

import json
import os
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

FILES = {"ollama": "ollama-openapi.yaml", "openai": "openai-openapi.json", "completions": "openai-openapi.json"}
MESSAGES = [{"role": str, "content": str}]
OWN = {
    "ChatRequest": {"model": str, "messages": MESSAGES, "stream": bool, "options": dict},
    "ChatResponse": {"model": str, "message": {"role": str, "content": str}, "done": bool},
    "ListResponse": {"models": [{"model": str, "digest": str}]},
    "CreateChatCompletionRequest": {"model": str, "messages": MESSAGES},
    "CreateCompletionRequest": {"model": str, "prompt": str},
    "CreateCompletionResponse": {"choices": [{"index": int, "finish_reason": str, "text": str}]},
    "CreateChatCompletionResponse": {
        "id": str,
        "object": str,
        "created": int,
        "model": str,
        "choices": [{"index": int, "finish_reason": str, "message": {"role": str}}],
    },
}


@cache
def _validator(provider: str, name: str):
    folder = os.environ.get("AFFINAGE_CONTRACTS")
    if not folder:
        return None
    from jsonschema import Draft202012Validator

    text = (Path(folder) / FILES[provider]).read_text(encoding="utf-8")
    document = json.loads(text) if FILES[provider].endswith("json") else YAML(typ="safe", pure=True).load(text)
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def problems(provider: str, name: str, data: object) -> list[str]:
    """What is wrong with `data` as a schema of a provider's description."""
    validator = _validator(provider, name)
    if validator is None:
        return list(_by_hand(data, OWN[name], name))
    return [f"{'.'.join(map(str, error.path))}: {error.message[:200]}" for error in validator.iter_errors(data)]


def _by_hand(data: object, wanted: object, where: str):
    if isinstance(wanted, dict):
        if not isinstance(data, dict):
            yield f"{where}: no object"
            return
        for key, inner in wanted.items():
            if key not in data:
                yield f"{where}.{key}: missing"
            else:
                yield from _by_hand(data[key], inner, f"{where}.{key}")
    elif isinstance(wanted, list):
        if not isinstance(data, list):
            yield f"{where}: no list"
            return
        for i, item in enumerate(data):
            yield from _by_hand(item, wanted[0], f"{where}[{i}]")
    elif not isinstance(data, wanted):
        yield f"{where}: {type(data).__name__}"
