"""Which of the parts named in a text have a problem: cue words in the part's own clause, with negation.

A sentence falls into blocks at words of contrast ("but", "otherwise") and into clauses at commas and "and". A clause with a
word of trouble makes its parts faulty; one with praise, or with trouble denied ("never leaked", "no problem with"), clears
them. A clause of a list that has neither takes after its neighbour, as in "the pump, the hose and the cap leak".
"""

import re

from ahocorasick_rs import AhoCorasick, Implementation

BAD, GOOD, DENY, NOT_CUE = 1, 2, 3, 4
REACH = 5  # words between a denial and what it denies

# beginnings of words and phrases; `$` where the word must end
TROUBLE = """
leak|fail|broke|break down|breaks$|breaking$|breakage|crack|died$|dies$|dead$|death|die$|dying$|rust|rattl|squeak|squeal
noise|noisy|whine|whining|grind|clunk|knock|shudder|shak|shook$|vibrat|slip|stall|stuck$|stick$|sticks$|sticking|jam$
jams$|jammed|warp|bent$|snap|burn|melt|problem|issue|trouble|fault|defect|malfunction|recall|replace|repair|worn|wears$
wear$|wearing|tore$|torn$|tear$|tears|peel|fade|fading|fog$|fogs$|fogged|fall apart|falls apart|fell$|falling|fallen
came off|comes off|come off|came loose|came apart|came unglued|coming unglued|loose|went out|go out|going out|goes out
went bad|gave up|gave out|quit$|quits$|stopped$|stop working|stops working|poor|terribl|horribl|awful|bad$|badly$|worst
worse|weak|uncomfortabl|hard to|cheap|flims|complain|disappoint|annoy|hate$|hated$|sucks|suck$|useless|joke$|overheat
over heat|shorted|short circuit|glitch|kaput|sag$|sags$|sagg|droop|seize|frozen|froze|freezes|clog|drip|hiss|buzz|ticks$
ticking|tapping|rot$|rots$|rotted|rotten|corro|collaps|shatter|smash|blew|blown|blow out|explode|stripped|flaw|stretch
spun$|wept$|weep|hum$|hums$|hummed|humming|chew|ate$|eats$|cooked|split|pierce|detach|flicker|crackl|jerk|hesit|harsh
stiff|crooked|scratch|chip$|chips$|chipped|dent$|dents$|dented|went$|let go|lets go|seep|smell|burnt|sank|wobbl|flak
bubbl|nonsense|wrong|refus|lousy|needs$|needed$|trash|junk|garbage|unreliable|shoddy|inferior|misfir|lean against|fussy
flaky|click|fray|came down|dropped|drops$|grumbl|gripe|blocked|bucking|unglued|cut out|cuts out|shut off|shuts off|jump
screech|howl|whistl|groan|creak|pop$|popped off|erratic|intermittent|acting up|acted up|act up|act crazy|mind of|go bad
gone bad|going bad|gone$|goes black|goes flat|flat$|dim$|slow to|sluggish|unresponsive|hideous|ugly|ridiculous|nightmare
"""
PRAISE = """
great|good|love|nice|excellent|perfect|comfortabl|comfy|smooth|fine$|strong|like new|original$|solid|beautiful|awesome
handy|easy|easily|works$|worked$|pleas|superb|terrific|amazing|fantastic|best$|favo|sublime|stout|champ|reliable|quiet$
quietly|lasted|last$|lasts|still works|wonderful|impress|cool$|enjoy|well$|happy|happily|smile|gem$|witchcraft|held up
holds up|proper|useful|crisp|charming|upgrade|on schedule|as scheduled|normal maintenance|regular maintenance
routine maintenance|as expected|tight$|lovely|like it
"""
DENIAL = """
no$|not$|never$|n't$|wont$|dont$|didnt$|doesnt$|wasnt$|isnt$|without$|zero$|nothing$|none$|hardly$|barely$|nary$|nor$
neither$|cannot$|free of$|instead of$|few$|rarely$|fewer
"""
UNRELATED = """
stick shift|trouble free|problem free|leak free|trouble shoot|good bit|good thing|no doubt|not only|not just|no longer
well over|hard top|best buy|oil burn|engine break in|break in period|went to|went with|went from|went back|went through
gone to|wear out|well as|bad weather|bad road|cheaper|cheaply|good luck|great deal of|noise level|weak point|easier
last year|last month|last week|last summer|last winter|jump start|not bad|can't complain|cannot complain|no complaint
without complaint|never complain
"""
# begins with a set, so that `re` skips to what may match
SENTENCE = re.compile(r"[.!?;:](?:(?<!:)(?=\s|$)|(?<=:) (?=\s|$)|(?<=\.)\.+|(?<=!)!*|(?<=\?)\?*)")
CONTRAST = re.compile(
    r" (?:but|however|although|though|otherwise|except|while|whereas|yet|apart from|other than|still|besides) "
)
PLACE = re.compile(
    r" (?:in|inside|on|onto|under|beneath|below|behind|beside|by|near|across|into|over|against)(?: [a-z0-9'-]+){0,2} $"
)
REFUSAL = re.compile(
    r" (?:(?:wo|would|do|does|did|ca|could|is|are)n't|wont|dont|doesnt|didnt|cant|cannot"
    r"|(?:will|would|do|does|did|can|could) not) "
)
CLAUSE = re.compile(r",(?=\s)| and | then | plus | which | because | so | when | - ")


