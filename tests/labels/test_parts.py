import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import label, scrape
from stages.common.errors import StageError
from stages.common.files import read_json, write_rows
from stages.common.schema_data import Parts, sources_fit
from stages.common.schema_sources import Scrape
from stages.labels.dictionary import build, fold, words_of
from stages.labels.faults import SENTENCE
from stages.labels.parts import NO_PART, Finder, leftmost_longest
from stages.labels.reviews import Reviews, group
from tests.data_helpers import folder_with, jsonl, source_params

NAMES = ["Hood", "Brake", "Brake pad", "Brake pad sensor", "Key", "Seat", "Engine", "A/C", "Car seat belt", "Café table"]
NAMES += ["Pump", "Hose", "Radiator", "Mount"]
SYNONYMS = [{"name": "bonnet", "means": "hood", "within": "yes"}, {"name": "key to", "means": "", "within": ""}]
FINDER = Finder(build(NAMES, SYNONYMS))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("The brakes, then the seat and the brakes again", ["brake", "seat"]),
        ("brake pads", ["brake pad"]),
        ("Brake-pad sensors!", ["brake pad sensor"]),
        ("brake, pad", ["brake"]),
        ("brake pad's", ["brake pad"]),
        ("brake  \n pad", ["brake pad"]),
        ("unbraked keyless hoodie", []),
        ("(seat)/engine;hood...brakes", ["seat", "engine", "hood", "brake"]),
        ("the bonnet", ["hood"]),
        ("the key to it", []),
        ("the keys", ["key"]),
        ("A/C, AC, a c", ["a/c"]),
        ("CAFE\u0301 TABLE", ["café table"]),
        ("brakeé", []),
        ("the engine mount", ["mount"]),
        ("the engine, mounts", ["engine", "mount"]),
        ("seats - brakes", ["seat", "brake"]),
    ],
)
def test_longest_names_on_word_boundaries_in_order_of_first_mention(text, parts):
    assert FINDER.parts(text) == parts
    assert FINDER.label(text)[0] == parts


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("The brakes failed.", ["brake"]),
        ("The brakes never failed.", []),
        ("No problem with the brakes or the seats.", []),
        ("Great engine but the seat squeaks.", ["seat"]),
        ("The pump, the hose and the radiator leak.", ["pump", "hose", "radiator"]),
        ("The pump leaked. The seats are fine.", ["pump"]),
        ("The hood won't open.", ["hood"]),
        ("The hood doesn't squeak.", []),
        ("The seat is not comfortable.", ["seat"]),
        ("The pump burst in the engine.", []),
        ("The pump broke inside the engine.", ["pump"]),
        ("Seats, brakes, engine.", []),
    ],
)
def test_faults(text, faults):
    assert FINDER.label(text)[1] == faults


def slow(text: str, names: list[str]) -> list[str]:
    """What `parts` must find, word by word."""
    words, spans, place = text.split(" "), [], 0
    while place < len(words):
        fitting = [name for name in names if words[place : place + len(name.split())] == name.split()]
        best = max(fitting, key=len, default=None)
        spans += [best] if best else []
        place += len(best.split()) if best else 1
    return spans


@given(st.lists(st.sampled_from(["aa", "bb", "cc", "dd"]), min_size=1, max_size=12))
def test_spans_are_those_of_a_search_word_by_word(words):
    names = ["aa", "aa bb", "bb cc", "bb cc dd", "cc dd aa bb", "dd"]
    finder = Finder(build(names))
    text = " ".join(words)
    assert [finder.names[part] for _, _, part in finder.spans(f" {text} ")] == slow(text, names)


ODD = ["brake", "Pad", "pads", "4wd", "14WD", "x4brake", "key", "to", "a/c", "a|c", "ac", "1seat", "café", "Table", "ŉ", "hood"]
ODD += ["seat", "seat1", "É", "_", "-", ",", "/", " ", "  ", "\n", "'s", "...", "\ud800", "ß", "2", "\x00", "engine", "mount"]
WRITTEN = build([*NAMES, "4wd", "4wd seat", "2 door"], SYNONYMS)
PLAIN = Finder(WRITTEN)


@given(st.lists(st.sampled_from([*ODD, " ", " "]), max_size=14).map("".join))
def test_spans_are_the_leftmost_longest_of_every_name_between_two_spaces(text):
    text = f" {fold(text)} "
    words = words_of(text)
    expected = []
    for key, name in WRITTEN.written.items():
        starts = [place for place in range(len(words)) if words.startswith(f" {key} ", place)]
        expected += [(start + 1, start + 1 + len(key), PLAIN.names.index(name) if name else NO_PART) for start in starts]
    spans = leftmost_longest(expected)
    assert PLAIN.spans(text) == spans
    followed = {end for (_, end, _), after in zip(spans, spans[1:], strict=False) if end + 1 == after[0] and text[end] in " -"}
    assert PLAIN.mentions(text) == [span for span in spans if span[2] != NO_PART and span[1] not in followed]


