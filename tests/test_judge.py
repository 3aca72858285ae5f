import csv
import json

import numpy as np
import pytest

from stages import generate, judge
from stages.common.errors import StageError
from stages.common.files import read_rows, write_rows
from stages.judging.intervals import Bootstrap, with_count
from stages.judging.opinion import Opinion, health
from stages.models import directory
from stages.tasks.batches import encode
from stages.tasks.score import score as score_of
from tests import tiny, trained
from tests.servers.loopback import Said, honest, texts


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A base, a model tuned from it, an encoder and answers, one of them to a probe."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFINAGE_SCRATCH", str(folder / "scratch"))
        base, formatted = tiny.base(folder / "base"), tiny.formatted(folder / "formatted")
        tiny.encoder(folder / "encoder")
        trained.run(folder, tiny.training(epochs=6), out="tuned")
        options = tiny.generation(max_new_tokens=24, probes=["Why?"])
        places = {"formatted": formatted, "model": folder / "tuned", "base": base, "root": base}
        generate.main("tuned", options, generate.Paths(**places, out=folder / "answers.jsonl", speed=folder / "speed.json"))
    return folder


def run(tmp_path, work, answers=None, formatted=None, **params) -> dict:
    judge.main(
        "tuned",
        tiny.judging(**params),
        judge.Paths(
            answers=answers or work / "answers.jsonl",
            formatted=formatted or work / "formatted",
            model=work / "tuned",
            base=work / "base",
            root=work / "base",
            encoder=work / "encoder",
            marks=work / "marks",
            verdicts=tmp_path / "verdicts.jsonl",
            metrics=tmp_path / "scores.json",
            details=tmp_path / "details.json",
            table=tmp_path / "scores.csv",
            speed=tmp_path / "speed.json",
        ),
    )
    return json.loads((tmp_path / "details.json").read_text())


def outputs(work) -> dict[str, bytes]:
    return tiny.contents(work / "verdicts.jsonl", work / "scores.json", work / "details.json", work / "scores.csv")


def edited(tmp_path, work, change) -> object:
    """The answers, each row changed by `change`."""
    write_rows(tmp_path / "edited.jsonl", [change(row) or row for row in read_rows(work / "answers.jsonl")])
    return tmp_path / "edited.jsonl"


def test_every_figure_has_an_interval(tmp_path, work):
    details = run(tmp_path, work)
    for contestant in ("tuned", "base", "base_chat", "gain"):
        assert {
            "perplexity",
            "bits_per_byte",
            "token_accuracy",
            "bleu",
            "chrf",
            "rouge_l",
            "exact_match",
            "exact_match_cased",
            "overlap",
            "embedded",
        } <= (details[contestant].keys())
        for name, interval in details[contestant].items():
            assert interval["low"] <= interval["value"] <= interval["high"], (contestant, name)
    assert details["rows"] == 7  # the probe has no expected answer
    assert details["signatures"].keys() == {"bleu", "chrf"}


def not_read(row: dict) -> None:
    """No expected answer fits the context."""
    for answer in row["answers"].values():
        answer["likelihood"] = [0.0, 0, 0]


def test_expected_answers_without_room_cost_the_perplexity_alone(tmp_path, work):
    details = run(tmp_path, work, edited(tmp_path, work, not_read))
    assert details["outside_context"] == {"tuned": 7, "base": 7, "base_chat": 7}
    assert "perplexity" not in details["tuned"] and details["tuned"]["chrf"]["value"] > 0


def test_answers_without_likelihoods_are_refused(tmp_path, work):
    def without(row):
        del row["answers"]["base"]["likelihood"]

    with pytest.raises(StageError, match="answers of base(.|\n)*no likelihood(.|\n)*dvc repro generate"):
        run(tmp_path, work, edited(tmp_path, work, without))


def test_tuning_shows(tmp_path, work):
    details = run(tmp_path, work)
    assert details["tuned"]["perplexity"]["value"] < details["base"]["perplexity"]["value"]
    assert details["gain"]["perplexity"]["high"] < 0
    assert details["gain"]["embedded"]["over"] in ("base", "base_chat")


def test_the_gain_is_paired(tmp_path, work):
    gain = run(tmp_path, work)["gain"]["embedded"]
    scores = [row["scores"]["embedded"] for row in read_rows(tmp_path / "verdicts.jsonl")]
    tuned, base = (np.array([row[contestant] for row in scores]) for contestant in ("tuned", gain["over"]))
    paired = Bootstrap(7, 100, 0.95, 1).interval(with_count(tuned - base), lambda sums: sums[..., 0] / sums[..., 1])
    assert {name: gain[name] for name in paired} == pytest.approx(paired, abs=0.02)


