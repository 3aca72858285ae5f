import copy
import re
import shutil
from pathlib import Path

import pytest

from stages.common.check_params import check
from stages.common.defaults import resolve
from stages.common.errors import StageError
from stages.common.params import read, section
from stages.common.schema import Split
from stages.common.schema_models import Judge
from tests.data_helpers import ROOT, as_checked, put, web_params

COMMITTED = read(ROOT / "params.yaml")
RESOLVED = as_checked(resolve(COMMITTED)[0])


def problems(params: object) -> str:
    with pytest.raises(StageError) as caught:
        check(params, Path("params.yaml"))
    return caught.value.found


@pytest.fixture
def params_file(tmp_path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def edit(file: Path, name: str, value: str) -> None:
    """Write another value where `name` first stands in the file (in the model `medical`, for names of models)."""
    text, count = re.subn(rf"(?m)^( +{name}:) .*$", rf"\1 {value}", file.read_text(encoding="utf-8"), count=1)
    assert count
    file.write_text(text, encoding="utf-8")


def test_the_committed_parameters_pass():
    assert check(COMMITTED, ROOT / "params.yaml").model_dump(exclude_unset=True) == RESOLVED


def test_a_section_is_all_that_is_handed_out(params_file):
    params = section("datasets", "medical_qa", "split", params_file)
    assert isinstance(params, Split)
    assert params.model_dump() == RESOLVED["datasets"]["medical_qa"]["split"]


def test_a_section_cannot_be_changed(params_file):
    with pytest.raises(ValueError):
        section("datasets", "medical_qa", "split", params_file).test = 0.5


def test_an_unknown_entry_names_the_known_ones(params_file):
    with pytest.raises(StageError, match="no 'medicine'[^$]*medical_qa, instructions"):
        section("datasets", "medicine", "split", params_file)


def test_the_whole_file_is_checked_for_any_section(params_file):
    edit(params_file, "learning_rate", "fast")
    with pytest.raises(StageError, match="defaults.train.all.learning_rate: found 'fast', expected a number"):
        section("datasets", "medical_qa", "split", params_file)


def test_a_number_in_scientific_notation_is_a_number(params_file):
    edit(params_file, "learning_rate", "1e-5")
    assert section("models", "medical", "train", params_file).learning_rate == 1e-5


def test_no_is_text_and_no_truth_value(params_file):
    edit(params_file, "shuffle_pairs", "no")
    with pytest.raises(StageError, match="shuffle_pairs: found 'no', expected true or false"):
        section("models", "medical", "train", params_file)


def test_an_unknown_key_is_refused_with_a_suggestion():
    text = problems(put("datasets.medical_qa.split.tset", 0.1))
    assert "datasets.medical_qa.split.tset: unknown key; did you mean 'test'?" in text
    assert "legal: exact, given, group, near_duplicate, sample, seed, stratify, test, train, validation" in text


def test_the_legal_keys_are_those_of_the_place_whatever_an_entry_is_called():
    text = problems(put("datasets.format", COMMITTED["datasets"]["medical_qa"] | {"splt": 1}))
    assert "datasets.format.splt: unknown key; did you mean 'split'? (legal: format, label, scrape, source, split)" in text


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("models.medical.train.epochs", 2.0, "models.medical.train.epochs: found 2.0, expected a whole number"),
        ("models.medical.train.epochs", True, "models.medical.train.epochs: found True, expected a whole number"),
        ("models.medical.train.epochs", "2", "models.medical.train.epochs: found '2', expected a whole number"),
        ("models.medical.train.epochs", 0, "models.medical.train.epochs: found 0, expected "),
        ("models.medical.train.learning_rate", "1e-5", "learning_rate: found '1e-5', expected a number"),
        ("models.medical.train.learning_rate", float("inf"), "learning_rate: found inf, expected a finite number"),
        ("models.medical.train.warmup", 1.5, "models.medical.train.warmup: found 1.5"),
        ("models.medical.train.schedule", "square", "found 'square', expected 'linear', 'cosine' or 'constant'"),
        ("models.medical.train.tune", {"kind": "full", "layers": 6}, "train.tune.layers: unknown key (legal: kind)"),
        ("models.medical.train.tune", {"kind": "half"}, "'full', 'top_layers', 'lora'"),
        ("models.medical.judge.judges", {}, "models.medical.judge.judges: found {}"),
        ("models.medical.judge.judges.llama3", {"kind": "ollama"}, "judges.llama3.num_ctx: missing"),
        ("models.medical.judge.judges.gpt", {"kind": "openai", "num_ctx": 5}, "judges.gpt.num_ctx: unknown key"),
        ("models.medical.judge.judges.x", {"kind": "human"}, "'embedded', 'ollama', 'openai'"),
        ("models.medical.judge.judges.content.warn_below", 80, "judges.content.warn_below: found 80"),
        ("models.medical.generate.probes", "one", "generate.probes: found 'one', expected a list"),
        ("datasets.medical_qa.source", None, "datasets.medical_qa.source: found None, expected text"),
        ("datasets.medical_qa.scrape.sources.local.reader", "xml", "found 'xml', expected 'json', 'jsonl', 'csv', 'excel'"),
        ("datasets.medical_qa.split.sample", 0, "datasets.medical_qa.split.sample: found 0"),
        ("bases.minilm.base.sha256", "abc", "bases.minilm.base.sha256: found 'abc'"),
        ("models.medical.judge.measures", ["part"], "models.medical.judge.measures.0: found 'part', expected 'parts'"),
        ("models.medical.judge.measures", "parts", "models.medical.judge.measures: found 'parts', expected a list"),
        ("models.medical.judge.task", "labels", "'text', 'label'"),
        (
            "models.medical.judge.task",
            "label",
            "models.medical.judge.judges: unknown key (legal: bootstrap, confidence, seed, task)",
        ),
        (
            "models.medical.generate.task",
            "label",
            "models.medical.generate.probes: unknown key (legal: batch_rows, precision, seed",
        ),
        ("models.medical.judge.task", "label", "models.medical.judge.task: found 'label', expected 'text', what method causal"),
        ("models.invoices.judge.task", "text", "models.invoices.judge.task: found 'text', expected 'label', what method class"),
        ("models.invoices.generate.task", "text", "models.invoices.generate.task: found 'text', expected 'label', what method"),
        (
            "models.invoices.dataset",
            "elements",
            "models.invoices.dataset: 'elements' is formatted in style chat, expected a dataset in style classification, "
            "which method classifier trains on: invoices",
        ),
        (
            "models.medical.dataset",
            "invoices",
            "models.medical.dataset: 'invoices' is formatted in style classification, expected a dataset in another style "
            "than classification, which method causal trains on: medical_qa, instructions, car_reviews, elements",
        ),
        ("models.invoices.judge.measures", [], "models.invoices.judge.measures: unknown key (legal: bootstrap"),
        ("datasets", [], "datasets: found [], expected a mapping"),
        ("models.medical", None, "models.medical: found None, expected a mapping"),
        ("bases.minilm.base", "wheel", "bases.minilm.base: found 'wheel'"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(path, value, message):
    assert message in problems(put(path, value))


def test_a_missing_parameter_is_named():
    params = copy.deepcopy(COMMITTED)
    del params["defaults"]["split"]["seed"]
    assert "datasets.medical_qa.split.seed: missing; expected a value, here or in defaults.split" in problems(params)
    del params["datasets"]["medical_qa"]["source"]
    assert "datasets.medical_qa.source: missing; expected a value\n" in problems(params)


def test_fractions_must_sum_to_one():
    text = problems(put("datasets.medical_qa.split.train", 0.83))
    assert "datasets.medical_qa.split: train + validation + test must be 1, not 1.1" in text


@pytest.mark.parametrize(("test", "train"), [(0.2, 0.73), (0.3, 0.63), (0, 0.93), (0.93, 0)])
def test_train_is_what_validation_and_test_leave(test, train):
    checked = check(put("datasets.medical_qa.split.test", test), Path("params.yaml"))
    assert checked.datasets["medical_qa"].split.train == train


@pytest.mark.parametrize("share", ["much", None, [0.2], True, -0.5])
def test_a_share_that_is_no_number_is_named_for_itself(share):
    assert "1 problem\n" in (text := problems(put("datasets.medical_qa.split.test", share)))
    assert "datasets.medical_qa.split.test: found" in text


@pytest.mark.parametrize("value", ["nothing", ["smollm2"], {}, None, 7])
@pytest.mark.parametrize("field", ["dataset", "base", "root"])
def test_a_wire_that_leads_nowhere_is_refused(field, value):
    assert f"models.medical.{field}: " in problems(put(f"models.medical.{field}", value))


def test_a_wire_that_leads_nowhere_names_where_it_may_lead():
    text = problems(put("models.medical.dataset", "nothing"))
    assert "models.medical.dataset: no dataset 'nothing'; expected one of medical_qa, instructions" in text
    text = problems(put("models.medical.base", "nothing"))
    assert "models.medical.base: no base or model 'nothing'; expected one of smollm2, minilm, medical, assistant" in text


def test_an_encoder_cannot_be_tuned_as_a_causal_model():
    assert "'minilm' cannot be tuned by method causal; expected one of smollm2" in problems(
        put("models.medical.base", "minilm")
    )


def test_a_later_round_may_start_from_an_earlier_one():
    rounds = put("models.later", COMMITTED["models"]["medical"] | {"base": "medical"})
    assert check(rounds, Path("params.yaml")).models["later"].base == "medical"


def test_rounds_in_a_circle_are_refused():
    params = put("models.later", COMMITTED["models"]["medical"] | {"base": "medical"})
    text = problems(put("models.medical.base", "later", params))
    assert "models.medical.base: rounds in a circle: medical -> later -> medical" in text
    assert "models.later.base: rounds in a circle: later -> medical -> later" in text


def test_a_round_on_itself_is_refused():
    assert "rounds in a circle: medical -> medical" in problems(put("models.medical.base", "medical"))


def test_a_wrong_root_is_refused_with_the_right_one():
    params = put("models.later", COMMITTED["models"]["medical"] | {"base": "medical", "root": "minilm"})
    assert "models.later.root: found 'minilm', expected 'smollm2', where its chain of rounds starts" in problems(params)


def test_names_that_would_share_a_folder_are_refused():
    params = put("models.smollm2", COMMITTED["models"]["medical"])
    assert "smollm2: names two things that would share models/smollm2; rename one" in problems(params)


@pytest.mark.parametrize("kind", ["bases", "datasets", "models"])
@pytest.mark.parametrize("name", ["../up", "a/b", "..", "", "Upper", "1st", "a b", "answers", "speed", "é", "a" * 101])
def test_names_that_are_no_plain_folder_are_refused(kind, name):
    params = copy.deepcopy(COMMITTED)
    params[kind][name] = next(iter(params[kind].values()))
    assert f"{kind}.{name}: not a usable name" in problems(params)


@pytest.mark.parametrize("name", ["id", "task", "reason"])
def test_columns_that_stages_write_cannot_be_overwritten(name):
    kept = problems(put("datasets.medical_qa.scrape.sources.local.keep", [name]))
    assert f"datasets.medical_qa.scrape.sources.local: column '{name}' in columns or keep is written by the stages" in kept
    columns = {"instruction": "question", "response": "answer", name: "number"}
    assert f"column '{name}'" in problems(put("datasets.medical_qa.scrape.sources.local.columns", columns))


def test_a_kept_column_cannot_take_the_place_of_ours():
    text = problems(put("datasets.medical_qa.scrape.sources.local.keep", ["response"]))
    assert "column 'response' in columns or keep is named twice" in text


def test_every_dataset_needs_a_question_and_an_answer():
    text = problems(put("datasets.medical_qa.scrape.sources.local.columns", {"instruction": "question"}))
    assert "datasets.medical_qa.scrape.sources.local.columns: no response" in text


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("datasets.medical_qa.format.style", "poem", "'alpaca', 'completion', 'chat', 'classification'"),
        (
            "datasets.medical_qa.format",
            {"style": "chat", "preamble": ""},
            "datasets.medical_qa.format.preamble: unknown key (legal: shard_rows, style",
        ),
        (
            "datasets.elements.format.style",
            "alpaca",
            "datasets.elements.scrape.sources.limericks.columns: no instruction and no response",
        ),
        (
            "datasets.elements.scrape.sources.limericks.columns",
            {"turns": "m"},
            "no instruction and no response; or no messages; expected",
        ),
        ("datasets.invoices.label.method", "guess", "datasets.invoices.label: found "),
        ("datasets.invoices.label.text", [], "datasets.invoices.label.text: found []"),
        (
            "datasets.invoices.label.chrt",
            "a",
            "label.chrt: unknown key; did you mean 'chart'? (legal: account, chart, conflicts",
        ),
        ("datasets.invoices.label.chart", "accounts", "label.chart: no source 'accounts'; expected one of lines, chart"),
        (
            "datasets.invoices.scrape.sources.chart.columns",
            {"account": "compte"},
            "datasets.invoices.scrape.sources.chart.columns: no number and no name, which label method accounts reads",
        ),
        (
            "datasets.invoices.scrape.sources.lines.columns.group",
            "libelle",
            "column 'group' in columns or keep is written by the stages",
        ),
        ("datasets.invoices.label.text", ["suplier"], "sources.lines.columns: no suplier, which label method accounts reads"),
        (
            "datasets.car_reviews.label.dictionaries",
            ["list"],
            "label.dictionaries: no source 'list'; expected one of reviews, ",
        ),
        ("datasets.car_reviews.label.text", "text", "sources.reviews.columns: no text, which label method parts reads"),
        ("datasets.car_reviews.label.target", "prices", "datasets.car_reviews.label.target: found 'prices'"),
        ("datasets.car_reviews.format.style", "classification", "sources.reviews.columns: no text and no label; expected"),
        (
            "datasets.car_reviews.scrape.sources.synonyms.columns",
            {"name": "name"},
            "sources.synonyms.columns: no means and no within, which label method parts reads",
        ),
        ("datasets.invoices.split.given", "fold", "one of given and stratify must be empty"),
    ],
)
def test_labels_and_styles(path, value, message):
    assert message in problems(put(path, value))


