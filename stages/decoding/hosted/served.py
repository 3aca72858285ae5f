"""Answers of a model behind a server: many in flight, each kept as soon as it is there."""

import time
from collections import Counter
from dataclasses import asdict, replace

from stages.common import kept
from stages.common.errors import StageError
from stages.common.files import read_json
from stages.common.progress import Progress
from stages.common.rows import FormattedText, Message
from stages.common.schema_models import Generate
from stages.common.text_keys import until
from stages.decoding import server_request
from stages.decoding.answers import Answer, latencies, unreadable
from stages.decoding.contestants import Contestant
from stages.servers.chat_server import separated
from stages.servers.families import connect
from stages.servers.known import identity
from stages.servers.pool import Pool
from stages.servers.turn_marks import REFUSED, first_mark

LEAST_CONTEXT = 2048  # tokens asked of Ollama, at least
OFF = {"top_k": 0, "repetition_penalty": 1.0}  # what an OpenAI-compatible server has no option for


def answers(
    contestant: Contestant, rows: list[FormattedText], options: Generate, progress: Progress
) -> tuple[list[Answer], dict]:
    """One answer a row, and the speed: totals of the answers asked for now, and latencies of all.

    A conversation with a special token of some model in its texts is not sent: the server would take it for its own. Its answer
    is empty and ends with `refused: marks`. The speed counts such rows (`marked`).

    An answer that the server gave is kept. A prompt that it did not take is asked again in every run: it may be mended since.

    What a reasoning model thought is no part of its answer, unless the answers to learn begin with thoughts, too.

    Raises:
        StageError: on an option that the server does not have, and where it gives no answer. The answers that it gave are kept.
    """
    start = time.monotonic()
    thoughtful = any(separated(row.get("completion") or "")[0] for row in rows)
    hosted = read_json(contestant.folder / "hosted.json")
    provider, base_url, model = hosted["provider"], hosted.get("base_url", ""), hosted["model"]
    possible(contestant, provider, options)
    asked = [contestant.sent(row["messages"]) for row in rows]
    chat = connect(provider, base_url, model, server_request.SECONDS, context(asked, options.max_new_tokens))
    settings = server_request.settings(options, contestant.stop)
    before = kept.fetched("served answers", provider, identity(chat, provider, base_url, model), asdict(settings))
    pool = Pool(chat, options.batch_rows, server_request.ATTEMPTS, server_request.SECONDS)

    def make(messages: list[Message]) -> dict:
        reply = server_request.ask(pool, messages, settings)
        if reply.tokens is None:
            raise StageError(chat.where, "no token counts in its answer", "a `usage` field", "update the server")
        if reply.finish == "prompt too long":
            raise server_request.NotTaken(reply.finish)
        text = until(reply.text, contestant.stop).strip()
        answer = Answer(text, reply.tokens, reply.prompt_tokens or 0, reply.finish)
        return {"answer": answer.content(), "seconds": reply.seconds}

    def answered(messages: list[Message]) -> dict:
        try:
            return before.get(messages, lambda: make(messages))
        except server_request.NotTaken as refused:
            return {"answer": Answer("", 0, 0, refused.finish).content(), "seconds": 0.0}

    marked = [bool(first_mark(turn["content"] for turn in messages)) for messages in asked]
    paths = [before.path(messages) for messages in asked]
    sent = [(path, messages) for path, messages, refused in zip(paths, asked, marked, strict=True) if not refused]
    different = dict(sent)  # equal prompts are asked once
    fresh = {path for path in different if not path.exists()}
    answer_at, times = {}, Counter(path for path, _ in sent)
    for path, reply in zip(different, pool.map(answered, list(different.values())), strict=True):
        answer = Answer(**reply["answer"], seconds=reply["seconds"])
        answer_at[path] = answer if thoughtful else replace(answer, text=separated(answer.text)[1])
        progress.add(times[path], contestant=contestant.name)
    progress.add(sum(marked), contestant=contestant.name)
    seconds = time.monotonic() - start
    written = sum(answer_at[path].tokens for path in fresh)
    all_answers = [unreadable(REFUSED) if refused else answer_at[path] for path, refused in zip(paths, marked, strict=True)]
    speed = {"seconds": seconds, "asked": len(fresh), "tokens": written, "tokens_per_second": written / seconds}
    speed["marked"] = sum(marked)
    return all_answers, speed | latencies(all_answers)


def possible(contestant: Contestant, provider: str, options: Generate) -> None:
    """Refuse an option that the server would pass over in silence.

    Raises:
        StageError: naming the option.
    """
    wanted = {"min_new_tokens": (0, 1)} | ({name: (off,) for name, off in OFF.items()} if provider == "openai" else {})
    for name, legal in wanted.items():
        if (value := getattr(options, name)) not in legal:
            raise StageError(
                f"generate.{name}, asked of {contestant.folder}",
                str(value),
                f"{' or '.join(map(str, legal))}: a server of kind {provider} has no such option",
                "edit params.yaml",
            )


def context(asked: list[list[Message]], max_tokens: int) -> int:
    """Tokens of context to ask Ollama for: a power of two that holds the longest prompt and the answer.

    A prompt is taken for as many tokens as it has bytes, which is the most. There is one number for a whole run, for Ollama
    loads the model anew for every other number.
    """
    longest = max((sum(len(turn["content"].encode()) + 16 for turn in messages) for messages in asked), default=0)
    return max(LEAST_CONTEXT, 1 << (longest + max_tokens - 1).bit_length())
