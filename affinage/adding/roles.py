"""Which column is the question, the answer, the text, the label, the conversation: by names first, then by what they hold."""

import re
from dataclasses import dataclass, field

from affinage.adding.column_kinds import Column

# names in the order of preference, in lower case without marks; each also as a word of a longer name: `question_text`
_QUESTION = """instruction question prompt query pregunta frage domanda pergunta vraag consigne instrucción anweisung q ask"""
_WEAK = """input inputs user human problem request utterance name title"""  # questions only beside an answer
_ANSWER = """
output response answer completion reply chosen reponse réponse antwort respuesta risposta resposta antwoord answers responses
completions outputs assistant gpt bot target solution a
"""
_TELLS = """summary description explanation definition abstract"""  # answers only beside a name
_INPUT = """input context passage"""
_TEXT = """
text sentence review comment wording libelle libellé description content body tweet message utterance headline document article
news email title texte satz frase reviews texts
"""
_LABEL = """
label labels class category categorie catégorie kategorie categoria intent sentiment target topic tag compte account genre stars
rating polarity emotion spam classe klasse type
"""
_MESSAGES = """messages conversations conversation dialog dialogue turns chat"""
QUESTION, WEAK, ANSWER, TELLS, INPUT, TEXT, LABEL, MESSAGES = map(
    str.split, (_QUESTION, _WEAK, _ANSWER, _TELLS, _INPUT, _TEXT, _LABEL, _MESSAGES)
)
REFERENCE = ["reference", "expected", "gold", "truth", "ideal", "groundtruth"]  # answers where no column is called one
VERDICTS = ("label", "ktotag", "isgood", "good", "desirable", "isdesirable", "accepted", "ischosen", "thumbsup", "ispreferred")
KINDS = ("instructions", "chat", "completion", "classification", "parts", "accounts")


@dataclass
class Roles:
    """What the columns are.

    Args:
        task: one of KINDS; "" where it cannot be told.
        columns: ours: the file's, or a template of them.
        why: by ours, the reason.
        likely: those of ours that are told by contents alone.
        doubts: what cannot be told; empty where all is sure.
        keep: columns carried along.
        group: the column by which rows stay in one part.
    """

    task: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    likely: set[str] = field(default_factory=set)
    doubts: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)
    group: str = ""

    def set(self, ours: str, theirs: str, why: str, likely: bool = False) -> None:
        self.columns[ours], self.why[ours] = theirs, why
        self.likely = self.likely | {ours} if likely else self.likely - {ours}

    @property
    def quality(self) -> int:
        """By which readings are compared: sure by names, sure by content, in doubt."""
        return 0 if not self.task or self.doubts else 1 if self.likely else 2


def named(columns: list[Column], names: list[str]) -> Column | None:
    """The column of the likeliest of these names; whole names before words of names."""
    whole, part = {}, {}
    for column in columns:
        if "." in column.name and column.tokens[-1:] in (["title"], ["name"], ["description"]):
            continue  # of something beside the row, as of its image
        plain = re.sub(r"[\W_]+", "", column.name.lower())
        tokens = column.tokens
        for place, name in enumerate(names):
            if plain == name or tokens == [name]:
                whole.setdefault(place, column)
            elif len(name) > 1 and name in (tokens[-1:] + tokens[:1]):
                part.setdefault(place, column)
    best = whole or part
    return best[min(best)] if best else None


def roles(columns: list[Column]) -> Roles:
    """What the columns are, by their names and by what they hold: the first step that fits says it."""
    usable = [column for column in columns if column.values]
    if len(usable) == 1 and not usable[0].is_messages:
        return Roles(doubts=[f"one column alone ({usable[0].name}): a question needs an answer, a text its label"])
    in_every_row = [column for column in usable if column.present == column.rows]
    for some in (in_every_row, usable):  # a column that rows lack is read by no reader; `scrape` says which row it is
        for step in (_conversations, _preferences, _questions, _classes, _by_question):
            assigned = step(some)
            if assigned is not None and not (assigned.doubts and some is in_every_row):
                return _around(assigned, columns)
    return Roles(doubts=["no names or contents that tell questions and answers, or texts and labels"])


def _conversations(columns: list[Column]) -> Roles | None:
    some = [column for column in columns if column.is_messages]
    by_name = [column for column in some if named([column], MESSAGES)]
    if not some or (len(some) > 1 and not by_name):
        return None
    chosen = named(some, MESSAGES) or some[0]
    if chosen.tokens[:1] in (["chosen"], ["rejected"], ["prompt"]):
        return None
    assigned = Roles("chat")
    assigned.set("messages", chosen.name, "its name, and turns with roles" if by_name else "turns with roles", not by_name)
    return assigned


def _preferences(columns: list[Column]) -> Roles | None:
    """`prompt`, `chosen`, `rejected`: chosen is the answer."""
    by_name = {column.name.lower(): column for column in columns}
    chosen, rejected, prompt = (by_name.get(name) for name in ("chosen", "rejected", "prompt"))
    prompt = prompt or by_name.get("question") or by_name.get("instruction")
    if not chosen or not rejected:
        return None
    assigned = Roles("chat", keep=[rejected.name])
    if chosen.is_messages:
        template = f"{{{prompt.name}}}{{{chosen.name}}}" if prompt else chosen.name
        assigned.set("messages", template, "names of preferences: chosen is the answer")
        return assigned
    if prompt is None or not chosen.is_text:
        return None
    if prompt.is_messages:
        assigned.set("messages", f"{{{prompt.name}}}{{{chosen.name}}}", "names of preferences: chosen is the answer")
        return assigned
    assigned.task = "instructions"
    assigned.set("instruction", prompt.name, "its name")
    assigned.set("response", chosen.name, "its name: the answer that was chosen")
    return assigned