def test_every_row_may_be_trained_on_and_held_back_besides():
    params = put("datasets.medical_qa.split.train", 1.0)
    assert check(params, Path("params.yaml")).datasets["medical_qa"].split.test == 0.2
    assert "validation + test must be at most 1" in problems(put("datasets.medical_qa.split.test", 0.95, params))


def test_all_problems_come_in_one_message():
    params = put("datasets.medical_qa.split.tset", 1)
    params = put("models.assistant.train.epochs", 0, params)
    params = put("judge_base", "nothing", params)
    params = put("datasets.instructions.split.test", 0.95, params)
    text = problems(params)
    assert text.startswith("4 problems")
    for part in ("split.tset", "assistant.train.epochs", "judge_base: no encoder", "must be at most 1"):
        assert part in text


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: 1\na: 2\n",
        "a: \x07",
        "a: 2020-13-45",
        "a: !!int z",
        "a: !!python/object:os.system x",
        "a: " + "[" * 4000,
        "a: " + "[{" * 4000,
        "- 1",
        "7",
        "---\n---\n",
    ],
)
def test_a_file_that_is_no_mapping_in_yaml_is_refused(tmp_path, text):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(StageError, match=r"params\.yaml"):
        check(read(file), file)


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(StageError, match=r"params\.yaml"):
        read(tmp_path / "params.yaml")


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(StageError, match="run from the repository's root"):
        read(tmp_path / "params.yaml")


