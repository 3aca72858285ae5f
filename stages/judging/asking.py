"""Verdicts of a language model behind a server: asked by prompt files, checked, counted and kept.

A verdict is kept as soon as it is there, so that nothing is asked twice. Its key is made of the prompt, the model, the options,
the question and the answers.

A verdict that the model failed to give is kept too. Later runs say so. They ask again only when the parameters allow more
attempts or more time.

A verdict that was lost on the way (timeout, server error), or that the server rejected, is kept only when the whole pass came
to its end and the server gave other verdicts. Many of these in a row stop the run. A failure of the model's name, the key or
the account stops it at once.

| kind of failure | what |
|---|---|
| unparsable | the reply is not what the prompt asks for |
| out_of_range | the reply is as asked, but its score lies outside the scale |
| truncated | the prompt did not fit the context, or the verdict did not fit max_tokens |
| refused | the model or its provider declined, or a filter of contents did |
| rejected | the server refused the request |
| timeout, server_error, too_large | no answer in time, none that can be read, or one of over 4 MiB |
"""

import json
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.common import kept
from stages.common.errors import StageError
from stages.common.files import clean_text
from stages.common.progress import Progress
from stages.common.schema_models import OllamaJudge, OpenAIJudge
from stages.common.text_keys import shorten
from stages.judging.prompt_files import BadVerdict, Prompt
from stages.servers.chat_server import Options, separated
from stages.servers.failures import Rejected, Unanswered
from stages.servers.families import connect
from stages.servers.known import identity
from stages.servers.pool import Pool
from stages.servers.turn_marks import first_mark

ASK_AGAIN = "to ask again for these alone, raise the judge's attempts or timeout_seconds"
AGAIN = 0.5  # temperature of a second try: at 0 the first reply would come again
SILENCE = 10  # such failures in a row, at least, after which the server is taken for down
OF_SERVER = {"timeout", "server_error", "too_large", "rejected"}  # they say nothing of the judge


@dataclass(frozen=True)
class Verdict:
    """What the model said of one answer, or of two.

    Args:
        value: a score, or A, B or tie; None where it failed.
        reasons: in the model's words, where the prompt asks for them.
        failed: the kind of failure; "" where there is none.
        said: what the model replied instead of a verdict.
        model: what the server calls the model.
        tokens: written by the model.
        thinking: what a reasoning model thought before the verdict.
        left_out: the options that the server refused, separated by commas.
    """

    value: float | str | None
    reasons: str = ""
    failed: str = ""
    said: str = ""
    model: str = ""
    tokens: int = 0
    thinking: str = ""
    left_out: str = ""


