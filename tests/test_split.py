import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import label, scrape, split
from stages.common.errors import StageError
from stages.common.files import read_json, write_rows
from stages.splits import PARTS, near_duplicates
from stages.splits.membership import Membership, is_sampled, part_of, uniform
from stages.splits.near_duplicates import (
    PERMUTATIONS,
    NearDuplicates,
    bands_of,
    shingles,
    shingles_of,
    signature_of,
    signatures_of,
)
from tests.data_helpers import jsonl, label_params, names, scrape_params, split_params


def row(number: int, **more) -> dict:
    return {"id": f"f#{number}", "task": "text", "instruction": f"question {number}", "response": f"answer {number}", **more}


def divided(rows: list[dict], **changes) -> dict[str, str]:
    """The part of each row, by id."""
    pairs = list(split.divide(rows, Membership.of(rows, split_params(**changes))))
    assert len(pairs) == len(rows)
    return {row["id"]: part for part, row in pairs}


def run(tmp_path, rows: list[dict], **changes) -> tuple[dict[str, list[dict]], dict]:
    """The rows of each part and the metrics."""
    write_rows(tmp_path / "labeled.jsonl", rows)
    split.main(
        "set",
        split_params(**changes),
        split.Paths(tmp_path / "labeled.jsonl", tmp_path / "out" / "splits", tmp_path / "m.json"),
    )
    parts = {part: jsonl(tmp_path / "out" / "splits" / f"{part}.jsonl") for part in (*PARTS, "dropped")}
    return parts, read_json(tmp_path / "m.json")


# few groups, so that they meet
some_rows = st.lists(st.integers(0, 30), min_size=1, max_size=40).map(
    lambda groups: [row(i, topic=f"topic {group}") for i, group in enumerate(groups)]
)


@given(some_rows, st.randoms())
def test_membership_does_not_depend_on_order(rows, rng):
    shuffled = rng.sample(rows, len(rows))
    assert divided(rows, group="topic") == divided(shuffled, group="topic")


@given(some_rows, some_rows)
def test_membership_does_not_depend_on_added_rows(rows, more):
    more = [{**new, "id": f"new {new['id']}", "instruction": f"new {new['instruction']}"} for new in more]
    own = {labelled["id"]: part_of(labelled, split_params(group="topic")) for labelled in rows}
    before, after = divided(rows, group="topic"), divided(rows + more, group="topic")
    if set(own.values()) == set(PARTS):  # no side needs a stand-in
        assert {name: after[name] for name in before} == before == own


@given(some_rows)
def test_a_group_is_never_on_both_sides(rows):
    part_by_id = divided(rows, group="topic")
    sides = {(labelled["topic"], part_by_id[labelled["id"]]) for labelled in rows}
    assert len(sides) == len({topic for topic, _ in sides})


@given(st.lists(st.sampled_from([0, 1, "1", " ONE", "one", None, ""]), max_size=30))
def test_groups_may_be_numbers_and_rows_without_a_group_stand_alone(groups):
    rows = [row(i, topic=group) for i, group in enumerate(groups)]
    params = split_params(group="topic")
    for group in (0, 1, "one"):
        assert (
            len({part_of(labelled, params) for labelled in rows if str(labelled["topic"]).strip().lower() == str(group)}) <= 1
        )
    for labelled in rows:
        if labelled["topic"] in (None, ""):
            assert part_of(labelled, params) == part_of(labelled, split_params())


