"""Every command of the README and of docs/ is run as it stands there, or it is said where else it is, or why nowhere.

`RUN` runs in the order of the list, in one repository with tiny models; a command with a place to fill in (`<revision>`), or
with the name of a model that the tiny repository has not, is given as it was filled in.
"""

import json
import re
import runpy
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.imports import ROOT

pytestmark = pytest.mark.slow
WHOLE = ROOT / "docs" / "tutorial.md"  # tests/test_tutorial.py runs it from top to bottom
PAGES = [ROOT / "README.md", *sorted({*(ROOT / "docs").glob("*.md")} - {WHOLE})]
SHELLS = ("", "bash", "console", "sh")
PROGRAMS = "affinage|python|dvc|make|git|pip|gto|ollama|torchrun|srun|ray|curl|transformers|hf|llama-server|du|rm|source|export"
COMMAND = re.compile(rf"(?:[A-Z_]+=(?:'[^']*'|\S+)\s+)*(?:{PROGRAMS})\s+[^\s—|].*", re.DOTALL)
FILL = """import csv
rows = list(csv.DictReader(open("exports/marks/medical.csv", encoding="utf-8-sig")))
for i, row in enumerate(rows):
    row |= {"mark_a": 1 + i % 5, "mark_b": 1 + i % 4, "preferred": ("a", "b", "tie")[i % 3]}
with open("marks/medical.csv", "w", encoding="utf-8", newline="") as file:
    table = csv.DictWriter(file, rows[0])
    table.writeheader()
    table.writerows(rows)
"""
MINE = """import os
from pathlib import Path
from ruamel.yaml import YAML
yaml = YAML(typ="safe")
params = yaml.load(Path("params.yaml").read_text())
params["datasets"] |= yaml.load(Path(os.environ["TOOLS"], "mine.yaml").read_text())["datasets"]
yaml.dump(params, Path("params.yaml"))
folder = Path("data/sources/mine")
folder.mkdir(parents=True)
lines = [f"What is thing {i} of kind {i % 12}?,It is number {i} out of {i * 7}.,kind {i % 12}" for i in range(120)]
(folder / "rows.csv").write_text("Question,Reply,topic\\n" + "\\n".join(lines))
"""
CHAT = '{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}]}'
BACK = "git checkout -q -f main && git clean -qfd && dvc checkout -q --force"


@dataclass
class Run:
    """A documented command; `run_as` is how it is run, `before` makes what it needs, `says` stands in what it prints."""

    documented: str
    says: str = ""
    run_as: str = ""
    before: str = "true"


def recipe(name: str, documented: str = "") -> Run:
    """Recipes of other systems want their datasets and models: all of params.yaml, which is then put back."""
    command = f"affinage recipe {name}"
    before = 'cp "$ROOT/params.yaml" . && ln -sfn "$ROOT/recipes" recipes'
    return Run(documented or command, "set ", f"{command} && git checkout params.yaml", before)


SHOW_ONE = r"dvc exp show --drop '^(?!Experiment|Created|.*medical.*\.tuned$|models\.medical\.)'"
SHOW_ALL = (
    r"dvc exp show --csv --drop "
    r"'^(?!Experiment|Created|.*\.tuned$|models\..*\.(train|generate|judge)\.|defaults\.(train|generate))'"
)

