"""The identity of a server's model, kept for the times when the server is down."""

import json

from stages.common import kept
from stages.common.files import atomic_file
from stages.servers.chat_server import Chat
from stages.servers.failures import Unanswered


def identity(chat: Chat, provider: str, base_url: str, model: str) -> dict:
    """What tells the model from others.

    Where the server is down, it is what the server said last. So kept work is found again, and only missing work needs the
    server.

    Raises:
        StageError: if the server is down and was never asked before.
    """
    file = kept.fetched("identity of a server", base_url, model, name=provider).folder / "identity.json"
    try:
        about = chat.identity()
    except Unanswered as failed:
        if not file.exists():
            raise chat.down(failed.reason) from None
        return json.loads(file.read_text(encoding="utf-8"))
    with atomic_file(file) as written:
        json.dump(about, written)
    return about