@given(some_rows, st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_smaller_sample_lies_in_a_larger_one(rows, first, other):
    small, large = sorted((first, other))
    chosen = [{r["id"] for r in rows if is_sampled(r, split_params(sample=share))} for share in (small, large)]
    assert chosen[0] <= chosen[1]


def test_a_sample_keeps_the_part_of_each_row():
    rows = [row(i) for i in range(500)]
    whole, tenth = divided(rows), divided(rows, sample=0.1)
    kept = {name for name, part in tenth.items() if part != "dropped"}
    assert 25 < len(kept) < 75
    assert all(tenth[name] == whole[name] for name in kept)
    assert {tenth[name] for name in kept} == set(PARTS)


def test_shares_come_out_near_those_asked_for():
    shares = {"train": 0.85, "validation": 0.1, "test": 0.05}
    counts = Counter(part_of(row(i), split_params(**shares)) for i in range(5000))
    for part, share in shares.items():
        assert abs(counts[part] / 5000 - share) < 0.02  # over four standard errors


def test_the_seed_mixes_and_the_purposes_are_independent():
    groups = [f"group {i}" for i in range(2000)]
    first = [uniform(1, "part", group) for group in groups]
    for other in ([uniform(2, "part", group) for group in groups], [uniform(1, "sample", group) for group in groups]):
        both = sum(a < 0.5 and b < 0.5 for a, b in zip(first, other, strict=True))
        assert abs(both / 2000 - 0.25) < 0.05
    assert all(0 <= number < 1 for number in first)
    assert first == [uniform(1, "part", group) for group in groups]


def test_parts_are_written_in_the_order_of_the_source(tmp_path):
    rows = [row(i) for i in range(60)]
    parts, metrics = run(tmp_path, rows)
    assert names(tmp_path / "out") == {"splits", *(f"splits/{part}.jsonl" for part in (*PARTS, "dropped"))}
    assert sorted((r for part in PARTS for r in parts[part]), key=rows.index) == rows
    for part in PARTS:
        assert [rows.index(r) for r in parts[part]] == sorted(rows.index(r) for r in parts[part])
    assert metrics == {part: len(parts[part]) for part in PARTS} | {"dropped": {}, "leakage": 0}


def test_the_same_question_in_another_group_is_dropped_from_train(tmp_path):
    rows = [row(i, topic=f"topic {i}") for i in range(60)]
    parts = {part_of(r, split_params(group="topic")): r for r in rows}
    twins = [
        {**parts["train"], "id": "twin of test", "instruction": parts["test"]["instruction"].upper()},
        {**parts["train"], "id": "twin of validation", "instruction": parts["validation"]["instruction"]},
        {**parts["validation"], "id": "validation, twin of test", "instruction": parts["test"]["instruction"]},
    ]
    sorted_rows, metrics = run(tmp_path, rows + twins, group="topic")
    assert {r["id"]: r["reason"] for r in sorted_rows["dropped"]} == {
        "twin of test": "same question held back in test",
        "twin of validation": "same question held back in validation",
        "validation, twin of test": "same question held back in test",
    }
    assert metrics["dropped"] == {"same question held back in test": 2, "same question held back in validation": 1}
    assert metrics["leakage"] == 0


def test_near_duplicates_are_dropped_from_train_and_counted(tmp_path):
    rng = random.Random(1)
    rows = [row(i, response=" ".join(f"word{rng.random()}" for _ in range(30))) for i in range(60)]
    test = next(r for r in rows if part_of(r, split_params()) == "test")
    near = ({**test, "id": "near", "instruction": f"{test['instruction']} {i}"} for i in range(100))
    near = next(r for r in near if part_of(r, split_params()) == "train")
    parts, metrics = run(tmp_path, [*rows, near], near_duplicate=0.7)
    assert [(r["id"], r["reason"]) for r in parts["dropped"]] == [("near", f"near-duplicate held back in test: {test['id']}")]
    assert metrics["dropped"] == {"near-duplicate held back in test": 1}
    assert metrics["leakage"] == 0
    parts, metrics = run(tmp_path, [*rows, near], near_duplicate=0)
    assert "near" in {r["id"] for r in parts["train"]}


@given(st.lists(st.sampled_from(["a", "b", "é", "cd", "💡"]), max_size=12))
def test_runs_of_three_words_have_equal_bytes_where_they_are_equal(words):
    runs = list(zip(words, words[1:], words[2:], strict=False)) or [tuple(words)]
    numbers = shingles(" ".join(words))
    assert len(numbers) == len(runs)
    for run_of_words, of_one in zip(runs, numbers, strict=True):
        for other, of_other in zip(runs, numbers, strict=True):
            assert (run_of_words == other) == (of_one == of_other)
    if len(words) >= 3:
        assert shingles(" ".join(["before", *words]))[1:] == numbers


@given(texts=st.lists(st.text("ab é\u200d\ud800 ", max_size=60), max_size=9), together=st.integers(1, 99))
def test_texts_together_have_the_shingles_and_signatures_of_each(texts, together):
    if texts:
        assert shingles_of(texts) == [shingles(text) for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "TOGETHER", together)
        signatures = signatures_of(texts)
    assert signatures.shape == (len(texts), PERMUTATIONS)
    assert all((signature == signature_of(text)).all() for signature, text in zip(signatures, texts, strict=True))


def like(near: NearDuplicates, text: str) -> str | None:
    return near.like([signature_of(text)])[0]


def jaccard(left: str, other: str) -> float:
    first, second = set(shingles(left)), set(shingles(other))
    return len(first & second) / len(first | second)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9, 1.0])