@pytest.mark.parametrize(
    ("text", "parts"),
    [("14wd seat", ["seat"]), ("4wd seat", ["4wd seat"]), ("x4brake pad", []), ("2seat, the brake", ["brake"])],
)
def test_a_name_inside_a_run_of_letters_and_digits_is_none_and_hides_none(text, parts):
    assert PLAIN.parts(text) == parts


@given(st.text("ab/_ é1", max_size=12))
def test_a_stroke_stands_between_single_letters_or_digits_alone(text):
    said = re.sub(r"(?<!\w)(\w)/(?=\w(?!\w))", r"\1|", text)
    assert words_of(text) == re.sub(r"[^\w|]|_", " ", said)


@given(st.text(".!?;: a\n", max_size=12))
def test_sentences_end_at_marks_before_white_space_and_at_runs_of_marks(text):
    plain = re.compile(r"(?:[.!?;]|: )(?=\s|$)|\.\.+|!+|\?+")
    assert [match.span() for match in SENTENCE.finditer(text)] == [match.span() for match in plain.finditer(text)]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=12), st.randoms())
def test_leftmost_longest_does_not_overlap_and_does_not_depend_on_order(pairs, random):
    spans = [(start, start + size, 0) for start, size in pairs]
    kept = leftmost_longest(spans)
    assert all(first[1] <= two[0] for first, two in zip(kept, kept[1:], strict=False))
    random.shuffle(spans)
    assert leftmost_longest(spans) == kept
    assert not spans or kept[0] == max((s for s in spans if s[0] == min(spans)[0]), key=lambda s: s[1])


@given(st.text(st.characters(categories=None), max_size=60))
def test_any_text_is_labelled_and_faults_are_among_its_parts(text):
    parts, faults = FINDER.label(text)
    assert len(set(parts)) == len(parts)
    assert set(faults) <= set(parts)
    assert NO_PART not in parts


def parts_params(**changes) -> Parts:
    defaults = {
        "method": "parts",
        "reviews": "reviews",
        "text": "review",
        "mixed": 0,
        "dictionaries": ["pages"],
        "synonyms": "synonyms",
    }
    return Parts.model_validate(defaults | {"gold": "gold", "target": "parts", "none": "none"} | changes)


def run(tmp_path, reviews: list[dict], **changes) -> tuple[list[dict], list[dict], dict]:
    raw = tmp_path / "raw"
    write_rows(raw / "pages" / "p.jsonl", [{"id": f"p#{i}", "name": name} for i, name in enumerate([*NAMES, "and"], 1)])
    write_rows(raw / "synonyms" / "s.jsonl", SYNONYMS)
    gold = {"id": "g#1", "review": "Brakes failed, unknown thing and seat", "parts": ["brake", "thing"], "faults": ["brake"]}
    write_rows(raw / "gold" / "g.jsonl", [gold])
    write_rows(raw / "reviews" / "r.jsonl", [{"id": f"r#{i}", **row} for i, row in enumerate(reviews, 1)])
    out = [tmp_path / "out" / name for name in ("labeled.jsonl", "dropped.jsonl", "metrics.json")]
    label.main("cars", parts_params(**changes), label.Paths(raw, *out))
    return jsonl(out[0]), jsonl(out[1]), read_json(out[2])


def test_rows_dropped_rows_and_metrics(tmp_path):
    reviews = [
        {"review": " The bonnet leaks, the seats are nice. ", "title": "a", "problem": ""},
        {"review": "4", "problem": "shifted columns; 6 fields"},
        {"review": "the bonnet leaks, the  seats are nice.", "title": "b", "problem": ""},
        {"review": "Fun.", "problem": ""},
        {"review": "", "problem": ""},
        {"review": [5]},
    ]
    kept, dropped, metrics = run(tmp_path, reviews)
    assert kept[0] == {
        "id": "r#1",
        "task": "text",
        "instruction": "The bonnet leaks, the seats are nice.",
        "response": "hood, seat",
        "List_part": ["hood", "seat"],
        "Count_part": 2,
        "List_fault": ["hood"],
        "group": kept[0]["group"],
    }
    assert [(row["id"], row["response"]) for row in kept[1:]] == [("r#4", "none")]
    assert [(row["id"], row["reason"]) for row in dropped] == [
        ("r#2", "shifted columns; 6 fields"),
        ("r#3", "duplicate but for case or white space"),
        ("r#5", "missing instruction"),
        ("r#6", "not text: instruction"),
    ]
    assert metrics["rows"] == 6 and metrics["kept"] == 2
    assert metrics["dropped"]["shifted columns"] == 1
    assert metrics["share_with_part"] == 0.5
    assert metrics["names_never_seen"] == len(metrics["never_seen"]) == metrics["names"] - 2
    assert metrics["entries_without_name"] == {"stop name": 1}
    rates = metrics["gold"]["parts"]
    assert (rates["precision"], rates["recall"], rates["recall_of_all"]) == (0.5, 1, 0.5)
    assert metrics["gold"]["faults"]["recall"] == 1


