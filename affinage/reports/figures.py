"""The names of figures in words, and how a difference of two is read."""

from collections.abc import Iterable
from dataclasses import dataclass

from stages.decoding.answers import FORM
from stages.judging.directions import LOWER_IS_BETTER, NEITHER_IS_BETTER

BETTER, WORSE, NOISE, DIFFERS, SAME = "better", "worse", "within noise", "differs", "the same"
MINUS = "\N{MINUS SIGN}"
MORE = 2  # decimals that an interval may take beyond its figure's


@dataclass(frozen=True)
class Kind:
    """A figure's title, what it says in a few words, and its decimals."""

    title: str
    says: str
    decimals: int = 1

    @property
    def inside(self) -> str:
        """The title within a sentence; abbreviations stay as they are."""
        first = self.title.split(" ")[0]
        return self.title[:1].lower() + self.title[1:] if first[1:].islower() else self.title


KINDS = {
    "perplexity": Kind("Perplexity", "how much the expected answers surprise the model; lower is better"),
    "bits_per_byte": Kind("Bits a byte", "the same, comparable across tokenizers; lower is better", 3),
    "token_accuracy": Kind("Token accuracy", "share of the expected tokens that the model holds most likely", 3),
    "bleu": Kind("BLEU", "word sequences shared with the expected answer, of 100"),
    "chrf": Kind("chrF", "letter sequences shared with the expected answer, of 100"),
    "rouge_l": Kind("ROUGE-L", "longest sequence of words shared with the expected answer, gaps allowed", 3),
    "exact_match": Kind("Exact match", "share of answers that are the expected one, in any case of letters", 3),
    "exact_match_cased": Kind("Exact match, cased", "share of answers that are the expected one to the case of letters", 3),
    "overlap": Kind("Overlap", "cosine of TF-IDF vectors of answer and expected answer", 3),
    "content_within_limit": Kind(
        "Content within the limit", "the same against what could have been said in the tokens allowed"
    ),
    "content_calibrated": Kind("Content, calibrated", "the same on the scale of your own people's marks"),
    "flagged": Kind("Flagged", "share of answers with any flag of form; lower is better", 3),
    "breaks_off": Kind("Breaks off", "share of answers that end in the middle; lower is better", 3),
    "repeats": Kind("Repeats itself", "share of answers that say the same again; lower is better", 3),
    "shuffled": Kind("Words in disorder", "share of answers whose words stand in disorder; lower is better", 3),
    "echoes": Kind("Echoes the question", "share of answers that say the question again and little else; lower is better", 3),
    "too_long": Kind("Far too long", "share of answers over four times as long as expected; lower is better", 3),
    "as_tuned": Kind("As tuned", "share of answers that are the tuned model's to the letter", 3),
    "tokens": Kind("Tokens", "mean length of an answer"),
    "prompt_tokens": Kind("Prompt tokens", "what every answer costs before it begins"),
    "accuracy": Kind("Accuracy", "share of texts given the right label", 3),
    "macro_f1": Kind("Macro F1", "mean over the labels of precision and recall taken together", 3),
    "log_loss": Kind("Log loss", "how much the right labels surprise the model; lower is better", 3),
    "calibration_error": Kind("Calibration error", "how far the stated probabilities are from the truth; lower is better", 3),
    "precision": Kind("Precision", "share of what was found that is right", 3),
    "recall": Kind("Recall", "share of what is there that was found", 3),
    "parts_f1": Kind("F1 of parts", "precision and recall of the parts named, taken together", 3),
    "parts_precision": Kind("Precision of parts", "share of the parts named that are right", 3),
    "parts_recall": Kind("Recall of parts", "share of the expected parts that are named", 3),
    "parts_f1_per_review": Kind("F1 of parts, per review", "the F1 of each review, averaged", 3),
    "count_error": Kind("Count off by", "how many parts too many or too few, averaged; lower is better", 2),
    "unreadable": Kind("Unreadable", "share of answers that broke off before their end; lower is better", 3),
    "five_lines": Kind("Five lines", "share of answers of five lines", 3),
    "rhyme": Kind("Rhyme AABBA", "share of answers of five lines that rhyme as a limerick does", 3),
    "rhymed_pairs": Kind("Rhymed pairs", "of lines 1 and 2, and 3 and 4, the share that rhyme", 3),
    "names_subject": Kind("Names its subject", "share of answers that name what was asked about", 3),
    "f1": Kind("F1", "precision and recall taken together", 3),
}
CONTENT = Kind(
    "Content",
    "how much of the expected answer is said, of 100, as people would mark it; what is fluent and wrong is hardly seen",
)

