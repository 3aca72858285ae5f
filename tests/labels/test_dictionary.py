import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import StageError
from stages.labels.dictionary import base, build, fold, plural, singular, split_name, words_of
from tests.data_helpers import odd_text


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ("Bonnet/hood", ["Bonnet", "hood"]),
        ("Bonnet/hood latch", ["Bonnet latch", "hood latch"]),
        ("Brake disc/rotor", ["Brake disc", "Brake rotor"]),
        ("Parking brake / handbrake", ["Parking brake", "handbrake"]),
        ("Engine mount/motor mount", ["Engine mount", "motor mount"]),
        ("Starter/starter motor", ["Starter", "starter motor"]),
        ("A/C", ["A/C"]),
        ("A/C compressor", ["A/C compressor"]),
        ("Nuts and bolts", ["Nuts", "bolts"]),
        ("Inlet and exhaust manifold", ["Inlet manifold", "exhaust manifold"]),
        ("Rack and pinion", ["Rack and pinion"]),
        ("Catalytic converter (cat)[2]", ["Catalytic converter"]),
        ("Fuel tank (or fuel filler) door", ["Fuel tank door"]),
        ("1. Cylinder †", ["Cylinder"]),
        ("Strut\n mount *", ["Strut mount"]),
        ("Sensor²", ["Sensor"]),
        ("", []),
        ("(none)", []),
        (" / ", []),
    ],
)
def test_entries_are_split_into_names(entry, names):
    assert split_name(entry) == names


@pytest.mark.parametrize(
    ("noun", "many"),
    [("brake", "brakes"), ("switch", "switches"), ("battery", "batteries"), ("lens", "lenses"), ("chassis", "chassis"),
     ("tray", "trays"), ("axle", "axles"), ("glass", "glasses"), ("fuse", "fuses"), ("box", "boxes")],
)  # fmt: skip
def test_plurals(noun, many):
    assert plural(noun) == many
    assert singular(many) == noun
    assert singular(noun) == noun


def test_an_upper_case_abbreviation_is_no_plural():
    assert base("ABS") == "abs"
    assert base("Brakes") == "brake"


@pytest.mark.parametrize("written", ["up-pipe", "Up pipes", "UPPIPES", "up‑pipe", "up pipe"])
def test_hyphens_spaces_plurals_and_case_are_one_name(written):
    assert build(["Up-pipe"]).canonical(written) == "up-pipe"


def test_the_same_part_written_twice_is_one_name():
    assert build(["Glove box", "Glovebox", "Glove-boxes"]).names == ["glove box"]


def test_abbreviations_with_a_stroke():
    built = build(["A/C", "A/C compressor"])
    assert [built.canonical(name) for name in ("A/C", "AC", "ac compressors", "a c")] == ["a/c", "a/c", "a/c compressor", None]


def test_stop_names_are_set_aside_with_their_reason():
    built = build(["and", "Set", "Others", "", "12", "Wheel", "what one should always look at before one buys a car"])
    assert built.names == ["wheel"]
    assert [reason for _, reason in built.dropped] == [*["stop name"] * 3, "empty", "no word", "over 6 words"]
    assert built.canonical("set") is None


def test_synonyms():
    rows = [
        {"name": "bonnet", "means": "hood", "within": "yes"},
        {"name": "tranny", "means": "transmission", "within": ""},
        {"name": "bumper to bumper", "means": "", "within": ""},
    ]
    built = build(["Bonnet", "Hood latch", "Bumper"], rows)
    assert built.names == ["hood", "transmission", "hood latch", "bumper"]
    assert [built.canonical(name) for name in ("bonnets", "bonnet latch", "Tranny")] == ["hood", "hood latch", "transmission"]
    assert built.canonical("bumper to bumper") is None


def test_a_dictionary_without_names_and_a_synonym_without_one_are_refused():
    with pytest.raises(StageError, match="no name of a part"):
        build(["and"])
    with pytest.raises(StageError, match="synonym 1"):
        build(["Wheel"], [{"name": "", "means": "wheel"}])


@given(odd_text)
def test_folding_settles_and_words_keep_their_place(text):
    folded = fold(text)
    assert fold(folded) == folded
    assert len(words_of(folded)) == len(folded)


@given(st.lists(odd_text, max_size=5))
def test_any_entries_give_names_that_are_found_again(entries):
    built = build([*entries, "wheel"])
    for name in built.names:
        assert built.canonical(name) == name


def test_a_synonym_may_stand_for_one_number_alone():
    rows = [("lights", "light"), ("gears", ""), ("gear", ""), ("breaks", "brakes")]
    rows = [{"name": name, "means": means, "within": "as written"} for name, means in rows]
    built = build(["Brakes", "Gear", "Reading light"], rows)
    assert built.written["lights"] == "light" and "light" not in built.written
    assert built.written["gear"] == built.written["gears"] == ""
    assert built.written["breaks"] == "brake" and "break" not in built.written


@pytest.mark.parametrize("entry", ["Shock absorber and component", "Bumper and support", "Mounting", "Trap/assembly"])
def test_a_half_that_names_nothing_by_itself_is_no_part(entry):
    built = build([entry, "Seat"])
    assert not {"component", "support", "mounting", "trap", "assembly"} & set(built.names)
