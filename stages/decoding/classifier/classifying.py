"""The probability of each label for each text, by a classifier on this machine."""

from functools import partial
from pathlib import Path

import torch

from stages.common import kept
from stages.common.errors import StageError
from stages.common.progress import Progress
from stages.common.schema_models import Classify
from stages.decoding import products
from stages.models import directory, runtime
from stages.models.tokenizer_marks import readable
from stages.tasks import classifier

Probabilities = list[dict[str, float]]


def probabilities(folder: Path, texts: list[str], labels: list[str], options: Classify, progress: Progress) -> Probabilities:
    """What `classify` returns, made once for the same classifier, texts and code (stages/common/kept.py)."""
    dtype = runtime.precision(options.precision, runtime.device())
    before = kept.computed("labels", __name__, [folder], [options.batch_rows, labels], runtime.machine(dtype))
    return before.get(texts, partial(classify, folder, texts, labels, options, progress))


@torch.inference_mode()
def classify(folder: Path, texts: list[str], labels: list[str], options: Classify, progress: Progress) -> Probabilities:
    """The probability of each label for each text, by the classifier in `folder`. Texts of like length share a batch.

    Every text is answered: a mark of the tokenizer that cannot be read as letters is left out of it.

    Raises:
        StageError: if a text holds a token that the model has no row for.
    """
    device = runtime.device()
    model = products.lay_out(directory.load(folder, "classifier", device=device))
    tokenizer = directory.load_tokenizer(folder)
    encoded = readable(tokenizer, texts, directory.context_length(folder), bounds=True)
    runtime.check_rows(model, tokenizer, (token for tokens in encoded for token in tokens), "a text")
    examples = [classifier.Labelled(str(i), tokens, 0) for i, tokens in enumerate(encoded)]
    order = sorted(range(len(texts)), key=lambda i: (len(encoded[i]), i))
    task = classifier.Classifier(1, model.config.pad_token_id, [1.0] * len(labels))
    shares_of: dict[int, dict[str, float]] = {}
    for start in range(0, len(order), options.batch_rows):
        group = order[start : start + options.batch_rows]
        batch = task.collate([examples[i] for i in group]).to(device)
        with runtime.autocast(device, runtime.precision(options.precision, device)):
            logits = model(**batch.inputs).logits.float()
        if logits.isnan().any():
            fix = "set models.<name>.generate.precision to fp32; if that does not help, train again at a lower learning rate"
            raise StageError(folder, "probabilities that are no numbers", "one for each label", fix)
        shares = logits.softmax(-1).tolist()
        shares_of |= {i: rounded(dict(zip(labels, share, strict=True))) for i, share in zip(group, shares, strict=True)}
        progress.add(len(group))
    return [shares_of[i] for i in range(len(texts))]


def rounded(shares: dict[str, float]) -> dict[str, float]:
    """Probabilities to six places, the likeliest label first."""
    return {label: round(share, 6) for label, share in sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))}