def test_answers_the_same_as_the_base_gain_nothing(tmp_path, work):
    def same(row):
        row["answers"]["tuned"] = row["answers"]["base_chat"] = row["answers"]["base"]

    gain = run(tmp_path, work, edited(tmp_path, work, same))["gain"]
    assert "tokens" not in gain  # neither more nor fewer is better
    for name in ("embedded", "bleu", "chrf", "rouge_l", "overlap", "exact_match"):
        assert [gain[name][part] for part in ("value", "low", "high")] == [0, 0, 0]


def test_perfect_answers_score_best(tmp_path, work):
    def perfect(row):
        row["answers"]["tuned"]["text"] = row["expected"] or "x"

    details = run(tmp_path, work, edited(tmp_path, work, perfect))
    assert details["tuned"]["exact_match"]["value"] == 1 and details["tuned"]["bleu"]["value"] == pytest.approx(100)
    assert details["tuned"]["embedded"]["value"] > details["base"]["embedded"]["value"]
    assert details["tuned"]["embedded"]["value"] == pytest.approx(details["judges"]["embedded"]["control_means"]["expected"])


def test_empty_answers_score_nothing(tmp_path, work):
    def empty(row):
        row["answers"]["tuned"]["text"] = ""

    tuned = run(tmp_path, work, edited(tmp_path, work, empty))["tuned"]
    assert [tuned[name]["value"] for name in ("embedded", "bleu", "chrf", "rouge_l", "overlap", "exact_match")] == [0] * 6


def test_the_judge_is_judged(tmp_path, work):
    health = run(tmp_path, work)["judges"]
    embedded = health["embedded"]
    kinds = {"other", "orders", "echo", "half", "shuffled", "repeated", "nearest", "spliced", "base", "base_chat"}
    assert kinds <= embedded["auc"].keys() and kinds <= health["overlap"]["auc"].keys()
    assert all(0 <= auc["low"] <= auc["value"] <= auc["high"] <= 1 for auc in embedded["auc"].values())
    assert (
        embedded["failed"] == {}
        and list(embedded["weak"]) == sorted(embedded["weak"])
        and 0 <= embedded["fooled"]["value"] <= 1
    )
    assert all(weight >= 0 for name, weight in embedded["weights"].items() if name not in ("bias", "known", "opposite"))
    assert embedded["graded_steps"].keys() == {"half_of_sentences", "three_quarters", "expected"}
    assert embedded["near_ends"].keys() == {"tuned", "base", "base_chat"}
    assert embedded["agreement"]["spearman"] == "unknown"  # of another encoder than the weights were fitted with
    assert {"quarter", "expected", "good"} <= embedded["control_means"].keys() and "quarter" not in embedded["auc"]


def test_verdicts_and_table_hold_every_score(tmp_path, work):
    details = run(tmp_path, work)
    verdicts = list(read_rows(tmp_path / "verdicts.jsonl"))
    assert [row["id"] for row in verdicts] == [row["id"] for row in tiny.rows(7, 30)]
    scores = [row["scores"]["embedded"] for row in verdicts]
    assert {"tuned", "base", "base_chat", "control good", "control half"} <= scores[0].keys()
    assert np.mean([row["tuned"] for row in scores]) == pytest.approx(details["tuned"]["embedded"]["value"], abs=0.01)
    with open(tmp_path / "scores.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 7 * 3 and table[0].keys() == {"judge", "answer", "id", "score"}
    for line in table:
        verdict = next(row for row in verdicts if row["id"] == line["id"])["scores"][line["judge"]][line["answer"]]
        assert float(line["score"]) == pytest.approx(verdict, rel=1e-3, abs=0.01)


def test_perplexity_follows_from_the_likelihoods_of_the_verdicts(tmp_path, work):
    details = run(tmp_path, work)
    likelihoods = [row["likelihood"] for row in read_rows(tmp_path / "verdicts.jsonl")]
    for contestant in ("tuned", "base", "base_chat"):
        nats, tokens, right = np.sum([row[contestant] for row in likelihoods], 0)
        assert np.exp(nats / tokens) == pytest.approx(details[contestant]["perplexity"]["value"], rel=1e-4)
        assert right / tokens == pytest.approx(details[contestant]["token_accuracy"]["value"], rel=1e-5)


def test_shares_of_flagged_answers_follow_from_the_figures_of_the_verdicts(tmp_path, work):
    details = run(tmp_path, work)
    rows = [row["figures"] for row in read_rows(tmp_path / "verdicts.jsonl")]
    for contestant in ("tuned", "base", "base_chat"):
        for name in ("flagged", "breaks_off", "repeats"):
            share = np.mean([row[contestant][name] for row in rows])
            assert share == pytest.approx(details[contestant][name]["value"], abs=1e-5)


def test_judging_twice_gives_the_same_bytes(tmp_path, work, monkeypatch):
    run(tmp_path, work)
    first = outputs(tmp_path)
    run(tmp_path, work)  # with what was kept
    assert outputs(tmp_path) == first
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(tmp_path / "another"))
    run(tmp_path, work)  # with nothing kept
    assert outputs(tmp_path) == first


