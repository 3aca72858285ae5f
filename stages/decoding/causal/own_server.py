"""Answers of the tuned model behind a server of one's own: many prompts in flight, each answer kept at once."""

import time
from dataclasses import asdict

from stages.common import kept
from stages.common.progress import Progress
from stages.common.rows import FormattedText
from stages.common.schema_models import Generate
from stages.common.scratch import content_hash
from stages.decoding import server_request
from stages.decoding.answers import Answer, latencies
from stages.decoding.causal.completions import Completions
from stages.decoding.causal.texts import Prompt, check_tokens, prompt_texts, said
from stages.decoding.contestants import Contestant
from stages.servers.pool import Pool


def answers(
    contestant: Contestant, rows: list[FormattedText], options: Generate, progress: Progress
) -> tuple[list[Answer], dict]:
    """One answer a row, and the speed. Answers are kept for the same server, prompts, options and model directory.

    Raises:
        StageError: if the server gives no answer, or reads other tokens than the model was trained on.
    """
    start = time.monotonic()
    server, folder = contestant.server, contestant.folder
    chat = Completions(server.kind, server.base_url, server.model, server_request.SECONDS, folder)
    settings = server_request.settings(options, contestant.stop)
    address = (server.kind, server.base_url, server.model)
    before = kept.fetched("served answers", *address, content_hash(folder), asdict(settings))
    pool = Pool(chat, options.batch_rows, server_request.ATTEMPTS, server_request.SECONDS)
    prompts, unasked, marked = prompt_texts(contestant, rows, options)
    fresh = []

    def make(prompt: Prompt) -> dict:
        text, tokens = prompt
        reply = server_request.ask(pool, text, settings)
        check_tokens(chat.where, reply.prompt_tokens, tokens)
        fresh.append(reply.tokens)
        return asdict(Answer(said(contestant, reply.text), reply.tokens, tokens, reply.finish, reply.seconds))

    def answered(prompt: Prompt) -> dict:
        try:
            return before.get(prompt, lambda: make(prompt))
        except server_request.NotTaken as refused:
            return asdict(Answer("", 0, prompt[1], refused.finish))

    different = list(dict.fromkeys(prompt for prompt in prompts if prompt is not None))  # like prompts are asked once
    replies = {}
    for prompt, reply in zip(different, pool.map(answered, different), strict=True):
        replies[prompt] = Answer(**reply)
        progress.add(prompts.count(prompt), contestant=contestant.name)
    progress.add(prompts.count(None), contestant=contestant.name)
    seconds = time.monotonic() - start
    all_answers = [instead or replies[prompt] for prompt, instead in zip(prompts, unasked, strict=True)]
    speed = {"seconds": seconds, "asked": len(fresh), "tokens": sum(fresh), "tokens_per_second": sum(fresh) / seconds}
    return all_answers, speed | {"marked": marked} | latencies(all_answers)
