"""Failures that a server sends as if all were well."""

import pytest

from stages.servers.server_errors import inside


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error": {"message": "x", "code": 429}}', 429),
        (b'{"error": {"message": "x", "code": "502"}}', 502),
        (b'{"error": {"message": "x", "code": "rate_limit"}}', 500),
        (b'{"error": "x"}', 500),
        (b'{"error": null, "choices": [1]}', 0),
        (b'{"choices": [1], "error": {"code": 400}}', 0),
        (b"[1]", 0),
        (b"nonsense", 0),
    ],
)
def test_a_failure_inside_a_body_that_says_200(body, status):
    assert inside(body) == status