def test_no_model_is_read_but_the_encoder(tmp_path, work, monkeypatch):
    load, names = directory.load, []
    monkeypatch.setattr(directory, "load", lambda folder, *rest: names.append(folder.name) or load(folder, *rest))
    monkeypatch.setenv("AFFINAGE_SCRATCH", str(tmp_path / "scratch"))
    run(tmp_path, work)
    assert names == ["encoder"]


def test_several_judges_are_kept_apart(tmp_path, work):
    kinds = {name: {"kind": "embedded", "controls": count, "warn_below": 0.5} for name, count in (("one", 8), ("two", 20))}
    details = run(tmp_path, work, judges=kinds)
    assert {"one", "two"} <= details["tuned"].keys() and details["judges"].keys() == {"overlap", "one", "two"}
    assert next(read_rows(tmp_path / "verdicts.jsonl"))["scores"].keys() == {"one", "two"}


@pytest.mark.parametrize(("test", "training"), [(1, 24), (0, 24), (7, 1)])
def test_fewer_than_two_rows_is_an_error(tmp_path, work, test, training):
    write_rows(tmp_path / "few.jsonl", list(read_rows(work / "answers.jsonl"))[:test])
    tiny.formatted(tmp_path / "formatted", train=training)
    with pytest.raises(StageError, match=f"{test} test and {training} training rows"):
        run(tmp_path, work, tmp_path / "few.jsonl", tmp_path / "formatted")
    assert not (tmp_path / "scores.json").exists()


def test_two_rows_are_enough(tmp_path, work):
    write_rows(tmp_path / "few.jsonl", list(read_rows(work / "answers.jsonl"))[:2])
    tiny.formatted(tmp_path / "formatted", train=2)
    assert run(tmp_path, work, tmp_path / "few.jsonl", tmp_path / "formatted")["rows"] == 2


def test_an_expected_answer_outside_the_context_is_counted(tmp_path, work):
    def long(row):
        if row["id"] == "row#30":
            not_read(row)

    whole, cut = run(tmp_path, work), run(tmp_path, work, edited(tmp_path, work, long))
    assert cut["rows"] == 7 and cut["outside_context"] == {"tuned": 1, "base": 1, "base_chat": 1}
    for name in ("perplexity", "bits_per_byte"):
        assert cut["tuned"][name]["value"] == pytest.approx(whole["tuned"][name]["value"], rel=0.3)


def test_speed_stands_apart(tmp_path, work):
    run(tmp_path, work)
    assert "seconds" in json.loads((tmp_path / "speed.json").read_text())
    assert b"seconds" not in b"".join(outputs(tmp_path).values())


def test_the_headline_is_taken_from_the_details(tmp_path, work):
    details = run(tmp_path, work)
    short = json.loads((tmp_path / "scores.json").read_text())
    assert short.keys() == {"perplexity", "chrf", "embedded", "flagged", "alarms"}
    assert short["alarms"].keys() == {"cut_answers", "long_references"}  # random weights never end
    assert short["perplexity"]["tuned"] == details["tuned"]["perplexity"]["value"]
    assert short["embedded"]["low"] == details["gain"]["embedded"]["low"]
    assert short["embedded"]["agreement"] == "unknown"
    assert short["flagged"]["tuned"] == details["tuned"]["flagged"]["value"]
    assert short["embedded"]["auc"] == min(area["value"] for area in details["judges"]["embedded"]["auc"].values())