RUN = [
    Run("make run", "affinage parallel --first limericks", 'make --dry-run --always-make -C "$ROOT" run'),
    Run("make test", "python -m pytest", 'make --dry-run --always-make -C "$ROOT" test'),
    Run("dvc status", "up to date"),
    Run("affinage --help", "compare"),
    Run("affinage summary", "go on with"),
    Run("affinage report", "reports/index.html"),
    Run("python -m affinage", "", "python -m affinage recipe --list"),
    Run("dvc repro", "up to date"),
    Run("affinage run", "stages ran"),
    Run("dvc repro judge@medical", "up to date"),
    Run("dvc repro judge@<model>", "up to date", "dvc repro judge@medical"),
    Run("dvc repro --dry train@medical", "python -m stages.train medical --rows", "dvc repro --dry -f train@medical"),
    # the README's first change
    Run("dvc exp run -S ++models.medical.train.learning_rate=1e-4", "Running stage 'judge@medical'"),
    Run("git diff params.yaml", "+      learning_rate: 0.0001"),
    Run("affinage plots", "", "affinage plots && ls plots/index.html"),
    Run("affinage parallel -j 2"),
    Run("affinage parallel"),
    Run("affinage parallel -j 1", "had nothing to do"),
    Run("git checkout params.yaml", "1 path"),
    Run("affinage table", "train.learning_rate 0.003 → 0.0001", before=BACK),
    Run("affinage check", "ALARM", "affinage check || test $? = 1"),  # random weights never end
    Run("affinage check my-experiment", "ALARM", "affinage check HEAD || test $? = 1"),
    Run("affinage check --allow constant_column", "ALARM", "affinage check --allow constant_column || test $? = 1"),
    Run("affinage table --speed", "train tokens/s"),
    Run("dvc exp show --only-changed", "workspace"),
    Run("dvc exp show", "workspace"),
    Run(SHOW_ONE, "models.medical.base"),
    Run(SHOW_ALL, "models.medical.train.epochs"),
    # seeing and comparing
    Run(
        "affinage compare main my-experiment",
        "Perplexity",
        before="dvc exp rename $(dvc exp list --name-only) my-experiment",
    ),
    Run("affinage compare HEAD workspace --model medical --rows 10"),
    Run("affinage compare <before> <after>", "Perplexity", "affinage compare HEAD my-experiment"),
    Run("affinage report medical", "", "affinage report medical && ls reports/medical.html"),
    Run("affinage report medical --rev <revision>", "", "affinage report medical --rev my-experiment"),
    Run("affinage report medical --against <revision>", "my-experiment", "affinage report medical --against my-experiment"),
    Run("affinage report medical --against HEAD", "reports/medical-against-HEAD.html"),
    Run("affinage report medical --against main", "reports/medical-against-main.html"),
    Run(
        "affinage report partfinder_t_001=partfinder_t_003 --against workspace",
        "medical-medical",
        "affinage report medical=medical --against workspace",
    ),
    Run('affinage ask medical "How is asthma treated?"'),
    Run("affinage ask medical --chat", "Ctrl-D ends", "echo 'How is asthma treated?' | affinage ask medical --chat"),
    Run('affinage ask medical "How is asthma treated?" --system "Answer in one sentence." --prompts'),
    Run("affinage marks export medical --rows 25", "marks/medical.html"),
    Run("affinage marks agreement medical marks/medical.csv", "kappa", before=f"python -c '{FILL}'"),
    Run("affinage plots HEAD longer", "", "affinage plots HEAD my-experiment"),
    Run("dvc exp diff HEAD longer", "learning_rate", "dvc exp diff HEAD my-experiment"),
    Run("dvc metrics diff longer", "scores.json", "dvc metrics diff my-experiment"),
    Run("dvc metrics diff <before> <after>", "scores.json", "dvc metrics diff my-experiment"),
    Run("dvc plots show", "index.html"),
    Run("dvc plots diff HEAD longer", "index.html", "dvc plots diff HEAD my-experiment"),
    Run("dvc exp list --all-commits", "my-experiment"),
    Run(  # of examples and an answer none fits the 256 tokens of the tiny model, so there is nothing to judge
        "dvc exp run -S models.medical.generate.shots=3 judge@medical",
        "Running stage 'generate@medical'",
        "dvc exp run -S models.medical.generate.shots=3 generate@medical",
    ),
    Run(
        "affinage compare --seeds seed-1 seed-2 seed-3 seed-4 seed-5 --model medical",
        "two runs differ by up to",
        before=f"""{BACK} && for seed in 1 2 3 4 5; do
            sed -i.bak "s/seed: 1$/seed: $seed/" params.yaml && dvc exp save -n seed-$seed && git checkout -q -f main; done""",
    ),
    Run(
        "affinage compare --seeds <run> <run> <run> --model medical",
        "two runs differ by up to",
        "affinage compare --seeds seed-1 seed-2 seed-3 --model medical",
    ),
    # using it
    Run("affinage export medical --to ollama", "exports/medical/Modelfile", before=BACK),
    Run("affinage export medical --to card", "exports/medical/README.md"),
    # the registry
    Run("gto register partfinder --version v1.0.0", "partfinder@v1.0.0"),
    Run("gto assign partfinder --version v1.0.0 --stage prod", "partfinder#prod#1"),
    Run("gto show", "partfinder"),
    Run("git push --tags", "partfinder@v1.0.0"),
    Run(
        "dvc artifacts get <repository> partfinder --rev v1.0.0",
        "",
        'dvc artifacts get "$TOOLS/origin" partfinder --rev v1.0.0 -o "$TOOLS/got" && ls "$TOOLS/got/config.json"',
    ),
    # housekeeping
    Run("affinage prune", "nothing"),
    Run("affinage prune --remove", "nothing"),
    Run("dvc commit -f"),
    Run("dvc commit -f train@medical"),
    Run("dvc repro -f", "Running stage 'format@medical_qa'", "dvc repro -f --single-item format@medical_qa"),
    Run("dvc --wait-for-lock …", "up to date", "dvc --wait-for-lock status"),
    Run("dvc push"),
    Run("git add -A && git commit", "kept", "git add -A && git commit --allow-empty -m kept"),
    # data of one's own: the parameters that docs/data.md shows
    Run("dvc repro format@mine", "Running stage 'format@mine'", before=f"python -c '{MINE}'"),
    Run("python -m stages.<stage> --help", "--splits", f"{BACK} && python -m stages.format --help"),
    Run(
        "python -m stages.training.hosted.rules FILE",
        "no problem",
        "python -m stages.training.hosted.rules $TOOLS/chat.jsonl",
        f"for i in $(seq 10); do echo '{CHAT}'; done > $TOOLS/chat.jsonl",
    ),
    # recipes
    Run("affinage recipe --list", "judge_ollama", before='ln -sfn "$ROOT/recipes" recipes'),
    *map(recipe, ("medical_shuffled", "judge_ollama", "judge_openai", "medical_medquad", "limericks_hosted")),
    recipe("assistant_gpt2", documented="affinage recipe …"),
    recipe("instructions_alpaca", documented="affinage recipe <name>"),
]

