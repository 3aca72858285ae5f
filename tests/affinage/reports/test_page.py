"""The page, and how a real browser shows it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from affinage.reports import figures
from affinage.reports.outputs import Revision
from affinage.reports.page import Page, render
from affinage.reports.results import Results, flat
from stages.common.files import read_rows, write_json, write_rows
from stages.common.speed import write_times
from tests.affinage.reports import made_up
from tests.imports import ROOT


def page(root: Path) -> str:
    return render(Results("model", Revision("workspace", root)))


def saved(root: Path) -> Path:
    (root / "page.html").write_text(page(root), encoding="utf-8")
    return root / "page.html"


def texts(tab, selector: str) -> list[str]:
    return tab.run(f"Array.from(document.querySelectorAll({selector!r}), one => one.textContent)")


def shown(tab) -> list[int]:
    return tab.run("Array.from(document.querySelectorAll('#rows > :not([hidden])'), one => Number(one.id.slice(4)))")


def choose(tab, name: str, text: str) -> None:
    """Pick the option of a select whose text begins with `text`."""
    tab.run(
        f"(() => {{ const one = document.getElementById({name!r});"
        f"one.selectedIndex = Array.from(one.options).findIndex(o => o.text.startsWith({text!r}));"
        "one.dispatchEvent(new Event('change')); })()"
    )


@pytest.fixture
def small(tmp_path) -> Path:
    return made_up.write(tmp_path, 8, ["plain heart"])


# without a browser ----------------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_else(small):
    text = page(small)
    assert not re.findall(
        r"""(?:src|href|action)\s*=\s*["']?(?!#)[^"'\s>]""", re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.S)
    )
    assert "@import" not in text and "url(" not in text and "http" not in re.sub(r"http-equiv", "", text)
    assert not re.findall(r"\son\w+\s*=|\sstyle\s*=", re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.S))


def test_headlines_are_read_in_words(small):
    text = re.sub(r"<[^>]+>", "", page(small))
    assert "Better than its base in perplexity and score by judge embedded; no different, beyond noise, in chrF." in " ".join(
        text.split()
    )
    assert "\u221223.0" in text and "[\u221225.0, \u221221.0]" in text


def test_a_bad_judge_is_marked(small):
    assert "is not to be relied on" in page(small) and "not reliable" in page(small)  # half: an area of 0.7
    made_up.edit_json(small / "metrics/model/details.json", lambda d: d["judges"]["embedded"]["auc"].pop("half"))
    assert "is not to be relied on" not in page(small)


def test_the_threshold_of_a_judge_is_that_of_its_parameters(small):
    params = (small / "params.yaml").read_text()
    (small / "params.yaml").write_text(params.replace("controls: 8", "controls: 8, warn_below: 0.6"))
    assert "is not to be relied on" not in page(small)


def test_the_same_results_give_the_same_bytes(small):
    assert page(small) == page(small)


def test_failed_verdicts_reasons_and_pairs_are_shown(tmp_path):
    def fail(answered, verdict):
        verdict["scores"]["embedded"]["tuned"] = None
        verdict |= {"failed": {"embedded": {"tuned": "truncated"}}, "reasons": {"embedded": {"base": "Off <topic>."}}}
        verdict["pairs"] = {"embedded": {"winner": "tie", "flipped": True}}

    text = page(made_up.write(tmp_path, 3, change=fail))
    assert "failed: truncated" in text and "Off &lt;topic&gt;." in text and "prefers neither, flipped with the order" in text
    assert re.search(r'<option value="failed">a judge failed \(3\)', text)


def test_a_judge_s_own_figures_are_shown(small):
    share = {"value": 0.62, "low": 0.5, "high": 0.74}
    versus = {"over": "base", "win_rate": share, "win_rate_lc": share, "flip_rate": share, "ties": share}
    extra = {"scale": [1, 5], "failed": {"truncated": 3}, "bounds": {"tuned": {"low": 2.25, "high": 4.5}}, "pairwise": versus}
    made_up.edit_json(small / "metrics/model/details.json", lambda d: d["judges"]["embedded"].update(extra, weak=[]))
    text = re.sub(r"<[^>]+>", "", page(small))
    assert "truncated 3; had they all been the lowest or the highest score, the tuned mean would be 2.2 or 4.5." in text
    assert "prefers tuned over base, trained prompt in 62 % of rows [50, 74]" in text
    assert "is not to be relied on" not in text  # it says itself that it is not weak
    assert Results("model", Revision("workspace", small)).span("embedded") == (1, 5)


