import numpy as np

from stages.judging.embedded import EmbeddedJudge
from stages.judging.encoder import Encoder
from stages.judging.opinion import Opinion
from stages.judging.scoring import items
from stages.judging.signals import Signals
from stages.judging.text_verdicts import scores_within_limit
from tests import tiny


def test_only_answers_to_what_could_not_be_said_are_judged_again(tmp_path, monkeypatch):
    encoder = Encoder(tiny.encoder(tmp_path / "encoder"))
    rows = [{**row, "expected": row["completion"]} for row in tiny.rows(4)]
    rows[1]["expected"] += " It grows on a tree in the garden."
    sayable = [row["completion"] for row in rows]
    texts = {"tuned": sayable, "base": ["No idea"] * 4}
    judge = EmbeddedJudge(Signals(encoder))
    opinion = Opinion({name: judge.score(items(rows, said)) for name, said in texts.items()}, [], {}, (0, 100), {})
    before, judged = opinion.scores["tuned"].copy(), []
    score = EmbeddedJudge.score
    monkeypatch.setattr(EmbeddedJudge, "score", lambda self, asked: judged.extend(asked) or score(self, asked))
    within = scores_within_limit(encoder, rows, texts, sayable, opinion)
    assert [expected for _, expected, _ in judged] == [sayable[1]] * 2
    assert within["tuned"][1] > before[1] and np.array_equal(np.delete(within["tuned"], 1), np.delete(before, 1))
    assert np.array_equal(opinion.scores["tuned"], before)
