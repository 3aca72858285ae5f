"""What a server's model was when it was last asked."""

import json

from stages.common import kept
from stages.servers.chat import Chat
from stages.servers.failures import Unanswered


def identity(chat: Chat, provider: str, base_url: str, model: str) -> dict:
    """What tells the model from others. Where the server is down: what it was when last asked, so that what was kept is found
    again and only what is missing needs the server.

    Raises:
        StageError: if it is down and was never asked before.
    """
    known = kept.brought("identity of a server", base_url, model, name=provider).folder / "identity.json"
    try:
        found = chat.identity()
    except Unanswered as failed:
        if not known.exists():
            raise chat.down(failed.reason) from None
        return json.loads(known.read_text(encoding="utf-8"))
    known.write_text(json.dumps(found), encoding="utf-8")
    return found
