"""Errors as servers really word them, and what each of them means for a run."""

import json

import pytest

from stages.common.errors import StageError
from stages.servers.failures import Missing, Rejected, Unanswered, failure
from stages.servers.server_errors import server_error


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error", param: str | None = None) -> dict:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


FILTERED = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
ROW = [  # about one row alone: server, status, body, what is made of it
    ("vllm", 400, {"message": "The decoder prompt (length 50) is longer than the maximum model length of 40."}, "too long"),
    ("xai", 400, {"error": "This model's maximum prompt length is 131072 but the request contains 200000 tokens."}, "too long"),
    ("tgi", 422, {"error": "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens"}, "too long"),
    ("together", 400, openai("`inputs` tokens + `max_new_tokens` must be <= 8193", param="max_tokens"), "too long"),
    ("llama.cpp", 500, openai("context shift is disabled", kind="server_error"), "too long"),
    ("groq", 413, openai("Request too large: tokens per minute (TPM): Limit 6", "rate_limit_exceeded"), "too long"),
    ("azure", 400, openai(FILTERED, "content_filter", param="prompt"), "declined"),
    ("litellm", 400, openai(f"litellm.ContentPolicyViolationError: AzureException - {FILTERED}", "400"), "declined"),
    ("openai", 400, openai("Invalid prompt: your prompt was flagged as potentially violating", "invalid_prompt"), "declined"),
    ("openrouter", 403, openai("Input was flagged by moderation"), "declined"),
    ("deepseek", 400, openai("Content Exists Risk", "invalid_request_error"), "declined"),
    ("qwen", 400, openai("Input data may contain inappropriate content.", "data_inspection_failed"), "declined"),
    ("vllm", 400, openai("Conversation roles must alternate user/assistant/user/assistant/..."), "rejected"),
    ("groq", 400, openai("`max_tokens` must be less than or equal to `8192`, for the `context_window` is"), "max_tokens"),
    ("openai", 400, openai("Invalid 'max_output_tokens': Expected a value >= 16", param="max_output_tokens"), "max_tokens"),
    ("mistral", 422, {"message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}}, "seed"),
]
RUN = [  # about every row: what stops the run
    ("anthropic", 400, openai("Your credit balance is too low. Please go to Plans & Billing to buy credits."), "quota"),
    ("litellm", 400, openai("ExceededBudget: over budget. Spend=12.0, Budget=10.0", kind="budget_exceeded"), "quota"),
    ("litellm", 429, openai("Budget has been exceeded! Current cost: 11", kind="budget_exceeded"), "quota"),
    ("xai", 403, {"error": "Your newly created team doesn't have any credits yet."}, "quota"),
    ("litellm", 400, openai("Invalid proxy server token passed", kind="token_not_found_in_db"), "key"),
    ("azure", 401, {"statusCode": 401, "message": "Unauthorized. Access token is missing"}, "key"),
    ("ollama", 500, {"error": "model requires more system memory (12.0 GiB) than is available (7.1 GiB)"}, "memory"),
    ("ollama", 400, {"error": '"all-minilm" does not support chat'}, "model"),
    ("azure", 400, openai("The chatCompletion operation does not work with it. Please choose different model"), "model"),
    ("lm studio", 400, {"error": "No models loaded. Please load a model in the developer page."}, "model"),
    ("bedrock", 400, {"message": "The provided model identifier is invalid."}, "model"),
]
AGAIN = [  # what passes
    ("litellm", 500, openai("litellm.RateLimitError: Limit 30000 tokens per min exceeded"), "server_error"),
    ("litellm", 400, openai("Crossed TPM / RPM limit. current tokens exceed limit", "429"), "rate_limited"),
    ("github", 403, openai("Rate limit of 10 per 60s exceeded"), "rate_limited"),
    ("azure", 429, openai("Requests have exceeded token rate limit of your current pricing tier"), "rate_limited"),
    ("anthropic", 529, openai("Overloaded", kind="overloaded_error"), "server_error"),
    ("cloudflare", 524, "<html>A timeout occurred</html>", "server_error"),
    ("groq", 400, openai("Failed to generate JSON. Please adjust your prompt.", "json_validate_failed"), "unparsable"),
]


def failed(status: int, body: dict | str) -> Exception:
    return failure("here", status, server_error(body.encode() if isinstance(body, str) else json.dumps(body).encode()), None)


@pytest.mark.parametrize(("server", "status", "body", "meaning"), ROW)
def test_what_concerns_one_row(server, status, body, meaning):
    error = failed(status, body)
    assert isinstance(error, Rejected)
    assert ("too long" if error.too_long else "declined" if error.declined else error.option or "rejected") == meaning


@pytest.mark.parametrize(("server", "status", "body", "meaning"), RUN)
def test_what_stops_the_run(server, status, body, meaning):
    error = failed(status, body)
    if meaning == "model":
        assert isinstance(error, Missing)
    else:
        assert isinstance(error, StageError) and meaning in error.expected


@pytest.mark.parametrize(("server", "status", "body", "kind"), AGAIN)
def test_what_passes(server, status, body, kind):
    error = failed(status, body)
    assert isinstance(error, Unanswered) and error.kind == kind