EXPERIMENTS, QUEUE, HOSTED = (
    "tests/test_experiments.py::test_",
    "tests/test_queue.py::test_",
    "tests/training/hosted/test_dvc.py::test_",
)
CLONE = EXPERIMENTS + "a_fresh_clone_pulls_and_runs_nothing"
GRID, KILLED = QUEUE + "a_queued_grid_runs_side_by_side", QUEUE + "a_queued_run_that_was_killed_goes_on_where_it_was"
PAID, CLUSTER = (
    HOSTED + "dvc_runs_a_hosted_model_and_pays_once",
    "tests/common/test_spread.py::test_a_cluster_writes_the_same_bytes",
)
LAUNCHER = "tests/training/test_processes.py::test_the_stage_starts_itself_under_a_launcher"
TOGETHER = "tests/training/test_processes.py::test_two_processes_give_the_table_and_the_weights_of_one"
VSCODE = "tests/test_commands.py::test_what_the_extension_of_vs_code_asks_is_answered"
ADDING = "tests/affinage/adding/test_to_formatted_rows.py::test_"
KINDS = "tests/affinage/adding/test_kinds.py::test_"
ELSEWHERE = {  # which test runs it, with other names
    "affinage add my.csv --model smollm2": ADDING + "questions_with_answers",
    'affinage add records.json --rows "data[*].qas"': ADDING + "rows_at_a_path_that_is_said",
    'affinage add elements.json --question "Which family does {name} belong to?" --answer category': ADDING
    + "a_template_of_several_columns",
    "affinage add reviews.jsonl --text text --label label --model minilm": ADDING + "texts_with_number_labels",
    'affinage add buses.html --rows "Built today" --question "Who makes the {Model}?" --answer Maker': KINDS
    + "another_part_of_a_page",
    "affinage add chart.json --as accounts --model minilm": KINDS + "a_chart_labels_the_invoice_lines_of_this_repository",
    "affinage add names.txt --as parts": ADDING + "parts_of_reviews_by_a_list_of_ones_own",
    "dvc repro judge@my": "tests/test_tutorial.py::test_the_tutorial_runs_as_it_stands",
    "dvc exp run -n longer -S models.medical.generate.max_new_tokens=16": EXPERIMENTS
    + "a_changed_parameter_runs_what_hangs_on_it_and_the_table_shows_it",
    "dvc exp run --temp": EXPERIMENTS + "a_temporary_run_leaves_the_work_tree_alone_until_it_is_applied",
    "dvc exp apply longer": EXPERIMENTS + "a_temporary_run_leaves_the_work_tree_alone_until_it_is_applied",
    "dvc exp branch longer tried": EXPERIMENTS + "save_and_branch",
    "dvc exp save -n kept": EXPERIMENTS + "save_and_branch",
    "dvc remote add -d storage <folder, s3://, ssh://, …>": CLONE,
    "git push && dvc push": CLONE,
    "dvc pull": CLONE,
    "git clone": CLONE,
    "dvc exp push origin longer": CLONE,
    "dvc exp push origin <name>": CLONE,
    "dvc exp pull origin longer": CLONE,
    "dvc exp pull origin <name>": CLONE,
    "dvc repro --pull --allow-missing judge@medical": EXPERIMENTS + "a_clone_with_a_remote_fetches_only_what_a_change_needs",
    "dvc exp remove <name> …": EXPERIMENTS + "garbage_collection_keeps_named_experiments",
    "dvc gc": EXPERIMENTS + "garbage_collection_keeps_named_experiments",
    "dvc gc --workspace --all-commits --all-experiments": EXPERIMENTS + "garbage_collection_keeps_named_experiments",
    "dvc exp run --queue -S ++models.medical.train.learning_rate=1e-3,1e-2 -S models.medical.train.epochs=1,3": GRID,
    "dvc exp run --queue -n seed-$seed -S models.medical.train.seed=$seed judge@medical": KILLED,
    "dvc exp run -S models.medical.train.epochs=2": EXPERIMENTS + "a_value_left_to_the_defaults_is_changed_with_a_plus",
    "affinage elsewhere medical": "tests/affinage/commands/test_elsewhere.py::test_on_the_command_line",
    "affinage elsewhere medical --on instructions": "tests/affinage/commands/test_elsewhere.py::test_on_the_command_line",
    "dvc exp run -S '+models.invoices.train.choose_by=macro_f1' judge@invoices": "tests/training/test_choosing.py"
    "::test_a_classifier_is_chosen_by_its_figures",
    "dvc exp run -S '+models.medical.generate.exports=[f16,q8_0,q4_k_m]' judge@medical": "tests/decoding/causal/exported"
    "/test_export_answers.py::test_an_export_answers_as_the_tuned_model_does",
    "dvc exp run -S +models.medical.train.weight_decay=0.1": EXPERIMENTS
    + "a_value_left_to_the_defaults_is_changed_with_a_plus",
    "python -m tests.parameters_page": "tests/test_parameters_page.py::test_the_page_says_what_the_schema_and_the_defaults_say",
    "dvc queue start -j 2": GRID,
    "dvc queue start --jobs 1": KILLED,
    "dvc queue status": GRID,
    "dvc queue logs <task>": KILLED,
    "dvc queue remove --failed": KILLED,
    "dvc queue kill <task>": QUEUE + "a_task_is_ended",
    "dvc exp show --json": VSCODE,
    "dvc plots diff HEAD longer -o .dvc/tmp/plots --split --json": VSCODE,
    "dvc data status --granular --unchanged --json": VSCODE,
    "dvc repro train@limericks_hosted": PAID,
    "OPENAI_API_KEY=$AZURE_OPENAI_API_KEY dvc repro …": PAID,
    "affinage jobs list": "tests/training/hosted/test_jobs.py::test_on_the_command_line",
    "affinage jobs list --base-url https://…": "tests/training/hosted/test_jobs.py::test_on_the_command_line",
    "affinage jobs show JOB": "tests/training/hosted/test_jobs.py::test_on_the_command_line",
    "affinage jobs events JOB": "tests/training/hosted/test_jobs.py::test_on_the_command_line",
    "affinage jobs cancel JOB": "tests/training/hosted/test_jobs.py::test_on_the_command_line",
    "dvc repro format@medquad": "tests/test_recipe_runs.py",
    "dvc repro format@<dataset>": "tests/test_recipe_runs.py",
    "AFFINAGE_RAY=auto dvc repro format@mine": CLUSTER,
    "AFFINAGE_LAUNCH='torchrun --nproc-per-node 8' dvc repro train@medical": LAUNCHER,
    "dvc repro train@medical": LAUNCHER,
    "python -m campaign": "tests/campaign/test_campaign.py::test_a_small_campaign_keeps_every_promise",
}
NOWHERE = {  # why it is not run, and what is instead
    "affinage --install-completion": "writes into the home folder; what it completes: tests/affinage/test_command_line.py",
    "affinage doctor": "looks at the machine; tests/affinage/commands/test_doctor.py runs it",
    "python -m tests.figures": "writes pages; its test: tests/test_figures.py",
    "source .venv/bin/activate": "sets variables of a shell; its programs are those that all tests run by",
    "pip install bitsandbytes": "needs a GPU; what is said without it: tests/training/causal/test_start.py",
    "pip install kagglehub": "what it brings is stood in for by tests/sources/test_remote.py",
    "pip install xllamacpp": "requirements-dev.txt has it, and tests/affinage/commands/test_export.py runs --check by it",
    'pip install "ray[data]"': f"requirements-dev.txt has it, and {CLUSTER} runs it",
    "pip install 'transformers[serving]'": "a server of others; what it reads: tests/models/test_directory.py",
    "transformers serve models/medical --port 8000": "as above",
    "transformers chat models/medical http://localhost:8000": "as above",
    "curl localhost:8000/v1/chat/completions -H 'content-type: application/json' -d"
    ' \'{"model": "models/medical", "messages": [{"role": "user", "content": "How is asthma treated?"}],'
    ' "max_tokens": 64, "temperature": 0}\'': "as above",
    "curl -fsSL https://ollama.com/install.sh | sh": "needs the network; its protocol: tests/servers",
    "ollama serve": "as above",
    "ollama pull llama3": "as above",
    "dvc repro judge@medical judge@assistant": "as above: tests/judging/test_server.py",
    "ollama create medical -f exports/medical/Modelfile": "needs Ollama; its file: tests/affinage/exporting/test_ollama.py",
    'ollama run medical "How is asthma treated?"': "as above; tests/affinage/commands/test_export.py asks llama.cpp",
    "llama-server -m …": "as above",
    "llama-server -m exports/medical/gguf/medical.gguf --alias medical": "as above: tests/decoding/causal/test_own_server.py",
    "hf upload <you>/medical models/medical": "needs an account",
    "hf upload <you>/medical exports/medical/README.md README.md": "needs an account",
    "export OPENAI_API_KEY=…": f"the key of {PAID}",
    "ray start --head": f"a cluster is started by {CLUSTER}",
    "torchrun --nnodes 2 --node-rank 0 --nproc-per-node 8 --master-addr host0 --master-port 29500 -m stages.train medical"
    " --rows … --formatted … --base … --out … --table … --metrics … --speed …": f"needs two hosts; two processes: {TOGETHER}",
    'export AFFINAGE_LAUNCH="srun torchrun --nnodes $SLURM_NNODES --nproc-per-node 8 --rdzv-id $SLURM_JOB_ID'
    ' --rdzv-backend c10d --rdzv-endpoint $first:29500"': f"needs Slurm; another launcher: {LAUNCHER}",
    "ray start": "as above",
    "rm -rf .dvc/tmp/exps/tmp* .dvc/tmp/exps/standalone": f"after a kill by force: {KILLED}",
    "dvc exp run -S": "half a command; whole ones are run",
    "dvc exp run -S …": "as above",
    "affinage ask": "as above",
    "du -sh --apparent-size": "how a table was measured",
    "git … expected: a git repository": "a message",
    "make lock": "asks a registry for every package; what it makes: tests/test_locks.py",
    "pip install uv": "as above",
    "pip install --require-hashes --no-deps": "half a command; make run is the whole one",
    "pip install pip-audit": "needs a database in the network; .github/workflows/audit.yml runs it",
    "python -m campaign --parts injection": "needs the models of a whole run; its texts: tests/campaign/test_injection.py",
}


