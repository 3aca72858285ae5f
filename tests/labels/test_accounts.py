import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import label
from stages.common.errors import StageError
from stages.common.files import read_json, write_rows
from stages.labels.accounts import accounts, nearest, read_chart, wording
from tests.data_helpers import accounts_params, jsonl, names

CHART = {"6061": "Énergie", "6063": "Petit équipement", "607": "Marchandises", "2183": "Informatique"}


def line(number: int, account: object = "6061", **more) -> dict:
    return {"id": f"f#{number}", "supplier": f"Maison {chr(97 + number)}", "wording": "Facture", "account": account, **more}


def chart_rows(*accounts: tuple[object, object]) -> list[dict]:
    return [{"id": f"chart#{i}", "number": number, "name": name} for i, (number, name) in enumerate(accounts, 1)]


def run(tmp_path, rows: list[dict], **changes) -> tuple[list[dict], list[dict], dict]:
    write_rows(tmp_path / "raw" / "lines" / "f.jsonl", rows)
    write_rows(tmp_path / "raw" / "chart" / "f.jsonl", chart_rows(*CHART.items()))
    out = [tmp_path / "out" / name for name in ("labeled.jsonl", "dropped.jsonl", "metrics.json")]
    label.main("set", accounts_params(**changes), label.Paths(tmp_path / "raw", *out))
    return jsonl(out[0]), jsonl(out[1]), read_json(out[2])


def test_rows_get_their_label_its_name_their_text_and_their_group(tmp_path):
    kept, dropped, metrics = run(tmp_path, [line(1), line(2, " 607 ", wording="Thé  n° 12 du 03/05")])
    assert kept[0] == {
        **{"id": "f#1", "task": "label", "supplier": "Maison b", "wording": "Facture", "account": "6061"},
        **{"text": "Maison b | Facture", "label": "6061", "label_name": "Énergie", "group": "maison b facture"},
    }
    assert (kept[1]["label"], kept[1]["group"]) == ("607", "maison c the n du")
    assert dropped == [] and metrics == {"rows": 2, "kept": 2, "dropped": {}}


def test_a_number_in_the_text_is_the_same_however_wide_its_column_is(tmp_path):
    rows = [line(1, 6061.0, wording=12.0), line(2, 6061, wording=12), line(3, wording=True)]
    kept, _, _ = run(tmp_path, rows)
    assert [row["text"] for row in kept] == ["Maison b | 12", "Maison c | 12", "Maison d | true"]


def test_an_unknown_account_is_refused_with_the_nearest_ones_and_counted_by_its_number(tmp_path):
    _, dropped, metrics = run(tmp_path, [line(1), line(2), line(3), line(4, "6062"), line(5, "6062")])
    assert {row["reason"] for row in dropped} == {
        "unknown account 6062; nearest: 6061 Énergie, 6063 Petit équipement, 607 Marchandises"
    }
    assert metrics["dropped"] == {"unknown account 6062": 2}


def test_over_half_unknown_is_an_error_and_writes_nothing(tmp_path):
    rows = [line(1), line(2, "9"), line(3, "8")]
    with pytest.raises(StageError, match=r"source chart\n[^$]*2 of 3 rows[^$]*9 \(1\), 8 \(1\)[^$]*6061, 6063, 607, 2183"):
        run(tmp_path, rows)
    assert names(tmp_path / "out") == set()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (line(1, wording=""), "missing wording"),
        (line(1, account=None), "missing account"),
        (line(1, wording=["a"]), "not text: wording"),
        (line(1, account=6061), None),
    ],
)
def test_a_row_without_a_value_is_dropped(row, reason):
    assert [dropped_for for _, dropped_for in accounts([row], accounts_params(), CHART)] == [reason]


def test_repeated_lines():
    first = line(1)
    rows = [first, first, {**first, "supplier": "MAISON B"}, {**first, "account": "607"}]
    reasons = [reason for _, reason in accounts(rows, accounts_params(), CHART)]
    assert reasons == [None, "duplicate", "duplicate but for case or white space", "conflict"]


@pytest.mark.parametrize(
    ("accounts", "message"),
    [
        ([], "no account"),
        ([("1", "a"), ("1", "b")], r"chart#2\n[^$]*again"),
        ([("1", "")], "chart#1"),
        ([("1", None)], "chart#1"),
        ([(None, "a")], "chart#1"),
    ],
)
def test_a_broken_chart_is_refused_with_its_place(accounts, message):
    with pytest.raises(StageError, match=message):
        read_chart(chart_rows(*accounts))


def test_a_chart_may_have_numbers_and_keeps_its_order():
    assert read_chart(chart_rows((607, " Marchandises "), ("6061", "Énergie"))) == {"607": "Marchandises", "6061": "Énergie"}


@pytest.mark.parametrize("missing", ["lines", "chart"])
def test_a_source_that_was_not_scraped_is_refused(tmp_path, missing):
    with pytest.raises(StageError, match=r"raw/elsewhere\n[^$]*one of: chart, lines"):
        run(tmp_path, [line(1)], **{missing: "elsewhere"})


def test_nearest_shares_the_longest_beginning():
    chart = dict.fromkeys(["607", "6061", "6063", "616", "2183"], "")
    assert nearest("6068", chart) == ["6061", "6063", "607"]
    assert nearest("61", chart)[0] == "616"
    assert nearest("218", chart)[0] == "2183"


def test_wording_leaves_out_what_changes_from_month_to_month():
    december = wording(["Ondéa Télécom", "Abonnement fibre déc. 2024 n° 12"])
    assert december == wording(["ONDEA TELECOM", "abonnement fibre FÉVR. 2025, n°7"]) == "ondea telecom abonnement fibre n"
    assert wording(["Maison Mars"]) != wording(["Maison Marsy"])


@given(st.lists(st.sampled_from(["6061", "607", "9", "", " 6063"]), max_size=12))
def test_every_row_comes_out_once_in_order_and_kept_ones_are_in_the_chart(lines):
    rows = [line(i, account) for i, account in enumerate(lines)]
    out = []
    try:
        out.extend(accounts(rows, accounts_params(), CHART))
    except StageError:
        assert lines.count("9") * 2 > len(lines)
    else:
        assert [row["id"] for row, _ in out] == [row["id"] for row in rows]
        assert all((row["label"] in ("6061", "607", "6063")) for row, reason in out if reason is None)
