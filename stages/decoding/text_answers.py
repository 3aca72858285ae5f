"""Answers in text: every test row and every probe, by the tuned model and by what it is compared with."""

from stages.common import sanity
from stages.common.errors import StageError
from stages.common.files import read_rows, write_rows
from stages.common.progress import Progress
from stages.common.rows import FormattedText, TextAnswers
from stages.common.schema_models import Generate
from stages.common.speed import write_speed, write_times
from stages.common.tables import entry
from stages.common.text_keys import until
from stages.decoding.answers import Answer
from stages.decoding.contestants import Contestant, choose_shots, contestants, forms
from stages.decoding.paths import Paths
from stages.models import runtime

ANSWERING = {  # by how a contestant answers
    "here": "stages.decoding.causal.answering:answers",
    "hosted": "stages.decoding.hosted.served:answers",
    "exported": "stages.decoding.causal.exported.export_answers:answers",
    "served": "stages.decoding.causal.own_server:answers",
}


def side_by_side(row: FormattedText, answered: list[tuple[Contestant, Answer]]) -> TextAnswers:
    """A row of the answers file: each contestant's prompt, its answer and the ids of the examples that it was shown.

    The tuned model comes first. Probes have no expected answer.
    """
    answers = {}
    for contestant, answer in answered:
        shots = {"shots": list(contestant.shots)} if contestant.shots else {}
        answers[contestant.name] = {"prompt": contestant.prompt(row["messages"]), **answer.content(), **shots}
    fields = {key: row[key] for key in ("id", "task", "messages")}
    extra = {key: row[key] for key in ("paraphrase", "weak") if key in row}
    return fields | expected(row.get("completion"), answered[0][0].stop) | extra | {"answers": answers}


def expected(completion: str | None, stop: list[str]) -> dict[str, str | None]:
    """`expected`, to which answers are compared: a completion up to its stop string, as answers are cut.

    Where the cut changes it, `completion` is there too: it is what models were trained to say.
    """
    text = None if completion is None else until(completion, stop)
    return {"expected": completion} if text == completion else {"expected": text.strip(), "completion": completion}


def generate_text(name: str, params: Generate, paths: Paths) -> None:
    """Write every contestant's answers side by side, each by its own prompt."""
    runtime.deterministic()
    runtime.keep_memory()
    rows: list[FormattedText] = list(read_rows(paths.formatted / "test"))
    training = list(read_rows(paths.formatted / "train")) if params.shots else []
    shots = choose_shots(training, params.shots, params.seed) if params.shots else []
    for i, probe in enumerate(params.probes, 1):
        rows.append({"id": f"probe#{i}", "task": "text", "messages": [{"role": "user", "content": probe}]})
    answers_of, speeds = {}, {}
    field = contestants(paths.model, paths.base, paths.root, shots)
    field += forms(field[0], params.exports, params.servers)
    if params.exports:  # told before minutes are spent on the others' answers
        from stages.decoding.causal.exported.export_answers import require_programs

        require_programs(params.exports)
    with Progress(len(rows) * len(field), f"generate {name}", "answer") as progress:
        for contestant in field:
            make = entry(ANSWERING, contestant.way)
            answers_of[contestant.name], speeds[contestant.name] = make(contestant, rows, params, progress)
            if rows and all(answer.finish == "prompt too long" for answer in answers_of["tuned"]):
                no_room = f"{params.max_new_tokens}; with so many, none of {len(rows)} prompts fits the model's context"
                fix = "lower it, or choose a base of longer context"
                raise StageError(f"models.{name}.generate.max_new_tokens", no_room, "room for prompts and answers", fix)
    lines = [
        side_by_side(row, [(contestant, answers_of[contestant.name][i]) for contestant in field]) for i, row in enumerate(rows)
    ]
    write_rows(paths.out, lines)
    sanity.raised("generate", name, sanity.answers(lines))  # said here, and written down by judge
    seconds = {
        contestant: {row["id"]: answer.seconds for row, answer in zip(rows, answers_of[contestant], strict=True)}
        for contestant in answers_of
    }
    write_times(paths.speed, paths.out, seconds)
    write_speed(paths.speed, speeds, runtime.environment())