def _questions(columns: list[Column]) -> Roles | None:
    plain = [column for column in columns if column.is_plain and not column.is_aside]
    question, answer = named(plain, QUESTION), named(plain, ANSWER)
    if answer is question:
        answer = named([column for column in plain if column is not question], ANSWER)
    if question is None and answer is not None and not (answer.is_class and named(plain, TEXT)):
        question = named([column for column in plain if column is not answer and column.tokens[1:] == []], WEAK)
        likely, why = True, f"its name, beside {answer.name}"
    elif question is None:
        return _described(plain)
    else:
        likely, why = False, "its name"
    if question is None:
        return None
    assigned = Roles("instructions")
    assigned.set("instruction", question.name, why, likely and question.name.lower() != "input")
    if answer is None:
        others = [column for column in plain if column is not question and column.is_text]
        label = named([column for column in plain if column is not question and column.is_class], LABEL)
        if label is not None:
            assigned = Roles("classification")
            assigned.set("text", question.name, "its name, beside a class")
            assigned.set("label", label.name, "its name, and few values that come again")
            return assigned
        value = next((column for column in others if column.name == "value"), None) or named(others, REFERENCE)
        if len(others) != 1 and value is None:
            assigned.doubts.append(f"{question.name} is a question by its name; its answer cannot be told")
            return assigned
        answer = value or others[0]
        why = "the only other column of text" if len(others) == 1 else "its name: what answers are compared with"
        assigned.set("response", answer.name, why, likely=True)
        return assigned
    assigned.set("response", answer.name, "its name")
    return assigned


def _described(columns: list[Column]) -> Roles | None:
    """A name that is different in every row, and the one long text that tells of it."""
    whole = [column for column in columns if len(column.tokens) == 1]
    name, text = named(whole, ["name", "title", "term", "word"]), named(whole, TELLS)
    if not name or not text or text.words < 8 or len(name.classes) < 0.9 * len(name.values):
        return None
    if named(columns, LABEL) and named(columns, TEXT):
        return None
    assigned = Roles("instructions")
    assigned.set("instruction", name.name, f"a name of its own in every row, beside {text.name}", likely=True)
    assigned.set("response", text.name, "its name, and its length", likely=True)
    return assigned


def _classes(columns: list[Column]) -> Roles | None:
    plain = [column for column in columns if column.is_plain]
    classes = [column for column in plain if column.is_class]
    label = named(classes, LABEL)
    texts = [column for column in plain if column is not label and not column.is_aside]
    texts = [column for column in texts if column.is_text or (column.name.lower() in TEXT and not column.is_class)]
    text = named([column for column in texts if not column.is_class] or texts, TEXT)
    assigned, why = Roles("classification"), "its name"
    if label is None and text is not None:
        others = [column for column in classes if column is not text and not column.is_aside]
        if len(others) != 1 or len(plain) > 3:
            return None
        label, why = others[0], "the only column of few values that come again"
        assigned.set("text", text.name, "its name")
    elif label is not None and text is None:
        longer = [column for column in texts if not column.is_class]
        if len(longer) != 1:
            return None
        text = longer[0]
        assigned.set("text", text.name, "the only column of text that is no class", likely=True)
    elif label is None:
        return None
    else:
        assigned.set("text", text.name, "its name")
    assigned.set("label", label.name, f"{why}, and {len(label.classes)} values that come again", why != "its name")
    return assigned


def _by_question(columns: list[Column]) -> Roles | None:
    """By question marks alone: the other column of text is the answer."""
    texts = [column for column in columns if column.is_text and not column.is_aside]
    asking = [column for column in texts if column.asks > 0.6]
    others = [column for column in texts if column not in asking]
    if len(asking) != 1 or len(others) != 1:
        return None
    assigned = Roles("instructions")
    assigned.set("instruction", asking[0].name, f"{asking[0].asks:.0%} of its values end in a question mark", likely=True)
    assigned.set("response", others[0].name, "the only other column of text", likely=True)
    return assigned


def _around(assigned: Roles, columns: list[Column]) -> Roles:
    """Columns that help beside those to learn: an input, another good answer."""
    free = [column for column in columns if column.name not in assigned.columns.values()]
    every = [column for column in free if column.present == column.rows and (column.is_plain or not column.values)]
    if assigned.task == "instructions" and not assigned.doubts and (extra := named(every, INPUT)):
        assigned.set("input", extra.name, "its name")
    for column in free:
        plain = re.sub(r"[\W_]+", "", column.name.lower())
        if plain == "paraphrase" and column.is_text and assigned.task == "instructions":
            assigned.keep.append(column.name)
    verdict = next((column for column in free if _is_verdict(column)), None)
    if verdict and assigned.task in ("instructions", "chat") and not assigned.doubts:
        doubt = f"{verdict.name} (true or false) seems to tell good answers from bad ones, which are not to be learned"
        assigned.doubts.append(f"{doubt}: put the good ones into a file of their own")
    return assigned


def _is_verdict(column: Column) -> bool:
    """Whether it says of each answer that it is good or bad, as in sets for KTO (arXiv 2402.01306)."""
    values = {str(value).strip().lower() for value in column.values}
    return values == {"true", "false"} and re.sub(r"[\W_]+", "", column.name.lower()) in VERDICTS