_WORDS = [
    (stem.rstrip("$"), stem.endswith("$"), kind)
    for stems, kind in ((TROUBLE, BAD), (PRAISE, GOOD), (DENIAL, DENY), (UNRELATED, NOT_CUE))
    for stem in stems.replace("\n", "|").split("|")
    if stem
]
_CUES = AhoCorasick([stem for stem, _, _ in _WORDS], implementation=Implementation.DFA)


def cues(text: str) -> list[tuple[int, int]]:
    """Places and kinds (BAD, GOOD, DENY) of the cue words in a folded text, in order."""
    places, unrelated = [], []
    for which, start, end in _CUES.find_matches_as_indexes(text, overlapping=True):
        stem, whole, kind = _WORDS[which]
        if (whole and text[end].isalnum()) or (text[start - 1].isalnum() and stem != "n't"):
            continue
        if kind == NOT_CUE:
            unrelated.append((start, end))
        else:
            places.append((start, kind))
    if unrelated:
        places = [cue for cue in places if not any(start <= cue[0] < end for start, end in unrelated)]
    return sorted(set(places))


def verdict(text: str, clause_cues: list[tuple[int, int]]) -> int:
    """What the cues of one clause, as `cues` gives them, say about its parts: BAD, GOOD or 0."""
    sense = 0
    denied = None
    for place, kind in clause_cues:
        if kind == DENY:
            denied = place
            continue
        if denied is not None and text.count(" ", denied, place) <= REACH:
            kind = GOOD if kind == BAD else BAD
        sense = BAD if BAD in (sense, kind) else GOOD
    return sense


def faulty(text: str, mentions: list[tuple[int, int, int]]) -> set[int]:
    """The parts among `mentions` (start, end, which) about which a folded text reports a problem."""
    words = [cue for cue in cues(text) if not any(start <= cue[0] < end for start, end, _ in mentions)]
    if not words or (all(kind == GOOD for _, kind in words) and " cant " not in text):  # the one refusal that is no cue
        return set()
    bad: set[int] = set()
    for begin, end in _pieces(text, 0, len(text), SENTENCE):
        if any(begin <= start < end for start, _, _ in mentions) and any(begin <= place < end for place, _ in words):
            for first, last in _pieces(text, begin, end, CONTRAST):
                bad |= _block(text, list(_pieces(text, first, last, CLAUSE)), mentions, words)
    return bad


def _pieces(text: str, begin: int, end: int, divider: re.Pattern):
    """The ranges between dividers."""
    for match in divider.finditer(text, begin, end):
        yield begin, match.start() + 1
        begin = match.end() - 1 if match[0].endswith(" ") else match.end()
    yield begin, end


def _block(text: str, clauses: list[tuple[int, int]], mentions, words) -> set[int]:
    """Faulty parts of clauses that no word of contrast divides."""
    named, verdicts = [], []
    for begin, end in clauses:
        inside = [mention for mention in mentions if begin <= mention[0] < end]
        subjects = [mention for mention in inside if not PLACE.search(text, max(begin - 1, mention[0] - 40), mention[0])]
        named.append([part for _, _, part in subjects or inside])  # "rust behind the sill" is about the sill all the same
        judged = verdict(text, [cue for cue in words if begin <= cue[0] < end])
        refuses = any(REFUSAL.match(text, stop, end) for _, stop, _ in inside)  # "the window won't open"
        verdicts.append(judged or (BAD if refuses else 0))
    bad = {part for parts, judged in zip(named, verdicts, strict=True) if judged == BAD for part in parts}
    for place, (parts, judged) in enumerate(zip(named, verdicts, strict=True)):
        if judged == BAD and not parts:  # "the pump, which leaked": about what was named last, else what comes next
            before = next((p for p in range(place - 1, -1, -1) if named[p]), None)
            near = before if before is not None else next((p for p in range(place + 1, len(named)) if named[p]), None)
            if near is not None and not verdicts[near]:
                verdicts[near] = BAD
    for order in (range(len(named)), range(len(named) - 1, -1, -1)):  # lists take after what precedes, else what follows
        last = 0
        for place in order:
            if verdicts[place] or not named[place]:
                last = verdicts[place] or last
            elif last == BAD:
                verdicts[place] = BAD
    return bad | {part for parts, judged in zip(named, verdicts, strict=True) if judged == BAD for part in parts}
