"""Judges against people: how far scores agree with the marks that people gave to the same answers.

    python bench/judge_people.py FOLDER [--encoder models/minilm] [--servers params.yaml MODEL] [--rows 0] [--resamples 1000]

FOLDER holds files `<set>*.jsonl`, a judged answer a line: `set, group` (the question), `question, reference` (the expected
answer), `answer, human` (the mark, 0 to 1), `right` (null where people only compared). `python bench/judged_sets.py` makes the
public ones from their sources; any file of that shape will do.

Judges: `content` is the embedded judge as it is shipped; `content, held out` is fitted on the other domains of FOLDER;
`--servers` adds every judge of params.yaml's models.MODEL.judge that a server serves (Llama 3 by recipes/judge_ollama.yaml).
Beside them chrF, ROUGE-L, token F1, the cosine of TF-IDF vectors (weights from the set's expected answers), of the encoder's
embeddings, and BERTScore's F1 by the encoder's last layer. Intervals are of 95 %, questions resampled.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sacrebleu.metrics import CHRF

from bench.agreement import FIGURES, Judged, agreement, read_sets
from bench.fit_judge import TESTING_ONLY, held_out
from stages.common.params import section
from stages.judging import prompt_files
from stages.judging.asking import Asker
from stages.judging.embedded import EmbeddedJudge
from stages.judging.encoder import Encoder
from stages.judging.metrics import Overlap, rouge_l
from stages.judging.prompt_files import INTEGER, SCORE
from stages.judging.signals import Signals, words

Judge = Callable[[Judged], np.ndarray]  # scores [n] of 0 to 100


def chrf(judged: Judged) -> np.ndarray:
    """chrF of each answer."""
    metric = CHRF()
    return np.array([metric.sentence_score(answer, [meant]).score for _, meant, answer in judged.texts])


def rouge(judged: Judged) -> np.ndarray:
    """ROUGE-L."""
    return np.array([100 * rouge_l(answer, meant) for _, meant, answer in judged.texts])


def token_f1(judged: Judged) -> np.ndarray:
    """F1 of words, as SQuAD counts it."""
    scores = []
    for _, meant, answer in judged.texts:
        given_words, expected = Counter(words(answer)), Counter(words(meant))
        shared = (given_words & expected).total()
        scores.append(200 * shared / (given_words.total() + expected.total()) if shared else 0.0)
    return np.array(scores)


def tfidf(judged: Judged) -> np.ndarray:
    """Cosine of TF-IDF vectors, weights from the expected answers."""
    meant = sorted({meant for _, meant, _ in judged.texts})
    return 100 * Overlap(meant).score(judged.texts)


class Likeness:
    """What the encoder alone says."""

    def __init__(self, encoder: Encoder):
        self.encoder = encoder

    def cosine(self, judged: Judged) -> np.ndarray:
        """Cosine of the embeddings of answer and expected answer."""
        meant, answers = (self.encoder.vectors([texts[place] for texts in judged.texts]) for place in (1, 2))
        return 100 * np.clip((meant * answers).sum(1), 0, 1)

    def bertscore(self, judged: Judged) -> np.ndarray:
        """BERTScore's F1, without weights of rarity."""
        self.encoder.read(sorted({("", text) for texts in judged.texts for text in texts[1:]}))
        return np.array([100 * self._f1(*texts[1:]) for texts in judged.texts])

    def _f1(self, meant: str, answer: str) -> float:
        expected_states, answer_states = self.encoder["", meant].states, self.encoder["", answer].states
        if not len(expected_states) or not len(answer_states):
            return 0.0
        likeness = np.clip(expected_states @ answer_states.T, 0, None)
        recall, precision = likeness.max(1).mean(), likeness.max(0).mean()
        return float(2 * recall * precision / (recall + precision)) if recall + precision else 0.0