WEB = web_params({"a.html": "https://example.org/a"}, {"kind": "html_list", "within": "//body", "without": [], "notes": "keep"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "wbe"}, "scrape.sources.parts: found"),
        ({"url": "x"}, "sources.parts.url: unknown key; did you mean 'urls'? (legal: allow_private, columns, connect_seconds"),
        ({"urls": {"a.html": "ftp://example.org/"}}, "scrape.sources.parts.urls.a.html: found 'ftp://example.org/'"),
        ({"urls": {"a.html": "https://me:secret@example.org/"}}, "scrape.sources.parts.urls.a.html: found"),
        ({"urls": {"../a": "https://example.org/"}}, "scrape.sources.parts.urls.../a: found '../a'"),
        ({"sha256": {}}, "sources.parts: found"),
        ({"sha256": {}}, "only in one: ['a.html']"),
        ({"sha256": {"a.html": "abc"}}, "sources.parts.sha256.a.html: found 'abc'"),
        ({"reader": "html"}, "sources.parts.reader: found 'html', expected 'json'"),
        (
            {"reader": {"kind": "html_xpath", "within": "//body"}},
            "sources.parts.reader.within: unknown key; did you mean 'without'? (legal: kind, notes",
        ),
        ({"reader": {"kind": "html_liste"}}, "sources.parts.reader: found"),
        ({"hosts_at_once": 0}, "sources.parts.hosts_at_once: found 0"),
        ({"columns": {"nmae": "name"}}, "sources.parts.columns: no instruction and no response"),
    ],
)
def test_a_wrong_source_is_named_by_its_place_in_the_file(changes, message):
    source = WEB | {"columns": {"name": "name"}} | changes
    assert message in problems(put("datasets.medical_qa.scrape.sources.parts", source))


