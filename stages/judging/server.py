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

    def opinion(self, rows: list[dict], answers: Texts, controls: Texts, bootstrap: Bootstrap) -> Opinion:
        """Verdicts on all answers and on the controls of some rows. Where asked for, also on tuned against the better base.

        Raises:
            StageError: if the server is down, or gave no verdict at all on a contestant or on a kind of control.
        """
        chosen = sorted(random.Random(self.seed).sample(range(len(rows)), min(self.options.controls, len(rows))))
        places = dict.fromkeys(answers, range(len(rows))) | {f"control {kind}": chosen for kind in controls}
        texts = answers | {f"control {kind}": texts for kind, texts in controls.items()}
        jobs = [(contestant, place) for contestant in places for place in places[contestant]]
        scores: dict[str, list[float]] = {contestant: [] for contestant in places}
        opinion = Opinion({}, chosen, {}, (self.prompt.low, self.prompt.high), {})
        for (contestant, place), verdict in zip(jobs, self._scores(rows, texts, jobs), strict=True):
            note(opinion, contestant, place, verdict)
            scores[contestant].append(np.nan if verdict.failed else verdict.value)
        opinion.scores = {contestant: np.array(scores[contestant], float) for contestant in answers}
        opinion.controls = {kind: np.array(scores[f"control {kind}"], float) for kind in controls}
        opinion.require_verdicts(self.name, self._fix())
        rivals = [contestant for contestant in answers if contestant.startswith("base")]
        if self.versus and rivals:
            best = max(rivals, key=lambda contestant: np.nanmean(opinion.scores[contestant]))
            opinion.pairs = self._pairs(opinion, rows, answers["tuned"], answers[best])
            lengths = [len(tuned) - len(base) for tuned, base in zip(answers["tuned"], answers[best], strict=True)]
            if opinion.pairs:
                opinion.versus = {"over": best, **rates(opinion.pairs, np.array(lengths, float), bootstrap)}
        opinion.about = self._about()
        return opinion

    def _fix(self) -> str:
        """What to try where there is no verdict."""
        limits = "max_tokens or num_ctx" if self.options.kind == "ollama" else "max_tokens"
        fix = f"try another model or prompt, or more attempts or {limits} (docs/llm_judge.md)"
        kept_failures = self.asker.kept_failures
        return f"{fix}. {kept_failures} of these failures are kept from an earlier run: {ASK_AGAIN}" if kept_failures else fix

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
        """A verdict for each (contestant, row). An empty answer gets the lowest score unasked."""
        full = [(contestant, i) for contestant, i in jobs if texts[contestant][i].strip()]
        fields = [asked(rows[i], answer=texts[contestant][i]) for contestant, i in full]
        verdicts = dict(zip(full, self.asker.ask(self.prompt, fields, "scores"), strict=True))
        return (verdicts.get(job) or Verdict(self.prompt.low, EMPTY) for job in jobs)

    def _pairs(self, opinion: Opinion, rows: list[dict], tuned: list[str], base: list[str]) -> dict[int, dict]:
        """Comparisons by row, without those that failed.

        Two cases are not asked: equal answers are a tie, and an empty answer loses.
        """
        settled, open_ = {}, []
        for i, (tuned_answer, base_answer) in enumerate(zip(tuned, base, strict=True)):
            if tuned_answer.strip() == base_answer.strip():
                settled[i] = settle("tie", "tie")
            elif not tuned_answer.strip() or not base_answer.strip():
                settled[i] = settle("A", "B") if tuned_answer.strip() else settle("B", "A")
            else:
                open_.append(i)
        both = [(i, first, second) for i in open_ for first, second in ((tuned[i], base[i]), (base[i], tuned[i]))]
        orders = [asked(rows[i], first=first, second=second) for i, first, second in both]
        verdicts = self.asker.ask(self.versus, orders, "pairs")
        for i, first, second in zip(open_, verdicts[::2], verdicts[1::2], strict=True):
            note(opinion, "pair, tuned first", i, first)
            note(opinion, "pair, base first", i, second)
            if not (first.failed or second.failed):
                settled[i] = settle(first.value, second.value)
        return dict(sorted(settled.items()))


def asked(row: dict, **answers: str) -> dict[str, str]:
    """The fields of a prompt."""
    return {"question": question(row), "expected": row["expected"], **answers}


def note(opinion: Opinion, contestant: str, place: int, verdict: Verdict) -> None:
    """Keep what was thought before a verdict and its reasons, or why there is none."""
    if verdict.thinking:
        opinion.thinking.setdefault(contestant, {})[place] = verdict.thinking
    if verdict.failed:
        opinion.failed.setdefault(contestant, {})[place] = verdict.failed
        opinion.said.setdefault(verdict.failed, verdict.said)
    elif verdict.reasons:
        opinion.reasons.setdefault(contestant, {})[place] = verdict.reasons