def served(server, kind="ollama", **changes) -> dict:
    """A judge behind a server, beside the embedded one."""
    llama = {
        "kind": kind,
        "model": "llama3",
        "base_url": server.address + "/v1" * (kind == "openai"),
        "prompt": "rubric_5.v1",
        "pairwise": "pairwise.v1",
        "controls": 4,
        "concurrency": 4,
        "timeout_seconds": 5.0,
        "attempts": 2,
        "max_tokens": 100,
        "warn_below": 0.5,
        **({"num_ctx": 8192} if kind == "ollama" else {}),
    }
    return {**tiny.judging().model_dump()["judges"], "llama": llama | changes}


@pytest.mark.parametrize("kind", ["ollama", "openai"])
def test_a_language_model_judges_beside_the_embedded_judge(tmp_path, work, serve, kind):
    details = run(tmp_path, work, judges=served(serve(honest), kind))
    about = details["judges"]["llama"]
    assert 1 <= details["tuned"]["llama"]["value"] <= 5 and "over" in details["gain"]["llama"]
    assert about["failed"] == {} and about["bounds"]["tuned"]["low"] == about["bounds"]["tuned"]["high"]
    assert {"other", "orders", "half", "base"} <= about["auc"].keys() and about["auc"]["other"]["value"] == 1
    assert about["fooled"]["value"] == 0 and -1 <= about["length_correlation"]["tuned"]["value"] <= 1
    assert about["prompt"]["file"] == "rubric_5.v1" and about["scale"] == [1, 5]
    assert about["pairwise"].keys() >= {"win_rate", "win_rate_lc", "flip_rate", "ties", "over"}
    rows = list(read_rows(tmp_path / "verdicts.jsonl"))
    assert all(1 <= row["scores"]["llama"]["tuned"] <= 5 and row["reasons"]["llama"]["tuned"] for row in rows)
    assert sum("control other" in row["scores"]["llama"] for row in rows) == 4
    assert {row["pairs"]["llama"]["winner"] for row in rows} <= {"tuned", "base", "tie"}
    short = json.loads((tmp_path / "scores.json").read_text())
    assert short["llama"].keys() >= {"tuned", "gain", "low", "high", "auc", "win_rate"} and "failed" not in short["llama"]
    speed = json.loads((tmp_path / "speed.json").read_text())["judges"]["llama"]
    assert speed["verdicts"] > speed["kept_from_before"] == 0


def test_failed_verdicts_stand_in_every_report(tmp_path, work, serve):
    first = next(read_rows(work / "answers.jsonl"))
    evil = first["answers"]["tuned"]["text"]

    def speak(body):
        return Said('{"reasons": "?", "score": "high"}') if texts(body)[2:] == [evil] else honest(body)

    details = run(tmp_path, work, judges=served(serve(speak), pairwise=""))
    about = details["judges"]["llama"]
    assert about["failed"]["unparsable"] >= 1 and about["bounds"]["tuned"]["low"] < about["bounds"]["tuned"]["high"]
    row = next(read_rows(tmp_path / "verdicts.jsonl"))
    assert row["scores"]["llama"]["tuned"] is None and row["failed"]["llama"]["tuned"] == "unparsable"
    assert json.loads((tmp_path / "scores.json").read_text())["llama"]["failed"] == sum(about["failed"].values())
    assert b"nan" not in b"".join(outputs(tmp_path).values()).lower()


def test_a_judge_that_cannot_judge_is_marked(tmp_path, work, serve, capsys):
    details = run(
        tmp_path, work, judges=served(serve(lambda body: Said('{"reasons": "nice", "score": 4}')), pairwise="", warn_below=0.9)
    )
    assert set(details["judges"]["llama"]["weak"]) == details["judges"]["llama"]["auc"].keys() | {"graded"}
    assert json.loads((tmp_path / "scores.json").read_text())["llama"]["weak"] == len(details["judges"]["llama"]["weak"])
    assert "warning: judge 'llama'" in capsys.readouterr().err


def test_offline_replay_gives_the_same_bytes(tmp_path, work, serve):
    server = serve(honest)
    run(tmp_path, work, judges=served(server))
    first = outputs(tmp_path)
    server.close()
    run(tmp_path, work, judges=served(server))
    assert outputs(tmp_path) == first