def test_what_resembles_is_found_and_what_does_not_is_not(threshold):
    rng = random.Random(2)
    near, alike, apart = NearDuplicates(threshold), [], []
    for i in range(120):
        words = [f"w{rng.random()}" for _ in range(60)]
        other = " ".join(words[: 60 - i % 60])  # from the same text down to one word of it
        near.add(str(i), signature_of(" ".join(words)))
        if jaccard(" ".join(words), other) >= min(1, threshold + 0.09):  # two standard errors
            alike.append(like(near, other) == str(i))
        elif jaccard(" ".join(words), other) < threshold - 0.18:
            apart.append(like(near, other) is None)
    assert alike
    assert apart
    assert all(apart)
    assert sum(alike) >= 0.95 * len(alike)


def test_the_most_similar_text_is_named():
    near = NearDuplicates(0.3)
    for key, text in {"far": "a b c d e f x y z", "near": "a b c d e f g h i", "other": "m n o p q r"}.items():
        near.add(key, signature_of(text))
    assert like(near, "a b c d e f g h j") == "near"
    assert like(near, "1 2 3 4 5") is None


def test_given_splits_are_taken_as_they_are(tmp_path):
    same = {"instruction": "the same", "response": "answer"}
    rows = [row(i, fold=fold, **same) for i, fold in enumerate(["train", "Test ", "validation", "train"])]
    parts, metrics = run(tmp_path, rows, given="fold", near_duplicate=0.7)
    assert {part: [r["id"] for r in parts[part]] for part in parts} == {
        "train": ["f#0", "f#3"],
        "validation": ["f#2"],
        "test": ["f#1"],
        "dropped": [],
    }
    assert metrics["leakage"] == 2  # taken, but not without a word


def of_files(counts: dict[str, int]) -> list[dict]:
    return [row(i, id=f"rows/{file}#{i}", instruction=f"{file} {i}") for file, count in counts.items() for i in range(count)]


@given(st.integers(1, 9), st.integers(1, 30), st.sampled_from(["data/test-*", "*test*"]))
@settings(max_examples=15)
def test_rows_of_a_given_test_file_are_the_test_rows_and_no_others(tmp_path_factory, tests, others, glob):
    rows = of_files({"data/train-0.csv": others + 1, "data/test-0.csv": tests, "data/more.csv": others})
    shares = {"train": 0.9, "validation": 0.1, "test": 0.0}
    parts, metrics = run(tmp_path_factory.mktemp("s"), rows, given={"test": glob}, **shares)
    assert [r["id"] for r in parts["test"]] == [f"rows/data/test-0.csv#{i}" for i in range(tests)]
    assert parts["train"] and parts["validation"] and metrics["leakage"] == 0


def test_what_repeats_a_row_of_a_given_test_file_leaves_train(tmp_path):
    rows = of_files({"train.csv": 20, "test.csv": 3})
    rows[4] |= {"instruction": "test.csv 1"}
    shares = {"train": 0.9, "validation": 0.1, "test": 0.0}
    parts, _ = run(tmp_path, rows, given={"test": "test.csv"}, **shares)
    assert len(parts["test"]) == 3
    assert [(r["id"], r["reason"]) for r in parts["dropped"]] == [("rows/train.csv#4", "same question held back in test")]


def test_given_files_of_validation_and_test_leave_the_rest_to_train(tmp_path):
    rows = of_files({"train.csv": 5, "dev.csv": 2, "test.csv": 3})
    given_files, shares = {"validation": "dev.csv", "test": "test.csv"}, {"train": 1.0, "validation": 0.0, "test": 0.0}
    parts, metrics = run(tmp_path, rows, given=given_files, **shares)
    assert {part: len(rows) for part, rows in parts.items()} == {"train": 5, "validation": 2, "test": 3, "dropped": 0}
    assert "trained_on_every_row" not in metrics