CONTROLS = {
    "other": "another row's answer",
    "orders": "the same, ordering full marks",
    "echo": "the question echoed",
    "half": "the expected answer cut in half",
    "shuffled": "its words shuffled",
    "repeated": "said twice",
    "nearest": "the nearest other answer",
    "spliced": "half good, half nearest",
    "base": "the base's own answer, trained prompt",
    "base_chat": "the base's own answer, its own prompt",
    "base_shots": "the base's own answer, shown examples",
    "good": "a good answer",
    "quarter": "the first quarter of the expected answer",
    "half_of_sentences": "its first half, in whole sentences",
    "three_quarters": "its first three quarters",
    "cut_at_limit": "the expected answer cut at the limit",
    "graded": "how much of the expected answer is said",
    "floor": "answers in general, most of them at the lower end",
    "ceiling": "answers in general, most of them at the upper end",
    "expected": "the expected answer",
}
PEOPLE = {
    "tuned": "tuned",
    "base": "base, trained prompt",
    "base_chat": "base, its own prompt",
    "base_shots": "base, shown examples",
    "parent": "round before",
    "majority": "most frequent label",
    "tfidf": "TF-IDF and regression",
    "constant": "the best constant answer",
    "labeller": "what labelled the training rows",
}


def kind(name: str, judges: list[str] | tuple[str, ...] = ()) -> Kind:
    """A figure's name in words; those not known are named as they are."""
    if name in judges:
        return (
            CONTENT if name == "content" else Kind(f"Score by judge {name}", "mean score, each answer against the expected one")
        )
    return KINDS.get(name) or Kind(name.replace("_", " "), "", 3)


def contestant(name: str) -> str:
    """Who answered, in words. `tuned_q8_0` is the tuned model as an export, or behind a server of this name."""
    return PEOPLE.get(name, f"tuned, as {name.removeprefix(FORM)}" if name.startswith(FORM) else name)


def control(name: str) -> str:
    return CONTROLS.get(name, name)


def better_sign(name: str) -> int:
    """1 where more is better, -1 where less is, 0 where neither."""
    return 0 if name in NEITHER_IS_BETTER else -1 if name in LOWER_IS_BETTER else 1


def reading(name: str, low: float, high: float) -> str:
    """A difference in words, by its interval: one that holds zero is noise."""
    if low <= 0 <= high:
        return NOISE
    sign = better_sign(name)
    return DIFFERS if not sign else BETTER if (low > 0) == (sign > 0) else WORSE


def by_reading(readings: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Names of figures by how they read, better ones first; `readings` are pairs of a name and its reading."""
    names: dict[str, list[str]] = {reading: [] for reading in (BETTER, WORSE, DIFFERS, NOISE, SAME)}
    for name, reading in readings:
        if reading in names:
            names[reading].append(name)
    return [(reading, named) for reading, named in names.items() if named]


def show(value: float | None, decimals: int = 1, signed: bool = False) -> str:
    """A number as text, with a real minus sign; a dash for None."""
    if value is None:
        return "\N{EN DASH}"
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    if float(text) == 0:  # no minus nothing
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def interval(figure: dict, decimals: int = 1, signed: bool = False) -> str:
    """`[low, high]`; of a difference (`signed`), with as many decimals as show on which side of zero a bound lies."""
    bounds = figure["low"], figure["high"]
    if signed:
        decimals += next((more for more in range(MORE + 1) if all(round(b, decimals + more) or not b for b in bounds)), 0)
    return f"[{', '.join(show(bound, decimals, signed) for bound in bounds)}]"


def percent(figure: dict) -> str:
    """`[low, high]` of a share, in per cent."""
    return interval({side: 100 * figure[side] for side in ("low", "high")}, 0)
