import json

import pytest

from affinage.commands import ask
from stages import generate
from stages.common.errors import StageError
from stages.common.files import read_rows, write_json
from stages.models import directory
from tests import tiny, trained
from tests.affinage.running import affinage
from tests.servers.loopback import Said

QUESTION = tiny.rows(1)[0]["messages"][0]["content"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A base and a model tuned from it."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFINAGE_SCRATCH", str(folder / "scratch"))
        tiny.base(folder / "base")
        tiny.formatted(folder / "formatted")
        trained.run(folder, tiny.training(), out="tuned")
    return folder


def asked(built, question=QUESTION, system="", **options) -> dict[str, ask.Reply]:
    replies = ask.Asker(built / "tuned", built / "base", built / "base", tiny.generation(**options)).ask(question, system)
    return {reply.contestant: reply for reply in replies}


def test_answers_are_those_of_generate(built, tmp_path):
    replies = asked(built)
    assert list(replies) == ["base", "base_chat", "tuned"]
    places = {"model": built / "tuned", "base": built / "base", "root": built / "base", "formatted": built / "formatted"}
    generate.main(
        "tuned",
        tiny.generation(probes=[QUESTION]),
        generate.Paths(**places, out=tmp_path / "out.jsonl", speed=tmp_path / "speed.json"),
    )
    probe = list(read_rows(tmp_path / "out.jsonl"))[-1]["answers"]
    for contestant, reply in replies.items():
        for name in ("prompt", "text", "tokens", "prompt_tokens", "finish"):
            assert getattr(reply, name) == probe[contestant][name]
        assert reply.seconds > 0


def test_a_system_text_reaches_the_prompts(built):
    replies = asked(built, system="Be brief.")
    assert all("Be brief." in reply.prompt and reply.heard for reply in replies.values())
    assert replies["tuned"].prompt_tokens > asked(built)["tuned"].prompt_tokens


def test_a_prompt_without_a_place_for_a_system_text_says_so():
    reply = ask.Reply("tuned", "", "yes", 1, 2, "stop", 0.5, heard=False)
    assert "no place for a system text" in ask.side_by_side([reply], 80)


@pytest.mark.parametrize(("question", "words"), [(" \n", "no text"), ("why " * 400, "at most")])
def test_questions_that_cannot_be_asked(built, question, words):
    with pytest.raises(StageError, match=words):
        asked(built, question)


def test_replies_stand_side_by_side_where_there_is_room():
    replies = [ask.Reply(contestant, "", "a \x1b[2J b\nsecond", 3, 5, "length", 1.25) for contestant in ("base", "tuned")]
    wide, narrow = ask.side_by_side(replies, 100).splitlines(), ask.side_by_side(replies, 60).splitlines()
    assert wide[0].startswith("base") and wide[0].endswith("tuned") and len(narrow) > len(wide)
    assert all(line.isprintable() and len(line) <= 100 for line in wide)
    assert any(line == "5 + 3 tokens, 1.25 s, broke off at the limit" for line in narrow)


def test_models_behind_servers_are_asked_there(tmp_path, serve):
    server = serve(lambda body: Said(f"{body['model']}: {body['messages'][-1]['content']}", tokens=4), models={})
    for name in ("tuned", "root"):
        (tmp_path / name).mkdir()
        hosted = {"provider": "openai", "base_url": f"{server.address}/v1", "model": name}
        write_json(tmp_path / name / "hosted.json", hosted)
    asker = ask.Asker(tmp_path / "tuned", tmp_path / "root", tmp_path / "root", tiny.generation())
    replies = asker.ask("Why?", "Be brief.")
    assert [reply.text for reply in replies] == ["root: Why?", "tuned: Why?"]
    assert json.loads(replies[0].prompt)[0] == {"role": "system", "content": "Be brief."}
    assert replies[1].seconds > 0 and replies[1].tokens == 4


def test_the_command_reads_params(built, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("base", "tuned"):
        (tmp_path / "models" / name).symlink_to(built / name)
    monkeypatch.setattr("stages.common.params.section", lambda *_: tiny.generation())
    monkeypatch.setattr("stages.common.params.read", lambda: {"models": {"tuned": {"base": "base", "root": "base"}}})
    text = affinage("ask", "tuned", QUESTION, "--prompts")
    assert "tuned was given" in text and QUESTION in text and "tokens, " in text


def test_several_questions_load_each_model_once(built, monkeypatch, capsys):
    loads, load = [], directory.load

    def counted(folder, *rest, **options):
        loads.append(folder)
        return load(folder, *rest, **options)

    monkeypatch.setattr(directory, "load", counted)
    lines = iter([QUESTION, "why " * 400, f"  {QUESTION} ", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    ask.chat(ask.Asker(built / "tuned", built / "base", built / "base", tiny.generation()))
    text = capsys.readouterr().out
    assert sorted(loads) == [built / "base", built / "tuned"]
    assert text.count("tokens, ") == 6 and "ask in fewer words" in text  # three answers to each of two questions


def test_a_chat_ends_with_its_input(monkeypatch, capsys):
    def ended(_):
        raise EOFError

    monkeypatch.setattr("builtins.input", ended)
    ask.chat(None)
    assert "Ctrl-D ends" in capsys.readouterr().out


def test_a_command_without_a_question_is_refused():
    with pytest.raises(Exception, match="a question, or --chat"):
        affinage("ask", "tuned")