def test_labels_are_shown_with_their_probabilities_and_mistakes(tmp_path):
    def label(answered, verdict):
        number = int(answered["id"].rpartition("#")[2])
        answered |= {"task": "label", "text": f"line {number}", "expected": "6061"}
        answered["answers"] = {
            "tuned": {"label": "6061" if number > 2 else "6063", "probabilities": {"6061": 0.75, "6063": 0.25}},
            "majority": {"label": "6063"},
        }
        del answered["messages"]
        verdict |= {"scores": {}, "likelihood": {}}

    root = made_up.write(tmp_path, 5, change=label)
    table = {"6061": {"precision": 1.0}}
    made_up.edit_json(root / "metrics/model/details.json", lambda d: d["tuned"].update(labels=table, rows=5))  # no figures
    text = page(root)
    assert Results("model", Revision("workspace", root)).task == "label"
    assert "0.75 sure" in text and "Most frequent mistakes" in text and "most frequent label" in text
    assert re.search(r'<td dir="auto">6061</td><td dir="auto">6063</td><td class="n">2</td>', text)
    assert '<option value="wrong">labelled wrong (2)' in text
    of = Page(Results("model", Revision("workspace", root))).labels
    assert of == [("6061", 5, 1.0, 0.6, 0.75), ("6063", 0, 0.0, 0.0, 0.0)]
    write_json(root / "data/data/formatted/labels.json", {"labels": ["6061", "6063"], "names": ["Énergie", "6063"]})
    text = page(root)
    assert '<td dir="auto">6061<small>Énergie</small></td><td dir="auto">6063</td>' in text
    assert '<th scope="row" dir="auto">6061<small>Énergie</small></th>' in text


def test_latency_is_shown_where_it_was_kept(small):
    assert "start of its batch" not in page(small)
    answers = small / "data/answers/model.jsonl"
    seconds = {"tuned": {f"file.jsonl#{i}": 0.25 for i in range(1, 9)}}
    write_times(small / "metrics/speed/model/generate.json", answers, seconds)
    assert page(small).count("0.25 s") == 8 and "start of its batch" in page(small)
    answers.write_text(answers.read_text(encoding="utf-8").replace("{", "{ ", 1), encoding="utf-8")
    assert "0.25 s" not in page(small)  # the times are those of other answers


def test_flags_of_form_are_named_and_rows_are_narrowed_by_them(tmp_path):
    def flag(answered, verdict):
        verdict["figures"] = {"tuned": {"flagged": 1.0, "repeats": 1.0, "echoes": 0.0}, "base": {"repeats": 0.0}}

    text = page(made_up.write(tmp_path, 3, change=flag))
    assert '<option value="repeats">form: repeats itself (3)' in text and 'value="echoes"' not in text
    assert text.count("tokens · repeats itself") == 3


def test_a_huge_answer_is_cut_and_said_to_be(tmp_path):
    text = page(made_up.write(tmp_path, 2, ["word " * 2_000_000]))
    assert len(text) < 1_000_000 and "of 10,000,000 characters" in text


def test_a_model_without_metrics_or_training_still_has_a_page(small):
    for path in (small / "metrics").rglob("*.*"):
        path.unlink()
    assert "dvc repro judge@model" in page(small) and "No comparison was kept" in page(small)


def test_answers_that_were_not_judged_are_shown(small):
    kept = list(read_rows(small / "data/verdicts/model.jsonl"))[:3]
    write_rows(small / "data/verdicts/model.jsonl", kept)
    assert page(small).count('<article role="row"') == 8


def test_nothing_heavy_is_imported():
    script = "import sys, affinage.commands.report; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


def test_parameters_become_dotted_lines():
    assert flat({"a": {"b": 2e-4, "c": [1, 2.5]}, "d": "x"}) == [("a.b", "0.0002"), ("a.c", "1, 2.5"), ("d", "x")]


# in a browser ---------------------------------------------------------------------------------------------------------


def test_hostile_text_stays_text(tab, tmp_path):
    tab.open(saved(made_up.write(tmp_path, 8, made_up.NASTY)))
    assert tab.run("document.title") == "model: results"
    assert tab.run("document.querySelectorAll('#rows :is(script, img, a:not([href^=\"#row-\"]), textarea)').length") == 0
    shown = texts(tab, "#rows .answer.tuned .text")
    for text, answer in zip(made_up.NASTY[:4], shown, strict=False):
        assert answer == text  # character by character
    assert tab.run("document.querySelectorAll('script').length") == 1
    assert tab.requests() == [tab.run("location.href")] and tab.complaints() == []


def test_the_policy_refuses_what_is_not_the_page_s_own(tab, small):
    tab.open(saved(small))
    tab.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title = 1'}))")
    tab.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=2\"><p style=\"color:red\" id=p>')"
    )
    tab.run("fetch('http://127.0.0.1:9/').catch(() => 0)")
    tab.settle()
    assert tab.run("document.title") == "model: results"
    assert tab.run("getComputedStyle(document.getElementById('p')).color") != "rgb(255, 0, 0)"
    assert any("Content Security Policy" in text for text in tab.complaints())


def test_search_narrows_and_escape_clears(tab, small):
    tab.open(saved(small))
    tab.press("/")
    tab.write("PLAIN heart")
    assert shown(tab) == [1] and tab.run("document.getElementById('count').value") == "1 of 8 rows"
    assert tab.run("CSS.highlights.get('found').size") > 0
    tab.write(" nowhere")
    assert shown(tab) == [] and not tab.run("document.getElementById('nothing').hidden")
    tab.press("Escape")
    assert shown(tab) == list(range(1, 9)) and tab.run("document.activeElement === document.body")


