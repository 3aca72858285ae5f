import json

import pytest

from stages.common.files import read_rows, write_rows
from stages.common.speed import read_times, times_file
from stages.decoding.causal import batch_answers
from stages.models import directory
from stages.models.prompting import encode_turn
from stages.tasks.batches import Example
from stages.tasks.score import score
from tests import answered, tiny, trained

PROBES = ["What is the colour of the sea?", "Why?"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A base, a model tuned from it and a second round."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFINAGE_SCRATCH", str(folder / "scratch"))
        tiny.base(folder / "base")
        tiny.formatted(folder / "formatted")
        for base, out in (("base", "tuned"), ("tuned", "second")):
            trained.run(folder, tiny.training(), base=base, out=out)
    return folder


@pytest.fixture
def work(tmp_path):
    tiny.formatted(tmp_path / "formatted")
    return tmp_path


@pytest.fixture
def loads(monkeypatch):
    """The names of the models that were loaded."""
    load, names = directory.load, []
    monkeypatch.setattr(directory, "load", lambda folder, **options: names.append(folder.name) or load(folder, **options))
    return names


@pytest.fixture
def groups(monkeypatch):
    """How many prompts each group had that was answered."""
    answer, sizes = batch_answers.answer, []
    monkeypatch.setattr(batch_answers, "answer", lambda *args: sizes.append(len(args[2])) or answer(*args))
    return sizes


def run(work, models, model="tuned", base="base", out="answers.jsonl", **options) -> list[dict]:
    return answered.run(work, tiny.generation(**options), models / model, models / base, models / "base", out)


def test_every_row_and_probe_is_answered_by_everyone(work, models):
    rows = run(work, models, probes=PROBES)
    test = tiny.rows(7, 30)
    assert [row["id"] for row in rows] == [row["id"] for row in test] + ["probe#1", "probe#2"]
    assert [row["expected"] for row in rows] == [row["completion"] for row in test] + [None, None]
    assert [row["messages"][0]["content"] for row in rows[-2:]] == PROBES
    for row in rows:
        assert list(row["answers"]) == ["tuned", "base", "base_chat"]
        for answer in row["answers"].values():
            assert answer.keys() == {"prompt", "text", "tokens", "prompt_tokens", "finish", "likelihood"}
            assert answer["finish"] in ("stop", "length") and 0 <= answer["tokens"] <= 12
    asked = rows[0]["messages"][0]["content"]
    assert [answer["prompt"] for answer in rows[0]["answers"].values()] == [
        *[f"### Instruction:\n{asked}\n\n### Response:\n"] * 2,
        f"<user> {asked}\n<assistant> ",
    ]


def test_answers_are_those_of_the_model_that_is_named(work, models):
    rows = run(work, models, "second", "tuned")
    for name, folder in (("tuned", "second"), ("base", "base"), ("parent", "tuned")):
        tokenizer = directory.load_tokenizer(models / folder)
        prompts = [tokenizer(row["answers"][name]["prompt"], add_special_tokens=False)["input_ids"] for row in rows]
        replies = batch_answers.answer(directory.load(models / folder), tokenizer, prompts, tiny.generation(), [])
        assert [answer.text for answer in replies] == [row["answers"][name]["text"] for row in rows]


def test_a_paraphrase_is_carried_along(work, models):
    write_rows(work / "formatted" / "test" / "000.jsonl", [{**tiny.rows(1)[0], "paraphrase": "Red it is."}, *tiny.rows(1, 1)])
    first, second = run(work, models)
    assert first["paraphrase"] == "Red it is." and "paraphrase" not in second


@pytest.mark.parametrize("options", [{}, {"temperature": 0.9, "top_k": 20}], ids=["greedy", "sampled"])
def test_the_batch_size_changes_no_answer(work, models, options):
    alone, together = run(work, models, batch_rows=1, **options), run(work, models, batch_rows=64, **options)
    for row, same in zip(alone, together, strict=True):
        for contestant in row["answers"]:
            likelihood = row["answers"][contestant].pop("likelihood")
            assert likelihood == pytest.approx(same["answers"][contestant].pop("likelihood"), abs=2e-4)
    assert alone == together