def test_classes_of_the_rows_beside_a_given_test_file_are_on_both_sides(tmp_path):
    rows = [labelled | {"label": f"class {i % 3}"} for i, labelled in enumerate(of_files({"train.csv": 30, "test.csv": 6}))]
    shares = {"train": 0.9, "validation": 0.1, "test": 0.0}
    _, metrics = run(tmp_path, rows, given={"test": "test.csv"}, stratify="label", **shares)
    assert metrics["classes"] == {"train": 3, "validation": 3, "test": 3}


def test_a_given_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StageError, match="no row in test [^$]*a file that given.test names"):
        run(tmp_path, of_files({"train.csv": 40}), given={"test": "test.csv"}, train=0.9, validation=0.1, test=0.0)


@pytest.mark.parametrize("fold", ["dev", "none", 1])
def test_a_given_split_that_is_none_is_refused(tmp_path, fold):
    with pytest.raises(StageError, match=r"row f#2\n[^$]*one of train, validation, test"):
        run(tmp_path, [row(1, fold="train"), row(2, fold=fold)], given="fold")
    assert names(tmp_path) == {"labeled.jsonl", "out"}


def test_an_empty_part_names_the_fix_and_writes_nothing(tmp_path):
    with pytest.raises(StageError, match=r"labeled.jsonl\n[^$]*no row in validation [^$]*or set its validation to 0"):
        run(tmp_path, [row(1), row(2)])
    assert names(tmp_path) == {"labeled.jsonl", "out"}


def test_rows_that_say_their_part_keep_it_and_the_others_are_split_by_hash(tmp_path):
    rows = [row(i, part=("test" if i % 4 == 0 else None)) for i in range(80)]
    shares = {"train": 0.8, "validation": 0.2, "test": 0.0}
    parts, metrics = run(tmp_path, rows, given="part", **shares)
    assert [r["id"] for r in parts["test"]] == [r["id"] for r in rows if r["part"]]
    plain = split_params(**shares)
    for part in ("train", "validation"):
        assert parts[part] == [r for r in rows if not r["part"] and part_of(r, plain) == part] != []
    assert metrics["leakage"] == 0 and parts["dropped"] == []


def test_what_nearly_repeats_a_row_that_says_test_leaves_train(tmp_path):
    text = "the brakes squealed on every single morning of a long and very cold winter in the hills"
    rows = [row(i, instruction=f"{i} {i * 7} a wholly different matter {i * 13}") for i in range(30)]
    rows += [row(50, instruction=text, part="test"), row(51, instruction=f"{text}!"), row(52, instruction=text.upper())]
    shares = {"train": 0.9, "validation": 0.1, "test": 0.0}
    parts, metrics = run(
        tmp_path, [{**labelled, "response": "none"} for labelled in rows], given="part", near_duplicate=0.7, **shares
    )
    assert [labelled["id"] for labelled in parts["test"]] == ["f#50"] and metrics["leakage"] == 0
    reasons = {labelled["id"]: labelled["reason"] for labelled in parts["dropped"]}
    assert reasons["f#52"] == "same question held back in test"
    assert reasons["f#51"] == "near-duplicate held back in test: f#50"


@pytest.mark.parametrize("count", [3, 4, 5, 9])
def test_few_rows_are_on_every_side_all_the_same(tmp_path, count):
    for seed in range(6):
        parts, _ = run(tmp_path, [row(i) for i in range(count)], train=0.8, validation=0.1, test=0.1, seed=seed)
        assert all(parts[part] for part in PARTS) and not parts["dropped"]


def test_a_side_without_rows_of_its_own_in_the_source_names_the_fix(tmp_path):
    with pytest.raises(StageError, match="give a row fold: validation in the source"):
        run(tmp_path, [row(1, fold="train"), row(2, fold="test")], given="fold")


def test_rows_of_a_document_stay_together_where_no_topic_says_so(tmp_path):
    rows = [row(i, topic="t" if i % 3 == 0 else "", document=f"d{i % 40}") for i in range(200)]
    parts, _ = run(tmp_path, rows, group=["topic", "document"])
    sides = {("t" if labelled["topic"] else labelled["document"], part) for part in PARTS for labelled in parts[part]}
    assert len(sides) == len({group for group, _ in sides}) > 20