def test_a_right_source_is_taken():
    params = put("datasets.medical_qa.scrape.sources.web", WEB | {"columns": {"name": "name"}})
    kinds = [source.kind for source in check(params, Path("params.yaml")).datasets["medical_qa"].scrape.sources.values()]
    assert kinds == ["local", "web"]


@pytest.mark.parametrize("name", ["Web", "a/b", "..", ""])
def test_a_source_is_named_like_a_folder(name):
    params = copy.deepcopy(COMMITTED)
    params["datasets"]["medical_qa"]["scrape"]["sources"][name] = WEB | {"columns": {"name": "name"}}
    assert f"datasets.medical_qa.scrape.sources.{name}: found '{name}'" in problems(params)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("models.medical.train.seed", 2**32, "models.medical.train.seed: found 4294967296, expected less than 4294967296"),
        ("datasets.medical_qa.split.seed", 2**40, "datasets.medical_qa.split.seed: found"),
        ("models.medical.generate.min_new_tokens", 9999, "min_new_tokens of at most max_new_tokens, not 9999"),
        ("models.medical.generate.temperature", 1e-300, "temperature of 0, which is greedy, or of at least 0.00001"),
        ("models.medical.judge.bootstrap", 10**8, "judge.bootstrap: found 100000000, expected less than or equal to 100000"),
        ("models.medical.judge.seed", -1, "models.medical.judge.seed: found -1"),
        ("models.medical.judge.judges.chrf", {}, "judges.chrf: found 'chrf', expected another name: this one is a figure's"),
        ("models.medical.judge.judges.perplexity", {}, "judges.perplexity: found 'perplexity', expected another name"),
        ("models.medical.judge.judges.refused", {}, "judges.refused: found 'refused', expected another name"),
        ("models.medical.judge.judges.log_loss", {}, "judges.log_loss: found 'log_loss', expected another name"),
        ("models.medical.judge.judges.a_calibrated", {}, "judges.a_calibrated: found 'a_calibrated', expected another name"),
        ("models.medical.judge.judges.a b", {}, "judges.a b: found 'a b', expected lower-case letters, digits and _"),
        (
            "datasets.medical_qa.source",
            "data/$(id)",
            "datasets.medical_qa.source: found 'data/$(id)', expected a directory without",
        ),
        ("datasets.medical_qa.source", 'a"b', "datasets.medical_qa.source: found"),
        ("datasets.medical_qa.source", "-rf", "datasets.medical_qa.source: found"),
        ("datasets.medical_qa.source", "", "datasets.medical_qa.source: found"),
        ("models.medical.shards", "train; id", "models.medical.shards: found 'train; id', expected train, or one of its files"),
    ],
)
def test_what_numpy_a_shell_or_the_scores_cannot_take_is_refused(path, value, message):
    assert message in problems(put(path, value))


