"""Labels of the test rows, with a probability for each: by the tuned classifier and by what it must beat to be worth it."""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from stages.common.files import read_json, read_rows, write_json, write_rows
from stages.common.progress import Progress
from stages.common.rows import FormattedLabel, LabelAnswers
from stages.common.schema_models import Classify
from stages.common.scratch import code_hash, content_hash, fingerprint, remember, scratch
from stages.models import directory, runtime
from stages.tasks import classifier

Probabilities = list[dict[str, float]]


@torch.inference_mode()
def classify(folder: Path, texts: list[str], labels: list[str], options: Classify, progress: Progress) -> Probabilities:
    """The probability of each label for each text, by the classifier in `folder`; like lengths together."""
    device = runtime.device()
    model = directory.load(folder, "classifier").to(device)
    tokenizer = directory.load_tokenizer(folder)
    encoded = classifier.encode_texts(texts, tokenizer, directory.context_length(folder))
    examples = [classifier.Labelled(str(i), tokens, 0) for i, tokens in enumerate(encoded)]
    order = sorted(range(len(texts)), key=lambda i: (len(encoded[i]), i))
    task = classifier.Classifier(1, model.config.pad_token_id, [1.0] * len(labels))
    found: dict[int, dict[str, float]] = {}
    for start in range(0, len(order), options.batch_rows):
        group = order[start : start + options.batch_rows]
        batch = task.collate([examples[i] for i in group]).to(device)
        with runtime.autocast(device, runtime.precision(options.precision, device)):
            shares = model(**batch.inputs).logits.float().softmax(-1).tolist()
        found |= {i: rounded(dict(zip(labels, share, strict=True))) for i, share in zip(group, shares, strict=True)}
        progress.add(len(group))
    return [found[i] for i in range(len(texts))]


def rounded(shares: dict[str, float]) -> dict[str, float]:
    """Probabilities to six places, the likeliest label first."""
    return {label: round(share, 6) for label, share in sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))}


def majority(training: list[FormattedLabel], count: int) -> Probabilities:
    """What needs no text: each label by its share of the training rows."""
    labels = Counter(row["label"] for row in training)
    return [rounded({label: n / len(training) for label, n in labels.items()})] * count


def words(training: list[FormattedLabel], texts: list[str], seed: int) -> Probabilities:
    """Logistic regression over TF-IDF of words and pairs of words: what a language model is measured by."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10, max_iter=1000, random_state=seed)
    )
    model.fit([row["text"] for row in training], [row["label"] for row in training])
    return [rounded(dict(zip(model.classes_, map(float, shares), strict=True))) for shares in model.predict_proba(texts)]


def generate_labels(name: str, params: Classify, formatted: Path, model: Path, base: Path, root: Path, out: Path, speed: Path):
    """Answer with `tuned`, `parent` (in a later round), `majority` and `tfidf`."""
    runtime.deterministic()
    labels = read_json(formatted / "labels.json")["labels"]
    rows, training = list(read_rows(formatted / "test")), list(read_rows(formatted / "train"))
    texts = [row["text"] for row in rows]
    classifiers = {"tuned": model} | ({"parent": base} if base != root else {})
    made, speeds = {}, {}
    settings = params.model_dump(exclude={"seed"})
    with Progress(len(rows) * len(classifiers), f"generate {name}", "label") as progress:
        for who, folder in classifiers.items():
            start = time.monotonic()
            place = scratch("generate", "labels", fingerprint(content_hash(folder), settings, code_hash(classifier)))
            make: Callable[[], Probabilities] = partial(classify, folder, texts, labels, params, progress)
            made[who] = remember(place, fingerprint(texts), make)
            speeds[who] = {"seconds": time.monotonic() - start, "texts": len(texts)}
    made |= {"majority": majority(training, len(rows)), "tfidf": words(training, texts, params.seed)}
    write_rows(out, (answered(row, {who: shares[i] for who, shares in made.items()}) for i, row in enumerate(rows)))
    write_json(speed, speeds | runtime.environment())


def answered(row: FormattedLabel, shares: dict[str, dict[str, float]]) -> LabelAnswers:
    """A row of the answers file."""
    answers = {who: {"label": next(iter(of)), "probabilities": of} for who, of in shares.items()}
    return {"id": row["id"], "task": "label", "text": row["text"], "expected": row["label"], "answers": answers}