@given(st.lists(st.sampled_from(["train", "validation", "test", "", None]), min_size=1, max_size=30))
def test_rows_that_say_their_part_move_no_other(said):
    rows = [row(i, part=part) for i, part in enumerate(said)]
    part_by_id = divided(rows, given="part")
    for labelled in rows:
        assert part_by_id[labelled["id"]] == (labelled["part"] or part_of(labelled, split_params()))


def test_a_part_that_nobody_asked_for_may_be_empty(tmp_path):
    parts, _ = run(tmp_path, [row(1), row(2)], train=1.0, validation=0.0, test=0.0)
    assert {part: len(rows) for part, rows in parts.items()} == {"train": 2, "validation": 0, "test": 0, "dropped": 0}


def test_every_row_may_be_trained_on_and_the_metric_says_so(tmp_path):
    rows = [row(i) for i in range(60)]
    parts, metrics = run(tmp_path, rows, train=1.0, validation=0.1, test=0.2)
    assert parts["train"] == rows and parts["dropped"] == []
    assert parts["test"] == [r for r in rows if part_of(r, split_params()) == "test"]
    assert metrics["leakage"] == len(parts["test"]) + len(parts["validation"]) > 0
    assert metrics["trained_on_every_row"] is True
    _, metrics = run(tmp_path, rows, train=1.0, validation=0.0, test=0.0)
    assert metrics == {
        **{"train": 60, "validation": 0, "test": 0, "dropped": {}, "leakage": 0},
        "trained_on_every_row": True,
    }


def test_classes_are_on_every_side_and_counted(tmp_path):
    rows = [{"id": f"f#{i}", "task": "label", "text": f"text {i}", "label": f"class {min(i % 20, 4)}"} for i in range(60)]
    parts, metrics = run(tmp_path, rows, stratify="label", train=0.9, validation=0.05, test=0.05)
    assert metrics["classes"] == {"train": 5, "validation": 5, "test": 5}
    assert metrics["shares"].keys() == {"beyond_bound", "widest"}
    assert all({r["label"] for r in parts[part]} == {r["label"] for r in rows} for part in PARTS)
    assert metrics["leakage"] == 0


def test_a_group_of_two_classes_is_not_on_both_sides(tmp_path):
    rows = [
        {"id": f"f#{i}", "task": "label", "text": f"text {i}", "label": f"class {i % 2}", "group": f"group {i // 2}"}
        for i in range(120)
    ]
    parts, metrics = run(tmp_path, rows, stratify="label", group="group")
    sides = {(r["group"], part) for part in PARTS for r in parts[part]}
    assert len(sides) == len({group for group, _ in sides})
    assert metrics["leakage"] == 0 and metrics["dropped"]


def test_conversations_are_held_back_by_what_they_ask(tmp_path):
    def turns(number: int, system: str) -> dict:
        said = [("system", system), ("user", f"question {number}"), ("assistant", f"answer {number}")]
        return {"id": f"{system}#{number}", "task": "text", "messages": [{"role": r, "content": c} for r, c in said]}

    parts, metrics = run(tmp_path, [turns(i, system) for system in ("one", "two") for i in range(40)])
    sides = {(r["messages"][1]["content"], part) for part in PARTS for r in parts[part]}
    assert len(sides) == 40
    assert metrics["leakage"] == 0


def test_alpaca(tmp_path, real_data):
    columns = {"instruction": "instruction", "input": "input", "response": "output"}
    params = scrape_params("json", files="llamafactory_alpaca_en_demo.json", columns=columns)
    scrape.main("alpaca", params, scrape.Paths(real_data / "alpaca", tmp_path / "raw"))
    label.main(
        "alpaca", label_params(), label.Paths(tmp_path / "raw", tmp_path / "l.jsonl", tmp_path / "d.jsonl", tmp_path / "l.json")
    )
    counts = read_json(tmp_path / "l.json")
    assert counts["kept"] + sum(counts["dropped"].values()) == counts["rows"] > 900
    parts, metrics = run(tmp_path, jsonl(tmp_path / "l.jsonl"), train=0.85, validation=0.1, test=0.05, near_duplicate=0.7)
    assert sum(map(len, parts.values())) == counts["kept"]
    assert metrics["leakage"] == 0
    assert len(parts["train"]) > len(parts["validation"]) > len(parts["test"]) > 20
    questions = [{(r["instruction"], r["input"]) for r in parts[part]} for part in PARTS]
    assert not questions[0] & questions[1] | questions[0] & questions[2] | questions[1] & questions[2]