def test_faults_may_be_what_is_to_be_answered(tmp_path):
    kept, _, metrics = run(
        tmp_path, [{"review": "The bonnet leaks. Nice seats."}], target="faults", gold="", synonyms="synonyms"
    )
    assert kept[0]["response"] == "hood"
    assert "gold" not in metrics


BY_HAND = {"review": "brakes FAILED,  unknown thing and seat"}  # the gold row's text, in another case


def test_what_people_marked_is_a_test_row_with_the_weak_label_beside(tmp_path):
    kept, _, _ = run(tmp_path, [{"review": "The bonnet leaks."}, BY_HAND])
    assert "part" not in kept[0] and "weak" not in kept[0]
    marked = kept[1]
    assert (marked["response"], marked["weak"], marked["part"]) == ("brake, thing", "brake, seat", "test")
    assert marked["List_part"] == ["brake", "seat"]  # what the dictionary found stays what it was


def test_what_people_marked_follows_the_target(tmp_path):
    kept, _, _ = run(tmp_path, [BY_HAND], target="faults")
    assert kept[0]["response"] == "brake" and kept[0]["part"] == "test"


def test_without_gold_rows_nothing_says_its_part(tmp_path):
    kept, _, _ = run(tmp_path, [BY_HAND], gold="")
    assert kept[0]["response"] == "brake, seat" and not {"weak", "part"} & kept[0].keys()


def test_names_of_people_are_those_of_the_dictionary(tmp_path):
    run(tmp_path, [BY_HAND])
    gold = [{"id": "g#1", "review": "Nice.", "parts": [], "faults": []}]
    gold.append({"id": "g#2", "review": "Bonnets bent", "parts": ["bonnet", "trim of gold"], "faults": []})
    write_rows(tmp_path / "raw" / "gold" / "g.jsonl", gold)
    names = Reviews(tmp_path / "raw", parts_params()).by_hand()
    assert names == {group("nice."): [], group("bonnets bent"): ["hood", "trim of gold"]}
    write_rows(tmp_path / "raw" / "reviews" / "r.jsonl", [{"id": "r#1", "review": "NICE."}])
    ((row, reason),) = Reviews(tmp_path / "raw", parts_params()).rows()
    assert (row["response"], row["weak"], row["part"], reason) == ("none", "none", "test", None)


def test_the_first_rows_are_mixed_and_appended_ones_move_none(tmp_path):
    reviews = [{"review": f"The seat number {i}"} for i in range(40)]
    plain = [row["id"] for row in run(tmp_path, reviews)[0]]
    mixed = [row["id"] for row in run(tmp_path, reviews, mixed=30)[0]]
    assert sorted(mixed[:30]) == sorted(plain[:30]) and mixed[:30] != plain[:30]
    assert mixed[30:] == plain[30:]
    assert len(set(mixed[:10]) & set(plain[:10])) < 8
    more = [{"review": f"The seat number {i}"} for i in range(40, 60)]
    assert [row["id"] for row in run(tmp_path, reviews + more, mixed=30)[0]][:40] == mixed


def test_the_same_text_under_another_title_is_one_group(tmp_path):
    assert group("A  Review") == group("a review\n") != group("another")


def test_a_source_that_was_not_scraped_is_named_with_those_that_were(tmp_path):
    with pytest.raises(StageError, match=r"raw/elsewhere\n[^$]*one of: gold, pages, reviews, synonyms"):
        run(tmp_path, [{"review": "x"}], dictionaries=["elsewhere"])


@pytest.mark.parametrize(
    ("file", "content", "reader"),
    [
        ("parts.txt", "Bonnet/hood\nSeats\n", "lines"),
        ("parts.csv", "number,name\n1,Bonnet/hood\n2,Seats\n", "csv"),
        ("parts.json", '[{"name": "Bonnet/hood"}, {"name": "Seats"}]', "json"),
        (
            "parts.html",
            "<html><body><ul><li>Bonnet/hood</li><li>Seats</li></ul></body></html>",
            {"kind": "html_list", "within": "//body", "without": [], "notes": "keep"},
        ),
    ],
)
def test_a_plain_column_of_reviews_and_a_dictionary_in_any_kind_of_file(tmp_path, file, content, reader):
    folder_with(tmp_path / "source", comments__csv="when,comment\n2020,The hood leaks.\n2021,Fun.\n")
    (tmp_path / "source" / file).write_text(content)
    sources = {
        "comments": source_params("csv", files="comments.csv", columns={"comment": "comment"}),
        "names": source_params(reader, files=file, columns={"name": "name"}),
    }
    scrape.main("d", Scrape.model_validate({"sources": sources}), scrape.Paths(tmp_path / "source", tmp_path / "raw"))
    params = parts_params(reviews="comments", text="comment", dictionaries=["names"], synonyms="", gold="")
    kept = [row for row, reason in Reviews(tmp_path / "raw", params).rows() if reason is None]
    assert [row["response"] for row in kept] == ["hood", "none"]
    dataset = {"scrape": {"sources": sources}, "label": params.model_dump(), "format": {"style": "completion"}}
    assert list(sources_fit("datasets.d", dataset)) == []
