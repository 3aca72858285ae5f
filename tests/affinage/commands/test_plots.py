"""`affinage plots`, and DVC's own plots, without a network."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from ruamel.yaml import YAML

from affinage.commands import plots
from stages.common.defaults import TASKS
from stages.common.errors import StageError
from tests.imports import ROOT

PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
PARAMS = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))


class Loads(HTMLParser):
    """Every address that a page would load."""

    def __init__(self, page: str):
        super().__init__()
        self.addresses = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset")]


@pytest.fixture
def here(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "metrics", tmp_path / "metrics")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pictures_and_a_page_of_the_work_tree(here):
    written = plots.draw([], here / "plots")
    assert (here / "plots" / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert {"index.html", "loss.png", "accuracy.png", "scores.png", "lengths.png"} <= {path.name for path in written}
    page = (here / "plots" / "index.html").read_text(encoding="utf-8")
    assert Loads(page).addresses == []
    assert page.count("<figure id=") == len(written) - 1
    first = (here / "plots" / "loss.png").read_bytes()
    plots.draw([], here / "plots")
    assert (here / "plots" / "loss.png").read_bytes() == first


DRAWN = "Promise.all(Array.from(document.querySelectorAll('figure'), one => new Promise(done => {const look = () =>"
DRAWN += " one.querySelector('svg.marks') ? done() : setTimeout(look, 20); look();})))"


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_the_page_in_a_browser(tab, here, width):
    plots.draw([], here / "plots")
    grounds = set()
    for scheme in ("light", "dark"):
        tab.look(width, 900, scheme)
        tab.open(here / "plots" / "index.html")
        tab.run(DRAWN)
        assert tab.run("document.documentElement.scrollWidth <= innerWidth") and tab.complaints() == []
        assert tab.requests() == [tab.run("location.href")]
        inside = "one => one.getBoundingClientRect().right <= innerWidth"
        assert tab.run(f"Array.from(document.querySelectorAll('#loss svg.marks, #lengths svg.marks')).every({inside})")
        grounds.add(tab.run("getComputedStyle(document.querySelector('#loss svg.marks')).backgroundColor"))
    assert len(grounds) == 2


def test_without_a_run_there_is_nothing_to_draw(here):
    shutil.rmtree(here / "metrics")
    with pytest.raises(StageError, match="dvc repro"):
        plots.draw([], here / "plots")


def test_pages_of_dvc_load_nothing_with_the_template(here):
    """DVC's page with our template: every chart is in it, and no address."""
    shutil.copy(ROOT / "dvc.yaml", here)
    shutil.copytree(ROOT / ".dvc" / "plots", here / ".dvc" / "plots")
    plots.draw([], here / "plots")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm", "-f"], check=True)
    shutil.copytree(ROOT / ".dvc" / "plots", here / ".dvc" / "plots", dirs_exist_ok=True)
    command = [sys.executable, "-m", "dvc", "plots", "show", "--html-template", "plots/template.html"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stderr + done.stdout
    page = (here / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert Loads(page).addresses == []
    titles = [next(iter(plot)) for plot in PIPELINE["plots"]]
    titles += [f"{kind} of {name}" for name in PARAMS["models"] for kind in ("Training loss", "Scores")]
    titles += [f"Lengths of {name}" for name in PARAMS["datasets"]]
    assert all(f'"{title}"' in page for title in titles)
    assert not re.findall(r"<DVC_METRIC_\w+>", page.split("</script></head>")[1])


def test_the_charts_of_all_models_name_every_model_of_the_default_run():
    curves = {f"metrics/{name}/results.csv" for name, model in PARAMS["models"].items() if model["train"]["method"] != "hosted"}
    for plot in PIPELINE["plots"]:
        for title, options in plot.items():
            if options.get("template") == "curves":
                assert set(options["y"]) == curves, f"{title}: list every model's results.csv in dvc.yaml"


def test_templates_are_named_in_the_pipeline_and_are_vega_lite_5():
    stages = [out for entry in PIPELINE["stages"].values() for out in entry["do"].get("plots", [])]
    named = {
        options["template"] for plot in [*PIPELINE["plots"], *stages] for options in plot.values() if "template" in options
    }
    there = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / ".dvc" / "plots").glob("*.json")}
    named |= {name.replace("${item.train.method}", method) for name in named for method in TASKS}
    assert there["causal_scores"] == there["hosted_scores"]
    assert set(there) <= named
    assert {template["$schema"] for template in there.values()} == {plots.shared.SCHEMA}


def test_every_plot_listed_exists():
    for plot in PIPELINE["plots"]:
        for options in plot.values():
            assert all((ROOT / path).is_file() for path in options["y"])