@pytest.mark.parametrize("options", [{}, {"temperature": 0.9}], ids=["greedy", "sampled"])
def test_two_runs_give_the_same_bytes(work, models, monkeypatch, options):
    run(work, models, **options)
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(work / "another"))
    run(work, models, out="again.jsonl", **options)
    assert (work / "answers.jsonl").read_bytes() == (work / "again.jsonl").read_bytes()


def test_the_likelihood_is_that_of_the_expected_answer_after_the_same_prompt(work, models):
    rows = run(work, models, probes=PROBES, shots=2, max_new_tokens=3)
    for name, folder in (("tuned", "tuned"), ("base", "base"), ("base_chat", "base"), ("base_shots", "base")):
        tokenizer = directory.load_tokenizer(models / (folder if name in ("base_chat", "base_shots") else "tuned"))
        examples = []
        for row in rows[:7]:
            prompt = tokenizer(row["answers"][name]["prompt"], add_special_tokens=False)["input_ids"]
            completion = encode_turn(tokenizer, row["messages"], row["expected"]).answer
            examples.append(Example(row["id"], prompt, completion))
        scores = score(directory.load(models / folder), examples, tiny.scoring(512))
        for row, expected in zip(rows, scores, strict=False):
            nats, tokens, right = row["answers"][name]["likelihood"]
            assert (nats, tokens, right) == (pytest.approx(expected.nll, abs=2e-4), expected.tokens, expected.correct)
        assert [row["answers"][name]["likelihood"] for row in rows[7:]] == [[0.0, 0, 0]] * 2  # probes


def test_another_expected_answer_has_another_likelihood_and_changes_no_answer(work, models):
    first = run(work, models)
    rows = tiny.rows(7, 30)
    rows[2]["completion"] = "nothing of that"
    write_rows(work / "formatted" / "test" / "000.jsonl", rows)
    for place, (before, after) in enumerate(zip(first, run(work, models), strict=True)):
        for contestant in before["answers"]:
            old, new = (row["answers"][contestant].pop("likelihood") for row in (before, after))
            assert (old == new) == (place != 2)
        assert before["answers"] == after["answers"]


def test_an_expected_answer_without_room_has_no_likelihood(work, models, capsys):
    rows = tiny.rows(3)
    rows[1]["completion"] *= 60
    write_rows(work / "formatted" / "test" / "000.jsonl", rows)
    tokens = [row["answers"]["tuned"]["likelihood"][1] for row in run(work, models)]
    assert tokens[1] == 0 < min(tokens[0], tokens[2]) and "no perplexity" not in capsys.readouterr().err
    write_rows(work / "formatted" / "test" / "000.jsonl", rows[1:2])
    assert run(work, models)[0]["answers"]["tuned"]["likelihood"] == [0.0, 0, 0]
    said = capsys.readouterr().err
    assert "tuned has no perplexity: with its prompt, no expected answer fits the 256 tokens" in said


def test_a_prompt_without_room_for_an_answer_may_have_it_for_the_expected_one(work, models):
    rows = [dict(row, completion="no") for row in tiny.rows(2)]
    rows[0]["messages"] = [{"role": "user", "content": "9" * 150}]
    write_rows(work / "formatted" / "test" / "000.jsonl", rows)
    long, short = (row["answers"]["tuned"] for row in run(work, models, max_new_tokens=90))
    assert (long["finish"], short["finish"]) == ("prompt too long", "length")
    assert long["likelihood"][1] == short["likelihood"][1] > 0


def test_a_prompt_without_room_says_so(work, models):
    rows = tiny.rows(3)
    rows[1]["messages"][0]["content"] = "why " * 200
    write_rows(work / "formatted" / "test" / "000.jsonl", rows)
    answers = [row["answers"]["tuned"] for row in run(work, models)]
    assert [answer["finish"] == "prompt too long" for answer in answers] == [False, True, False]
    assert (answers[1]["text"], answers[1]["tokens"]) == ("", 0) and answers[1]["prompt_tokens"] > 244


