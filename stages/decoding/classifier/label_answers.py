"""Labels of the test rows, with a probability for each: by the tuned classifier and by what it must beat."""

import re
import time
from collections import Counter

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from stages.common import sanity
from stages.common.errors import StageError
from stages.common.files import read_json, read_rows, write_rows
from stages.common.progress import Progress
from stages.common.rows import FormattedLabel, LabelAnswers
from stages.common.schema_models import Classify
from stages.common.speed import write_speed
from stages.decoding.classifier.classifying import Probabilities, probabilities, rounded
from stages.decoding.paths import Paths
from stages.models import runtime
from stages.models.directory import load_tokenizer
from stages.models.tokenizer_marks import marks


def majority(training: list[FormattedLabel], count: int) -> Probabilities:
    """Each label by its share of the training rows, for every text alike."""
    labels = Counter(row["label"] for row in training)
    return [rounded({label: n / len(training) for label, n in labels.items()})] * count


def unit(training: list[FormattedLabel]) -> str:
    """What TF-IDF reads: `word`, or `char` where no training text has a word of two letters (such as `1 + 2`)."""
    return "word" if any(re.search(r"\b\w\w", row["text"]) for row in training) else "char"


def words(training: list[FormattedLabel], texts: list[str], seed: int) -> Probabilities:
    """Logistic regression over TF-IDF of words and pairs of words, or of characters. A language model is measured by it."""
    model = make_pipeline(
        TfidfVectorizer(analyzer=unit(training), ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000, random_state=seed),
    )
    model.fit([row["text"] for row in training], [row["label"] for row in training])
    return [rounded(dict(zip(model.classes_, map(float, shares), strict=True))) for shares in model.predict_proba(texts)]


def generate_labels(name: str, params: Classify, paths: Paths) -> None:
    """Answer with `tuned`, `parent` (in a later round), `majority` and `tfidf`.

    The speed counts texts with a mark of the tokenizer in them (`marked`).
    """
    runtime.deterministic()
    runtime.keep_memory()
    labels = read_json(paths.formatted / "labels.json")["labels"]
    rows, training = list(read_rows(paths.formatted / "test")), list(read_rows(paths.formatted / "train"))
    if not rows:
        raise StageError(paths.formatted / "test", "no row", "at least one to answer", "raise datasets.<name>.split.test")
    texts = [row["text"] for row in rows]
    classifiers = {"tuned": paths.model} | ({"parent": paths.base} if paths.base != paths.root else {})
    shares_of, speeds = {}, {}
    with Progress(len(rows) * len(classifiers), f"generate {name}", "label") as progress:
        for contestant, folder in classifiers.items():
            start = time.monotonic()
            shares_of[contestant] = probabilities(folder, texts, labels, params, progress)
            marked = sum(map(marks(load_tokenizer(folder)).inside, texts))
            speeds[contestant] = {"seconds": time.monotonic() - start, "texts": len(texts), "marked": marked}
    shares_of |= {"majority": majority(training, len(rows)), "tfidf": words(training, texts, params.seed)}
    lines = [answered(row, {contestant: shares[i] for contestant, shares in shares_of.items()}) for i, row in enumerate(rows)]
    if unit(training) == "char":  # judge says so
        for line in lines:
            line["answers"]["tfidf"]["reads"] = "char"
    write_rows(paths.out, lines)
    sanity.raised("generate", name, sanity.answers(lines))  # said here, and written down by judge
    write_speed(paths.speed, speeds, runtime.environment())


def answered(row: FormattedLabel, shares: dict[str, dict[str, float]]) -> LabelAnswers:
    """A row of the answers file."""
    answers = {contestant: {"label": next(iter(likely)), "probabilities": likely} for contestant, likely in shares.items()}
    return {"id": row["id"], "task": "label", "text": row["text"], "expected": row["label"], "answers": answers}