def of_server(asker: Asker, prompt: prompt_files.Prompt) -> Judge:
    """The scores of a language model behind a server; a failed verdict counts as the lowest."""

    def judge(judged: Judged) -> np.ndarray:
        fields = [{"question": question, "expected": meant, "answer": answer} for question, meant, answer in judged.texts]
        verdicts = asker.ask(prompt, fields, "people's sets")
        values = [prompt.low if verdict.failed else float(verdict.value) for verdict in verdicts]
        return 100 * (np.array(values) - prompt.low) / (prompt.high - prompt.low)

    return judge


def served(file: Path, model: str) -> dict[str, Judge]:
    """Every judge of a model in params.yaml that a server serves."""
    params = section("models", model, "judge", file)
    judges = {}
    for name, options in params.judges.items():
        if options.kind != "embedded":
            judges[name] = of_server(Asker(name, options, params.seed), prompt_files.load(options.prompt, (INTEGER, SCORE)))
    return judges


def by_set(judge: Judge, judged: Judged) -> np.ndarray:
    """Scores of all rows, a set at a time."""
    return np.concatenate([judge(part) for part in judged.by_set()])


def chosen(judged: Judged, rows: int, seed: int = 1) -> Judged:
    """At most `rows` answers of each set, drawn by `seed`, all to a question together; 0: all."""
    if not rows:
        return judged
    taken = np.zeros(len(judged.sets), bool)
    for name in dict.fromkeys(judged.sets.tolist()):
        places = np.flatnonzero(judged.sets == name)
        groups = sorted(set(judged.groups[places].tolist()))
        for group in random.Random(seed).sample(groups, len(groups)):
            own = places[judged.groups[places] == group]
            if taken[places].sum() + len(own) <= rows or not taken[places].any():
                taken[own] = True
    return judged.at(taken)


def show(table: dict[str, dict], figure: str) -> str:
    """A figure of every judge on every set as a Markdown table, and its mean over the sets."""
    sets = list(next(iter(table.values())))
    lines = [f"| {figure} | {' | '.join(sets)} | mean |", "|---" * (len(sets) + 2) + "|"]
    for name, figures_by_set in table.items():
        intervals = [figures_by_set[name_of_set][figure] for name_of_set in sets]
        cells = [_cell(interval) for interval in intervals]
        mean = np.nanmean([interval["value"] for interval in intervals])
        lines.append(f"| {name} | {' | '.join(cells)} | {mean:.2f} |")
    return "\n".join(lines)


def _cell(interval: dict[str, float]) -> str:
    return "–" if np.isnan(interval["value"]) else f"{interval['value']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", type=Path, default=Path("models/minilm"))
    parser.add_argument("--servers", nargs=2, metavar=("PARAMS", "MODEL"), help="judges of a model in a params.yaml")
    parser.add_argument("--rows", type=int, default=0, help="answers of each set (default: all)")
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args(arguments)
    _, judged = read_sets(options.folder)
    judged = chosen(judged, options.rows)
    encoder = Encoder(options.encoder)
    signals, likeness = Signals(encoder), Likeness(encoder)
    judges: dict[str, Judge] = {"content": lambda part: EmbeddedJudge(signals).score(part.items())}
    judges |= served(Path(options.servers[0]), options.servers[1]) if options.servers else {}
    judges |= {"chrF": chrf, "ROUGE-L": rouge, "token F1": token_f1, "TF-IDF": tfidf}
    judges |= {f"cosine ({options.encoder.name})": likeness.cosine, f"BERTScore ({options.encoder.name})": likeness.bertscore}
    scores = {name: by_set(judge, judged) for name, judge in judges.items()}
    if len({*judged.sets} - TESTING_ONLY) > 1:
        of_signals = by_set(lambda part: signals(part.items()), judged)
        scores = {"content, held out": held_out(of_signals, judged), **scores}
    table = {name: agreement(judged, values, options.resamples) for name, values in scores.items()}
    rows, questions = (
        Counter(judged.sets.tolist()),
        {name: len(set(judged.groups[judged.sets == name])) for name in judged.sets},
    )
    print("; ".join(f"{name}: {rows[name]} answers to {questions[name]} questions" for name in rows))
    for figure in FIGURES:
        print(f"\n{show(table, figure)}")


if __name__ == "__main__":
    main()
