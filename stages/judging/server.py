"""The opinion of a language model behind a server: scores of all answers and of controls, and tuned against base."""

import random
from collections.abc import Iterator

import numpy as np

from stages.common.schema_models import OllamaJudge, OpenAIJudge
from stages.judging import prompt_files
from stages.judging.asking import ASK_AGAIN, Asker, Verdict
from stages.judging.controls import question
from stages.judging.intervals import Bootstrap
from stages.judging.opinion import Opinion
from stages.judging.pairwise import rates, settle
from stages.judging.prompt_files import INTEGER, SCORE, WINNER

EMPTY = "empty answer"  # the reason given for the lowest score, which needs no judge
Texts = dict[str, list[str]]  # answers [n] by contestant, or by kind of control


class ServerJudge:
    """One judge of params.yaml."""

    def __init__(self, name: str, options: OllamaJudge | OpenAIJudge, seed: int):
        self.name, self.options, self.seed = name, options, seed
        self.prompt = prompt_files.load(options.prompt, (INTEGER, SCORE))
        self.versus = prompt_files.load(options.pairwise, (WINNER,)) if options.pairwise else None
        self.asker = Asker(name, options, seed)

    def opinion(self, rows: list[dict], answers: Texts, known: Texts, bootstrap: Bootstrap) -> Opinion:
        """Verdicts on all answers, on the controls of some rows, and, where asked for, on tuned against the better base.

        Raises:
            StageError: if the server is down, or gave no verdict at all on a contestant or on a kind of control.
        """
        chosen = sorted(random.Random(self.seed).sample(range(len(rows)), min(self.options.controls, len(rows))))
        places = dict.fromkeys(answers, range(len(rows))) | {f"control {kind}": chosen for kind in known}
        texts = answers | {f"control {kind}": texts for kind, texts in known.items()}
        jobs = [(contestant, place) for contestant in places for place in places[contestant]]
        found: dict[str, list[float]] = {contestant: [] for contestant in places}
        made = Opinion({}, chosen, {}, (self.prompt.low, self.prompt.high), {})
        for (contestant, place), verdict in zip(jobs, self._scores(rows, texts, jobs), strict=True):
            note(made, contestant, place, verdict)
            found[contestant].append(np.nan if verdict.failed else verdict.value)
        made.scores = {contestant: np.array(found[contestant], float) for contestant in answers}
        made.controls = {kind: np.array(found[f"control {kind}"], float) for kind in known}
        made.require_verdicts(self.name, self._fix())
        rivals = [contestant for contestant in answers if contestant.startswith("base")]
        if self.versus and rivals:
            best = max(rivals, key=lambda contestant: np.nanmean(made.scores[contestant]))
            made.pairs = self._pairs(made, rows, answers["tuned"], answers[best])
            lengths = [len(one) - len(two) for one, two in zip(answers["tuned"], answers[best], strict=True)]
            if made.pairs:
                made.versus = {"over": best, **rates(made.pairs, np.array(lengths, float), bootstrap)}
        made.about = self._about()
        return made

    def _fix(self) -> str:
        """What to try where there is no verdict."""
        limits = "max_tokens or num_ctx" if self.options.kind == "ollama" else "max_tokens"
        fix = f"try another model or prompt, or more attempts or {limits} (docs/judging.md)"
        kept = self.asker.kept_failures
        return f"{fix}. {kept} of these failures are kept from an earlier run: {ASK_AGAIN}" if kept else fix

    def _about(self) -> dict:
        left_out = {"left_out": ", ".join(sorted(self.asker.left_out))} if self.asker.left_out else {}
        prompts = {"prompt": self.prompt, "pairwise_prompt": self.versus}
        return {
            "kind": self.options.kind,
            "model": self.options.model,
            **self.asker.identity,
            **({"answered_as": sorted(self.asker.models)} if self.asker.models else {}),
            **{key: {"file": prompt.name, "sha256": prompt.sha256} for key, prompt in prompts.items() if prompt},
            "options": self.asker.settings | left_out,
        }

    def _scores(self, rows: list[dict], texts: Texts, jobs: list[tuple[str, int]]) -> Iterator[Verdict]:
        """A verdict for each (contestant, row); an empty answer gets the lowest score unasked."""
        full = [(contestant, i) for contestant, i in jobs if texts[contestant][i].strip()]
        given = self.asker.ask(self.prompt, [asked(rows[i], answer=texts[contestant][i]) for contestant, i in full], "scores")
        given = dict(zip(full, given, strict=True))
        return (given.get(job) or Verdict(self.prompt.low, EMPTY) for job in jobs)

    def _pairs(self, made: Opinion, rows: list[dict], tuned: list[str], base: list[str]) -> dict[int, dict]:
        """Comparisons by row, without those that failed. Like answers are a tie, and an empty one loses, unasked."""
        settled, open_ = {}, []
        for i, (one, two) in enumerate(zip(tuned, base, strict=True)):
            if one.strip() == two.strip():
                settled[i] = settle("tie", "tie")
            elif not one.strip() or not two.strip():
                settled[i] = settle("A", "B") if one.strip() else settle("B", "A")
            else:
                open_.append(i)
        both = [(i, one, two) for i in open_ for one, two in ((tuned[i], base[i]), (base[i], tuned[i]))]
        orders = [asked(rows[i], first=one, second=two) for i, one, two in both]
        given = self.asker.ask(self.versus, orders, "pairs")
        for i, first, second in zip(open_, given[::2], given[1::2], strict=True):
            note(made, "pair, tuned first", i, first)
            note(made, "pair, base first", i, second)
            if not (first.failed or second.failed):
                settled[i] = settle(first.value, second.value)
        return dict(sorted(settled.items()))


def asked(row: dict, **answers: str) -> dict[str, str]:
    """The fields of a prompt."""
    return {"question": question(row), "expected": row["expected"], **answers}


def note(made: Opinion, contestant: str, place: int, verdict: Verdict) -> None:
    """Keep what was thought before a verdict and its reasons, or why there is none."""
    if verdict.thinking:
        made.thinking.setdefault(contestant, {})[place] = verdict.thinking
    if verdict.failed:
        made.failed.setdefault(contestant, {})[place] = verdict.failed
        made.said.setdefault(verdict.failed, verdict.said)
    elif verdict.reasons:
        made.reasons.setdefault(contestant, {})[place] = verdict.reasons