def commands(page: Path) -> set[str]:
    """Every command of a page: lines of its blocks for a shell, and code in its sentences; comments and spaces are cut."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for shell, block in blocks if shell in SHELLS for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    lines = [re.sub(r"\s+# .*", "", line.strip().removeprefix("$ ")) for line in lines]
    return {" ".join(line.split()) for line in lines if COMMAND.fullmatch(line)}


def documented() -> dict[str, str]:
    return {command: page.name for page in PAGES for command in commands(page)}


def is_benchmark(command: str) -> bool:
    return command.startswith("python bench/")


def test_commands_are_found_on_a_page(tmp_path):
    (tmp_path / "page.md").write_text(
        "Run `dvc repro` or\n`git\ndiff`, not `dvc.yaml` or `dvc`.\n"
        "```\n$ make run   # all\nA='b c' dvc repro\nmake: done\n```\n"
        "```python\nimport os\n```\n```bash\nfor i in 1; do\n  pip install \\\n    x\ndone\n```\n"
    )
    assert commands(tmp_path / "page.md") == {"dvc repro", "git diff", "make run", "A='b c' dvc repro", "pip install x"}


def test_every_command_is_run_or_it_is_said_why_not():
    known = {run.documented for run in RUN} | ELSEWHERE.keys() | NOWHERE.keys()
    commands = {command: page for command, page in documented().items() if not is_benchmark(command)}
    assert {command: page for command, page in commands.items() if command not in known} == {}
    assert known - commands.keys() == set()  # nor does anything stand here that no page says any more


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values()) | set(re.findall(r"tests/[\w/.:]+", str(NOWHERE.values())))))
def test_what_runs_it_is_there(test):
    file, _, name = test.rstrip(".").partition("::")
    assert (ROOT / file).exists()
    assert not name or f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("command", sorted(filter(is_benchmark, documented())))
def test_a_benchmark_can_be_imported(command):
    """Each takes minutes; what it imports, of this repository too, is there."""
    assert runpy.run_path(str(ROOT / command.split()[1]), run_name="imported")["main"]


@pytest.fixture(scope="module")
def there(here):
    """The tiny repository, with what the commands look for."""
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    (mine,) = (block for block in re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE) if "  mine:" in block)
    (here.tools / "mine.yaml").write_text(mine, encoding="utf-8")
    return here


@pytest.mark.parametrize("command", RUN, ids=lambda run: run.documented)
def test_a_command_does_what_its_page_says(there, command):
    there.run("bash", "-c", command.before.replace("$ROOT", str(ROOT)))
    said = there.run("bash", "-c", (command.run_as or command.documented).replace("$ROOT", str(ROOT)))
    assert command.says in said


def errors(answer: object) -> list:
    """What an answer in JSON names as errors, at any depth."""
    inner = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else []
    own = [answer[key] for key in ("error", "errors") if answer.get(key)] if isinstance(answer, dict) else []
    return own + [error for cause in inner for error in errors(cause)]


@pytest.mark.parametrize(
    "command",
    [
        "data status --granular --unchanged --json",
        "exp show -n 3 --no-fetch --json",
        "plots diff HEAD seen -o .dvc/tmp/plots --split --json",
    ],
)
def test_what_the_extension_of_vs_code_asks_is_answered(there, command):
    """With the options that the extension gives: every file and revision that it shows is there, and no error or warning."""
    there.run("bash", "-c", f"{BACK} && dvc exp save --force -n seen")
    answer = there.run("bash", "-c", f"dvc {command}")  # both streams: a warning would be no JSON
    state = json.loads(answer)
    assert errors(state) == []
    shown = {"data": "smollm2", "exp": "learning_rate", "plots": "validation_loss"}
    assert shown[command.split()[0]] in answer


def test_errors_are_found_at_any_depth():
    assert errors([{"a": {"error": {"msg": "b"}}}, {"errors": []}]) == [{"msg": "b"}]
