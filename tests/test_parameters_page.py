"""docs/parameters.md names every parameter with its type, its legal values and its default, as they are."""

from stages.common.check_params import SECTIONS
from stages.common.defaults import models_below
from tests import parameters_page
from tests.parameters_page import MARK, PAGE, page


def test_the_page_says_what_the_schema_and_the_defaults_say():
    written = PAGE.read_text(encoding="utf-8").split(MARK)[1].lstrip("\n")
    assert written == page(), "run: python -m tests.parameters_page"


def test_every_parameter_has_a_line():
    names = {line.split("`")[1] for line in page().splitlines() if line.startswith("| `")}
    for annotation in SECTIONS.values():
        for model in models_below(annotation):
            assert {*model.model_fields} - {"kind", "method", "style", "task"} <= names


def test_comments_are_those_of_the_class_that_has_the_field():
    comment = parameters_page.about(parameters_page.schema_models.CausalTraining, "warmup")
    assert comment == "share of all steps"
