"""How a contestant behind a server is asked for one answer, and which failures end the stage."""

from stages.common.errors import StageError
from stages.common.rows import Message
from stages.common.schema_models import Generate
from stages.servers.chat_server import LATER, Options, Reply
from stages.servers.failures import Rejected, Unanswered
from stages.servers.pool import Pool

SECONDS, ATTEMPTS = 300.0, 5  # for one answer; tries


def settings(options: Generate, stop: list[str]) -> Options:
    """The parameters of `generate` as servers take them."""
    sampling = (options.temperature, options.top_p, options.top_k, options.repetition_penalty)
    return Options(*sampling, options.max_new_tokens, options.seed, tuple(stop))


class NotTaken(Exception):
    """The server does not take this prompt. That is not kept: a server may be mended, and asking again costs nothing.

    Args:
        finish: `prompt too long` or `refused`, as an Answer says it.
    """

    def __init__(self, finish: str):
        super().__init__(finish)
        self.finish = finish


def ask(pool: Pool, prompt: list[Message] | str, options: Options) -> Reply:
    """The reply of the pool's server.

    Raises:
        NotTaken: if the prompt is too long for its model, or a filter of contents declines it.
        StageError: if the server refuses the request, or gives no answer in all tries.
    """
    try:
        return pool.persist(lambda _: pool.chat.ask(prompt, options))
    except Rejected as refused:
        if refused.too_long or refused.declined:
            raise NotTaken("prompt too long" if refused.too_long else "refused") from None
        fix = "check the model and the options of generate"
        raise StageError(pool.chat.where, str(refused), "an answer", fix) from None
    except Unanswered as failed:
        raise StageError(pool.chat.where, failed.reason, "an answer", LATER) from None