texts_of_few_words = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8).map(" ".join)


@settings(deadline=None, max_examples=30)
@given(st.lists(texts_of_few_words, min_size=2, max_size=25), st.sampled_from([0.3, 0.5, 0.7]))
def test_the_index_finds_what_a_search_of_every_band_finds(texts, threshold):
    near, (bands, width) = NearDuplicates(threshold), bands_of(0.75 * threshold)
    *seen, asked = [signature_of(text) for text in texts]
    best = (0, "")
    for number, signature in enumerate(seen):
        near.add(f"key {number}", signature)
        same = signature == asked
        if any(same[band * width : (band + 1) * width].all() for band in range(bands)):
            best = min(best, (-int(same.sum()), f"key {number}"))
    assert near.like([asked])[0] == (best[1] if -best[0] / PERMUTATIONS >= threshold and best[1] else None)


def test_a_signature_estimates_the_share_of_common_shingles():
    """The error of 300 pairs of known similarity, against that of 128 independent permutations."""
    rng, errors, expected = random.Random(3), [], []
    for pair in range(300):
        words = [f"w{rng.random()}" for _ in range(200)]
        common = pair * 200 // 300
        first, other = " ".join(words), " ".join(words[:common] + [f"v{rng.random()}" for _ in range(200 - common)])
        share = jaccard(first, other)
        errors.append((signature_of(first) == signature_of(other)).mean() - share)
        expected.append(share * (1 - share) / PERMUTATIONS)
    assert abs(sum(errors) / 300) < 0.005
    assert sum(error**2 for error in errors) < 1.2 * sum(expected)


@pytest.mark.parametrize(("threshold", "bands"), [(0.3, (42, 3)), (0.5, (32, 4)), (0.7, (21, 6)), (0.9, (16, 8))])
def test_bands_are_those_of_least_error(threshold, bands):
    assert bands_of(0.75 * threshold) == bands


def test_the_index_grows_over_its_buffer_and_after_it_was_asked(monkeypatch):
    monkeypatch.setattr(near_duplicates, "BUFFER", 3)
    near, texts = NearDuplicates(0.7), [" ".join(f"w{i} v{j}" for j in range(9)) for i in range(10)]
    for i, text in enumerate(texts):
        assert near.like([signature_of(seen) for seen in texts[: i + 1]]) == [*map(str, range(i)), None]
        near.add(str(i), signature_of(text))
    assert near.like([]) == []


def conversation(number: int, turns: int, said: str = "") -> dict:
    """A row of a log: so many questions, each with its answer."""
    messages = []
    for turn in range(turns):
        messages.append({"role": "user", "content": f"question {turn} of {number} {said}"})
        messages.append({"role": "assistant", "content": f"answer {turn} of {number}"})
    return {"id": f"f#{number}.{turns}", "task": "text", "messages": messages}


@pytest.mark.parametrize("near_duplicate", [0, 0.7])
def test_no_conversation_is_trained_on_that_a_held_back_one_continues_or_is_continued_by(tmp_path, near_duplicate):
    log = [conversation(number, turns) for number in range(30) for turns in range(1, 5)]
    parts, metrics = run(tmp_path, log, near_duplicate=near_duplicate)
    questions = {
        part: {row["messages"][0]["content"]: len(row["messages"]) for row in parts[part]} for part in ("test", "train")
    }
    assert questions["test"] and questions["train"] and not questions["test"].keys() & questions["train"].keys()
    assert metrics["dropped"]["same conversation held back in test"] and metrics["leakage"] == 0


def test_conversations_that_only_begin_alike_are_kept_apart():
    greeting = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello! What can I do for you?"}]
    rows = [conversation(number, 1) for number in range(40)]
    parts = divided([row | {"messages": greeting + row["messages"]} for row in rows])
    assert set(parts.values()) == set(PARTS)