def test_room_is_kept_for_the_whole_answer(work, models):
    row = tiny.rows(1)[0]
    around = len(tiny.tokenizer()("### Instruction:\n9\n\n### Response:\n")["input_ids"]) - 1
    row["messages"][0]["content"] = "9" * (tiny.CONTEXT - around - 8)
    write_rows(work / "formatted" / "test" / "000.jsonl", [row, tiny.rows(1, 1)[0]])  # the stage refuses where no row has room
    short, long = (run(work, models, max_new_tokens=count)[0]["answers"]["tuned"] for count in (8, 9))
    assert short["prompt_tokens"] == long["prompt_tokens"] == tiny.CONTEXT - 8
    assert (short["finish"] != "prompt too long", long["finish"]) == (True, "prompt too long")


def test_what_was_answered_is_not_answered_again(work, models, loads, groups):
    first = run(work, models)
    assert loads == ["tuned", "base", "base"] and sum(groups) == 21
    assert run(work, models, out="again.jsonl") == first
    assert loads == ["tuned", "base", "base"] and sum(groups) == 21


def test_another_tuning_does_not_ask_the_base_again(work, models, loads):
    run(work, models)
    loads.clear()
    run(work, models, "second", "tuned")
    assert loads == ["second"]  # base and parent have answered


def test_other_options_are_answered_anew(work, models, loads):
    run(work, models)
    run(work, models, max_new_tokens=5)
    assert len(loads) == 6


def test_a_probe_more_leaves_the_full_groups_alone(work, models, groups):
    run(work, models, batch_rows=1)
    groups.clear()
    run(work, models, batch_rows=1, probes=PROBES)
    assert groups == [1] * 6  # two probes, three contestants


def test_an_interrupted_run_goes_on(work, models, groups, monkeypatch):
    calm = run(work, models, out="calm.jsonl")
    groups.clear()
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(work / "another"))
    answer, left = batch_answers.answer, [None] * 2

    def interrupted(*args):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return answer(*args)

    monkeypatch.setattr(batch_answers, "answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(work, models)
    assert not (work / "answers.jsonl").exists()
    monkeypatch.setattr(batch_answers, "answer", answer)
    assert run(work, models) == calm
    assert sum(groups) == 21


def test_speed_stands_apart(work, models):
    rows = run(work, models, probes=PROBES)
    speed = json.loads((work / "speed.json").read_text())
    totals = {"seconds", "tokens", "tokens_per_second", "likelihood_seconds", "latency_median", "latency_highest", "marked"}
    assert speed["base"]["tokens"] > 0 and speed["tuned"].keys() == totals
    for contestant in ("tuned", "base", "base_chat"):
        times = read_times(work / "speed.json", (work / "answers.jsonl").read_bytes())[contestant]
        assert list(times) == [row["id"] for row in rows]
        assert all(0 < seconds < speed[contestant]["seconds"] for seconds in times.values())
    assert "seconds" not in (work / "answers.jsonl").read_text()


def test_kept_answers_keep_their_latency(work, models, groups):
    run(work, models)
    first, times = json.loads((work / "speed.json").read_text()), times_file(work / "speed.json").read_bytes()
    groups.clear()
    run(work, models)
    again = json.loads((work / "speed.json").read_text())
    assert groups == [] and again["tuned"]["tokens"] == 0
    assert times_file(work / "speed.json").read_bytes() == times
    assert again["tuned"]["latency_median"] == first["tuned"]["latency_median"] > 0


def test_examples_add_a_contestant_and_change_no_other(work, models, groups):
    without = run(work, models, probes=PROBES)
    groups.clear()
    rows = run(work, models, probes=PROBES, shots=2)
    assert sum(groups) == len(rows)  # only the new contestant was asked
    training = {row["id"]: row for row in read_rows(work / "formatted" / "train")}
    for row, before in zip(rows, without, strict=True):
        shown = row["answers"].pop("base_shots")
        assert row == before
        assert len(shown["shots"]) == 2 and all(training[shot]["completion"] in shown["prompt"] for shot in shown["shots"])
        assert shown["prompt"].endswith(row["answers"]["base_chat"]["prompt"])
        assert shown["prompt_tokens"] > row["answers"]["base_chat"]["prompt_tokens"]