def test_rows_are_sorted_and_narrowed(tab, small):
    root = small
    tab.open(saved(root))
    scores = [row["scores"]["embedded"]["tuned"] for row in read_rows(root / "data/verdicts/model.jsonl")]
    ordered = sorted(range(1, 9), key=lambda number: scores[number - 1])
    choose(tab, "sort", "embedded: tuned")
    assert shown(tab) == ordered
    tab.run("document.getElementById('direction').click()")
    assert shown(tab) == ordered[::-1]
    choose(tab, "sort", "place")
    choose(tab, "filter", "lost by judge")
    lost = [
        i
        for i, row in enumerate(read_rows(root / "data/verdicts/model.jsonl"), 1)
        if row["scores"]["embedded"]["tuned"] < row["scores"]["embedded"]["base"]
    ]
    assert sorted(shown(tab)) == lost


def test_heads_of_columns_sort(tab, small):
    tab.look(1500, 900)
    tab.open(saved(small))
    tab.run("document.querySelector('button[data-column=gain]').click()")
    first = shown(tab)
    assert tab.run("document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"
    tab.run("document.querySelector('button[data-column=gain]').click()")
    assert shown(tab) == first[::-1] != first


def test_rows_are_reached_by_keyboard(tab, small):
    tab.open(saved(small))

    def focused() -> str:
        return tab.run("document.activeElement.id")

    assert tab.run("document.querySelectorAll('#rows > [tabindex=\"0\"]').length") == 1
    tab.press("j", "j")
    assert focused() == "row-1"
    tab.press("j", "j"), tab.press("ArrowDown")
    assert focused() == "row-3"
    tab.press("k", "k")
    assert focused() == "row-2"
    tab.press("End")
    assert focused() == "row-8"
    tab.press("Enter", "\r")
    assert tab.run("document.querySelector('#row-8 details').open")
    assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_link_to_a_row_leads_to_it(tab, small):
    tab.open(saved(small), "#row-5")
    assert tab.run("document.activeElement.id") == "row-5"


@pytest.mark.parametrize("width", [360, 800, 1500])
def test_nothing_sticks_out_at_any_width(tab, tmp_path, width):
    tab.look(width, 900)
    tab.open(saved(made_up.write(tmp_path, 8, [*made_up.NASTY, "x" * 500])))
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")


def test_dark_and_light_differ_and_can_be_read(tab, small):
    file = saved(small)
    seen = {}
    for scheme in ("light", "dark"):
        tab.look(1200, 900, scheme)
        tab.open(file)
        seen[scheme] = tab.run(CONTRAST)
        assert min(seen[scheme].values()) >= 4.5, (scheme, seen[scheme])  # WCAG 2 AA for text
    assert seen["light"] != seen["dark"]


CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (text) => rgb(text).map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const ground = (one) => { for (; one; one = one.parentElement) {
    const found = getComputedStyle(one).backgroundColor; if (!found.endsWith(', 0)')) return found; }
    return 'rgb(255,255,255)'; };
  const found = {};
  for (const selector of ['.lead', '.kicker', '.note', '.badge.better', '.badge.worse', '.badge.within-noise', '.between',
      '.from', '.to', '.label', '#rows .text', 'mark', 'p.facts', 'kbd', 'summary', 'input', 'button', '.points b.better',
      '.head .base']) {
    const one = document.querySelector(selector);
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
    found[selector] = (a + .05) / (b + .05);
  }
  return found;
})()"""


def test_a_thousand_rows_are_laid_out_only_where_seen(tab, tmp_path):
    tab.look(1500, 900)
    tab.open(saved(made_up.write(tmp_path, 1000)))
    tab.run("document.getElementById('answers').scrollIntoView()")
    tab.settle()
    seen = "one => one.firstElementChild.checkVisibility({contentVisibilityAuto: true})"
    assert tab.run(f"Array.from(document.querySelectorAll('#rows > *')).filter({seen}).length") < 100
    tab.press("/")
    tab.write("question 77")
    assert 77 in shown(tab) and len(shown(tab)) < 30


@pytest.mark.parametrize("name", ["log_loss", "calibration_error", "count_error", "unreadable", "perplexity"])
def test_more_of_what_should_be_little_reads_as_worse(name):
    assert figures.reading(name, 0.1, 0.2) == figures.WORSE and figures.reading(name, -0.2, -0.1) == figures.BETTER


def test_what_ships_stands_beside_the_tuned_model(small):
    def add(details: dict) -> None:
        details["tuned_q8_0"] = details["tuned"] | {"as_tuned": {"value": 0.9, "low": 0.8, "high": 1.0}}
        details["forms"] = {"tuned_q8_0": {"chrf": {"value": -3.25, "low": -5.0, "high": -1.5}}}

    assert "As it ships" not in page(small)
    made_up.edit_json(small / "metrics/model/details.json", add)
    text = page(small)
    assert "As it ships" in text and "<b>90 %</b> [80, 100]" in text
    row = text.split('<th scope="row">tuned, as q8_0</th><td>chrF</td>')[1].split("</tr>")[0]
    assert f"{figures.MINUS}3.2" in row and "worse" in row
