"""The page that leads to every report."""

import re

import pytest

from affinage.reports.index import Entry, render_index
from affinage.reports.outputs import Revision
from affinage.reports.overview import overviews
from tests.affinage.reports import made_up

WIDTHS = (360, 800, 1600)
MANY = 50


@pytest.fixture
def many(tmp_path):
    """A repository with fifty models that share one's results."""
    root = made_up.write(tmp_path)
    params = root / "params.yaml"
    head, model = params.read_text().split("models:\n")
    models = "".join(
        model.replace("  model:", f"  model{i}:", 1).replace("dataset: data", f"dataset: data{i // 10}") for i in range(MANY)
    )
    params.write_text(f"{head}models:\n{models}")
    for i in range(MANY):
        (root / "metrics" / f"model{i}").symlink_to(root / "metrics" / "model")
    return root


def index(root) -> str:
    return render_index([Entry(model, f"{model.name}.html") for model in overviews(Revision("workspace", root))], "here")


def test_every_model_stands_under_its_dataset_with_its_interval(many):
    text = index(many)
    assert text.count('<svg class="whisker') == 2 * MANY and text.count("<tbody id=") == 5
    assert all(f'<a href="model{i}.html">model{i}</a>' in text for i in range(MANY))
    assert "+35.0" in text and "within noise" in text


def test_it_loads_nothing_and_runs_nothing(many):
    text = index(many)
    assert "<script" not in text and "src=" not in text and "default-src 'none'" in text


def test_names_and_alarms_are_escaped(tmp_path):
    root = made_up.write(tmp_path)
    made_up.edit_json(root / "metrics/model/scores.json", lambda d: d.update(alarms={"<b>bold</b>": "<script>"}))
    text = index(root)
    assert "&lt;b&gt;bold" in text and "<script" not in text


def test_models_of_a_dataset_share_the_scale_of_a_figure(many):
    (many / "metrics/model1").unlink()
    twice = made_up.write(many / "twice") / "metrics/model"
    made_up.edit_json(twice / "scores.json", lambda d: d["embedded"].update(gain=70.0, low=60.0, high=80.0))
    twice.rename(many / "metrics/model1")
    text = index(many)
    ends = re.findall(r'class="reach" x1="([\d.]+)" y1="8" x2="([\d.]+)"', text)
    assert ends[2] != ends[0] and float(ends[2][1]) == 98  # the second model's reaches the end
    assert float(ends[0][1]) == pytest.approx(50 + 48 * 40 / 80)  # the first one's is half as far


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_at_any_width(tab, many, width):
    page = many / "index.html"
    page.write_text(index(many), encoding="utf-8")
    tab.look(width, 900)
    tab.open(page)
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run("document.querySelectorAll('a[href$=\".html\"]').length") == MANY
    inside = "one => one.getBoundingClientRect().right <= innerWidth"
    assert tab.run(f"Array.from(document.querySelectorAll('.badge')).every({inside})")  # nor is it cut off


def test_by_keyboard_alone(tab, many):
    page = many / "index.html"
    page.write_text(index(many), encoding="utf-8")
    (many / "model1.html").write_text("<!doctype html><title>one</title>", encoding="utf-8")
    tab.look(1400, 900)
    tab.open(page)
    stops = []
    for _ in range(9):
        tab.press("Tab")
        stops.append(tab.run("document.activeElement.textContent.trim().slice(0, 13)"))
        assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert stops[:6] == ["To the models", *(f"data{i}" for i in range(5))] and stops[7:] == ["model0", "model1"]
    tab.press("Enter", "\r")
    tab.settle()
    assert tab.run("location.href").endswith("model1.html")
