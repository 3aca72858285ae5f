"""What a server's model was when it was last asked."""

import json

from stages.common.scratch import fingerprint, scratch
from stages.servers.chat import Chat, Unanswered


def identity(chat: Chat, provider: str, base_url: str, model: str) -> dict:
    """What tells the model from others. Where the server is down: what it was when last asked, so that what was kept is found
    again and only what is missing needs the server.

    Raises:
        StageError: if it is down and was never asked before.
    """
    kept = scratch("servers", provider, fingerprint(base_url, model)) / "identity.json"
    try:
        found = chat.identity()
    except Unanswered as failed:
        if not kept.exists():
            raise chat.down(failed.reason) from None
        return json.loads(kept.read_text(encoding="utf-8"))
    kept.write_text(json.dumps(found), encoding="utf-8")
    return found
