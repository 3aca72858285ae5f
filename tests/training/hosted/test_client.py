import pytest

from stages.common.errors import StageError
from stages.training.hosted.client import ADDRESS, HIDDEN, Service, clean
from tests.training.hosted.service import KEY


def test_the_address_is_the_parameter_s_and_not_the_environment_s(service, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert str(Service("").client.base_url).rstrip("/") == ADDRESS
    assert str(Service("https://example.org/x").client.base_url) == "https://example.org/x/"


def test_the_client_never_repeats_a_request_by_itself(service):
    assert Service("").client.max_retries == 0


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"key {KEY}!", f"key {HIDDEN}!"),
        ("Incorrect API key: sk-abcd****wxyz. See", f"Incorrect API key: {HIDDEN} See"),
        ("sk-proj-a_b-c1234 and\n  more", f"{HIDDEN} and more"),
        ("the task-force asks risk-averse people", "the task-force asks risk-averse people"),
    ],
)
def test_what_a_service_says_is_cleared_of_keys(service, said, shown):
    assert clean(said) == shown


def test_without_a_server_the_address_is_named(service, free_port, waits):
    with pytest.raises(StageError, match=rf"(?s)http://127.0.0.1:{free_port}/v1.*list jobs.*after 7 tries"):
        down = Service(f"http://127.0.0.1:{free_port}/v1")
        down.patiently(lambda: list(down.all_jobs()))
    assert len(waits) == 6