@pytest.fixture(scope="module")
def prompted(work):
    """The answers, those of the base shown two examples among them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFINAGE_SCRATCH", str(work / "scratch"))
        places = {"formatted": work / "formatted", "model": work / "tuned", "base": work / "base", "root": work / "base"}
        options = tiny.generation(max_new_tokens=24, shots=2)
        generate.main("tuned", options, generate.Paths(**places, out=work / "prompted.jsonl", speed=work / "speed.json"))
    return work / "prompted.jsonl"


def test_a_prompted_base_is_judged_with_its_examples_and_their_cost(tmp_path, work, prompted):
    details = run(tmp_path, work, prompted)
    assert details["base_shots"]["perplexity"]["value"] != details["base_chat"]["perplexity"]["value"]
    assert details["base_shots"]["prompt_tokens"]["value"] > details["base_chat"]["prompt_tokens"]["value"] > 0
    assert "base_shots" in details["judges"]["embedded"]["auc"] and "prompt_tokens" not in details["gain"]
    row = next(row for row in read_rows(prompted) if row["expected"])
    shown = {train_row["id"]: train_row for train_row in read_rows(work / "formatted" / "train")}
    turns = [
        turn
        for shot in row["answers"]["base_shots"]["shots"]
        for turn in (*shown[shot]["messages"], {"role": "assistant", "content": shown[shot]["completion"]})
    ]
    example = encode({**row, "messages": [*turns, *row["messages"]], "completion": row["expected"]}, tiny.tokenizer(), 256)
    (score,) = score_of(directory.load(work / "base"), [example], tiny.scoring(512))
    verdict = next(line for line in read_rows(tmp_path / "verdicts.jsonl") if line["id"] == row["id"])
    assert verdict["likelihood"]["base_shots"] == [pytest.approx(score.nll, rel=1e-4), score.tokens, score.correct]


def test_examples_that_are_no_training_rows_any_more_are_named(tmp_path, work, prompted):
    lost = tiny.formatted(tmp_path / "formatted", train=0)
    write_rows(lost / "train" / "000.jsonl", tiny.rows(24, 100))
    with pytest.raises(StageError, match="answers after an example(.|\n)*run generate again"):
        run(tmp_path, work, prompted, formatted=lost)


def lists_in(tree: object):
    """Every list in a tree of mappings, as DVC looks for the data of a plot."""
    for value in tree.values():
        if isinstance(value, dict):
            yield from lists_in(value)
        elif isinstance(value, list):
            yield value


def test_dvc_finds_no_empty_list_in_the_details():
    """It takes any list of the file for a plot's data, and warns of one without a first row."""
    texts = {contestant: ["a", "b", "c", "d"] for contestant in ("tuned", "base")}
    good, bad = np.full(4, 5.0), np.full(4, 1.0)
    scores = dict.fromkeys(texts, np.full(4, 3.0))
    judged = Opinion(scores, list(range(4)), {"good": good, "orders": bad}, (0, 5), {"kind": "embedded"})
    judge_health = health("j", judged, texts, Bootstrap(4, 50, 0.95, 1), 0.8)
    assert judge_health["weak"] == {} and all(lists_in({"judges": {"j": judge_health}}))


def test_the_tuned_model_in_other_forms_is_compared_with_it(tmp_path, work):
    plain = run(tmp_path, work)

    def add(row):
        row["answers"] |= {"tuned_q8_0": dict(row["answers"]["tuned"]), "tuned_fast": dict(row["answers"]["base"])}

    details = run(tmp_path, work, edited(tmp_path, work, add))
    forms = details["forms"]
    assert all(set(apart.values()) == {0.0} for apart in forms["tuned_q8_0"].values())
    assert {"chrf", "embedded", "rouge_l", "flagged"} <= forms["tuned_q8_0"].keys()
    apart = details["base"]["chrf"]["value"] - details["tuned"]["chrf"]["value"]
    assert forms["tuned_fast"]["chrf"]["value"] == pytest.approx(apart, abs=1e-3)  # figures are written to six digits
    assert details["tuned_q8_0"]["as_tuned"]["value"] == 1 > details["tuned_fast"]["as_tuned"]["value"]
    assert "perplexity" not in details["tuned_q8_0"]  # of other weights than those at hand
    assert all(details[name] == plain[name] for name in ("tuned", "base", "gain"))
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["chrf"]["tuned_q8_0"] == scores["chrf"]["tuned"] and scores["as_tuned"]["tuned_q8_0"] == 1
    assert "forms" not in plain
