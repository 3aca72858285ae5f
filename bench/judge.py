"""The embedded judge on answers of two models that others published, beside chrF.

    python bench/judge.py FILE [--encoder models/minilm]

FILE is JSON: a list of rows with `instruction`, `input`, `output` (the expected answer) and two columns more, an answer each
(such as the example data of rasbt/LLMs-from-scratch, chapter 7). `dvc repro base@minilm` makes what it needs.

Printed are, of the rows where chrF to the expected answer differs by over 10 points, the share where the judge prefers the
answer of the higher chrF, and its area under the ROC curve of exact answers (but for case and white space) against others.
chrF is no person: `bench/judge_people.py` says how far the judge agrees with people.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sacrebleu.metrics import CHRF
from sklearn.metrics import roc_auc_score

from stages.common.text_keys import folded_key
from stages.judging.embedded import EmbeddedJudge
from stages.judging.encoder import Encoder
from stages.judging.signals import Signals
from stages.models import runtime

APART = 10  # points of chrF between two answers that are clearly not as good


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--encoder", type=Path, default=Path("models/minilm"))
    asked = parser.parse_args(arguments)
    rows = json.loads(asked.file.read_text(encoding="utf-8"))
    models = [column for column in rows[0] if column not in ("instruction", "input", "output")]
    if len(models) != 2:
        parser.error(f"{asked.file}: answers of {', '.join(models) or 'none'}; expected two columns of answers")

    runtime.deterministic()
    judge = EmbeddedJudge(Signals(Encoder(asked.encoder)))
    questions = [row["instruction"] + f"\n\n{row['input']}" * bool(row["input"]) for row in rows]
    expected = [row["output"] for row in rows]
    scores, chrf, exact = [], [], []
    for model in models:
        answers = [row[model] for row in rows]
        scores.append(judge.score(list(zip(questions, expected, answers, strict=True))))
        chrf.append([CHRF().sentence_score(answer, [meant]).score for answer, meant in zip(answers, expected, strict=True)])
        exact.append([folded_key(answer) == folded_key(meant) for answer, meant in zip(answers, expected, strict=True)])
    gain, better = np.subtract(*scores), np.subtract(*chrf)
    apart = np.abs(better) > APART
    agree = np.sign(gain[apart]) == np.sign(better[apart])
    print(f"{len(rows)} rows, answers of {' and '.join(models)}; mean scores {', '.join(f'{s.mean():.1f}' for s in scores)}")
    print(f"the judge prefers the answer of the higher chrF in {agree.sum()} of {apart.sum()} rows ({agree.mean():.1%})")
    if 0 < np.sum(exact) < np.size(exact):
        area = roc_auc_score(np.ravel(exact), np.ravel(scores))
        print(f"{np.sum(exact)} exact answers against {np.size(exact) - np.sum(exact)} others: area under the curve {area:.3f}")


if __name__ == "__main__":
    main()