class Asker:
    """One judge's server.

    `identity` tells its model from others. `spent` is for the speed file.
    """

    def __init__(self, name: str, options: OllamaJudge | OpenAIJudge, seed: int):
        self.name, self.options = name, options
        self.settings = {"temperature": 0, "max_tokens": options.max_tokens, "seed": seed}
        if options.kind == "ollama":
            self.settings["num_ctx"] = options.num_ctx
        num_ctx = self.settings.get("num_ctx", 0)
        self.chat = connect(options.kind, options.base_url, options.model, options.timeout_seconds, num_ctx)
        self.identity = identity(self.chat, options.kind, options.base_url, options.model)
        self.spent = {"verdicts": 0, "kept_from_before": 0, "tokens": 0}
        self.models: set[str] = set()  # as the server names them
        self.left_out: set[str] = set()  # options that it refused
        self.kept_failures = 0
        self.silent, self.lock = 0, threading.Lock()

    def ask(self, prompt: Prompt, asked: list[dict[str, str]], kind: str) -> list[Verdict]:
        """A verdict for each set of fields. Equal sets are asked once.

        Fields that hold a special token of some model are not sent: the server would take it for its own. Their verdict is a
        failure, `marks`.

        Args:
            asked: the fields of the prompt, by name.
            kind: what is asked for, as messages name it: `scores` or `pairs`.

        Raises:
            StageError: if the server is down or stays silent; the verdicts that it gave are kept.
        """
        before = kept.fetched("verdicts", self.options.kind, self.identity, self.settings, prompt.sha256)
        paths = [before.path(fields) for fields in asked]
        messages = {path: prompt.messages(fields) for path, fields in zip(paths, asked, strict=True)}
        verdicts = {path: verdict for path in messages if (verdict := self._kept(path))}
        kept_before = len(verdicts)
        for path, fields in zip(paths, asked, strict=True):
            if mark := first_mark(fields.values()):
                verdicts[path] = Verdict(None, failed="marks", said=f"not sent: {mark} may be a token of the server's model")
        todo = [path for path in messages if path not in verdicts]
        pool = Pool(self.chat, self.options.concurrency, self.options.attempts, self.options.timeout_seconds)

        def work(path: Path) -> Verdict:
            try:
                verdict = pool.persist(lambda number: self._try(prompt, messages[path], number))
            except Unanswered as failed:
                verdict = Verdict(None, failed=failed.kind, said=failed.reason)
            self._listen(verdict)
            if verdict.failed not in OF_SERVER:
                self._keep(path, verdict)
            return verdict

        with Progress(len(todo), f"judge {self.name} {kind}", "verdict") as progress:
            for path, verdict in zip(todo, pool.map(work, todo), strict=True):
                verdicts[path] = verdict
                progress.add(1)
        if any(verdicts[path].failed not in OF_SERVER for path in todo):  # else it is the server that fails
            for path in todo:
                if verdicts[path].failed in OF_SERVER:
                    self._keep(path, verdicts[path])
        before_failed = (verdicts[path].failed for path in messages.keys() - set(todo))
        self._tell_kept(sum(failed not in ("", "marks") for failed in before_failed), kind)
        self.models |= {verdict.model for verdict in verdicts.values() if verdict.model}
        self.left_out |= {name for verdict in verdicts.values() for name in verdict.left_out.split(", ") if name}
        self.spent["verdicts"] += len(verdicts)
        self.spent["kept_from_before"] += kept_before
        self.spent["tokens"] += sum(verdicts[path].tokens for path in todo)
        return [verdicts[path] for path in paths]

    def _try(self, prompt: Prompt, messages: list[dict], number: int) -> Verdict:
        """One try. A reply that is no verdict raises Unanswered and is asked for again at once."""
        temperature = AGAIN if number else 0.0
        seed = self.settings["seed"] + number
        options = Options(temperature, 1.0, 0, 1.0, self.options.max_tokens, seed, schema=prompt.schema())
        try:
            reply = self.chat.ask(messages, options)
        except Rejected as refused:
            kind = "truncated" if refused.too_long else "refused" if refused.declined else "rejected"
            return Verdict(None, failed=kind, said=str(refused))
        if reply.finish == "prompt too long":
            return Verdict(None, failed="truncated", said=f"{reply.prompt_tokens} tokens read", model=reply.model)
        thought, text = separated(reply.text)
        thinking = "\n".join(part for part in (reply.thinking, thought) if part)
        if thinking and not text.strip():
            text = f"nothing but thinking, {len(thinking)} characters of it: more max_tokens may do"
            raise Unanswered("truncated", text, at_once=True)
        if reply.finish != "stop":
            raise Unanswered("truncated" if reply.finish == "length" else "refused", shorten(text), at_once=True)
        try:
            value, reasons = prompt.read(text, messages[-1]["content"])
        except BadVerdict as bad:
            raise Unanswered(bad.kind, shorten(text), at_once=True) from None
        left_out = ", ".join(reply.left_out)
        return Verdict(
            value, reasons, model=reply.model, tokens=reply.tokens or 0, thinking=clean_text(thinking), left_out=left_out
        )

    def _listen(self, verdict: Verdict) -> None:
        """Stop at a server that fails on and on. It is taken for down, for its failures say nothing of the judge."""
        most = max(SILENCE, 2 * self.options.concurrency)
        with self.lock:
            self.silent = self.silent + 1 if verdict.failed in OF_SERVER else 0
            if self.silent >= most:
                reason = f"{verdict.failed} ({verdict.said}), for {most} verdicts in a row"
                if verdict.failed == "timeout":
                    raise self.chat.down(reason)
                fix = "look into the server's log; check model, base_url and the options of the judge"
                raise StageError(self.chat.where, reason, "a server that answers", fix)

    def _tell_kept(self, count: int, kind: str) -> None:
        """Say that failures of an earlier run stand, and how to have them asked again."""
        self.kept_failures += count
        if count:
            print(
                f"judge {self.name} {kind}: {count} failed verdicts are kept from an earlier run and were not asked for again; "
                f"{ASK_AGAIN}",
                file=sys.stderr,
            )

    def _kept(self, path: Path) -> Verdict | None:
        if not path.exists():
            return None
        entry = json.loads(path.read_text(encoding="utf-8"))
        patient = entry["attempts"] >= self.options.attempts and entry["timeout_seconds"] >= self.options.timeout_seconds
        return Verdict(**entry["verdict"]) if patient or not entry["verdict"]["failed"] else None

    def _keep(self, path: Path, verdict: Verdict) -> None:
        patience = {"attempts": self.options.attempts, "timeout_seconds": self.options.timeout_seconds}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(patience | {"verdict": asdict(verdict)}), encoding="utf-8")
        partial.replace(path)
