"""The embedded judge on answers of two models that others published, beside chrF.

    python bench/judge.py FILE [--dataset instructions] [--base smollm2] [--encoder minilm] [--controls 48]

FILE is JSON: a list of rows with `instruction`, `input`, `output` (the expected answer) and two columns more, an answer each
(such as the example data of rasbt/LLMs-from-scratch, chapter 7). The judge is fitted as in a run, on the training rows of
`--dataset`; `dvc repro format@instructions base@smollm2 base@minilm` makes what it needs.

Printed are, of the rows where chrF to the expected answer differs by over 10 points, the share where the judge prefers the
answer of the higher chrF, and its area under the ROC curve of exact answers (but for case and white space) against others.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sacrebleu.metrics import CHRF
from sklearn.metrics import roc_auc_score

from stages.common.files import read_rows
from stages.common.schema_models import EmbeddedJudge as Options
from stages.common.text import folded_key
from stages.judging.signals import Encoder
from stages.judging.text import fit_embedded
from stages.models import directory, runtime

ROOT = Path(__file__).resolve().parent.parent
APART = 10  # points of chrF between two answers that are clearly not as good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--dataset", default="instructions")
    parser.add_argument("--base", default="smollm2")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--controls", type=int, default=48)
    asked = parser.parse_args()
    rows = json.loads(asked.file.read_text(encoding="utf-8"))
    models = [column for column in rows[0] if column not in ("instruction", "input", "output")]
    if len(models) != 2:
        parser.error(f"{asked.file}: answers of {', '.join(models) or 'none'}; expected two columns of answers")

    runtime.deterministic()
    place = ROOT / "models" / asked.encoder
    encoder = Encoder(directory.load(place, "encoder").to(runtime.device()), directory.load_tokenizer(place))
    training = list(read_rows(ROOT / "data" / asked.dataset / "formatted" / "train"))
    options = Options(kind="embedded", controls=asked.controls, prefix_tokens=24, warn_below=0.8)
    judge = fit_embedded(options, training, encoder, ROOT / "models" / asked.base, seed=1)

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
    area = roc_auc_score(np.ravel(exact), np.ravel(scores))
    print(f"{np.sum(exact)} exact answers against {np.size(exact) - np.sum(exact)} others: area under the curve {area:.3f}")


if __name__ == "__main__":
    main()
