"""The families of model servers, by the name that `provider` and `kind` give them in parameters and hosted.json."""

from collections.abc import Callable

from stages.servers.chat_server import Chat


def _ollama(base_url: str, model: str, seconds: float, num_ctx: int) -> Chat:
    from stages.servers.ollama_chat import OllamaChat

    return OllamaChat(base_url, model, seconds, num_ctx)


def _openai(base_url: str, model: str, seconds: float, num_ctx: int) -> Chat:
    from stages.servers.openai_chat import OpenAIChat

    return OpenAIChat(base_url, model, seconds)


FAMILIES: dict[str, Callable[[str, str, float, int], Chat]] = {
    "ollama": _ollama,
    "openai": _openai,  # every server that speaks OpenAI's protocol
}


def connect(provider: str, base_url: str, model: str, seconds: float, num_ctx: int) -> Chat:
    """The client for one model behind one server.

    Args:
        provider: a name of FAMILIES.
        base_url: of the server; "" is the family's own.
        model: its name there.
        seconds: for one answer.
        num_ctx: tokens of context to ask for. Only `ollama` heeds it.
    """
    return FAMILIES[provider](base_url, model, seconds, num_ctx)