def test_content_is_the_name_of_the_embedded_judge_alone():
    server = {"kind": "openai", "model": "m", "base_url": "", "prompt": "score_100.v1", "pairwise": ""}
    server |= {"controls": 5, "concurrency": 1, "timeout_seconds": 5.0, "attempts": 1, "max_tokens": 9, "warn_below": 0.5}
    section = {"task": "text", "measures": [], "bootstrap": 100, "confidence": 0.95, "seed": 1}
    with pytest.raises(ValueError, match="judges.content: another name"):
        Judge(**section, judges={"content": server})
    assert Judge(**section, judges={"contents": server}).judges["contents"].model == "m"


def test_a_judge_with_a_dot_in_its_name_is_refused_for_dvc_could_not_reach_it():
    params = copy.deepcopy(COMMITTED)
    params["models"]["medical"]["judge"]["judges"]["gpt-4.1"] = {}
    assert "judges.gpt-4.1: found 'gpt-4.1', expected lower-case letters, digits and _" in problems(params)


@pytest.mark.parametrize("name", ["my data", "R&D", "a;b", "it's", "data (2)", "*", "é", "/absolute/path"])
def test_a_source_with_any_name_that_quotes_protect_is_taken(name):
    assert check(put("datasets.medical_qa.source", name), Path("params.yaml")).datasets["medical_qa"].source == name


def test_columns_that_keep_their_names_are_a_list():
    params = put("datasets.medical_qa.scrape.sources.local.columns", ["instruction", "response"])
    source = check(params, Path("params.yaml")).datasets["medical_qa"].scrape.sources["local"]
    assert source.columns == {"instruction": "instruction", "response": "response"}
    params = put("datasets.medical_qa.scrape.sources.local.columns", ["response", "response", "instruction"])
    assert "sources.local.columns: found ['response', 'response', 'instruction'], expected a mapping" in problems(params)
    assert "sources.local.columns: no instruction" in problems(
        put("datasets.medical_qa.scrape.sources.local.columns", ["response"])
    )
