"""What reads what others wrote, each with good inputs to start from."""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ruamel.yaml import YAML

from stages.common import params as parameters
from stages.common.check_params import check
from stages.common.files import read_rows
from stages.common.schema_sources import HtmlList, HtmlTable, HtmlXpath, JsonRecords
from stages.judging.prompt_files import BadVerdict, load
from stages.servers.chat_server import Options
from stages.servers.failures import Rejected, Unanswered
from stages.servers.families import connect
from stages.sources import SourceFile, rows_of
from stages.sources.archive import opened
from stages.training.hosted import result_file as hosted_table
from stages.training.hosted.rules import check as check_rows
from tests.imports import ROOT
from tests.servers.loopback import Fault, Loopback

ROWS = 10_000  # read of one input at most


@dataclass(frozen=True)
class Target:
    """`read(path, data)` may raise an error of `expected`; a StageError must hold the path where it is `named`."""

    read: Callable[[Path, bytes], object]
    seeds: list[bytes]
    expected: tuple = ()
    named: bool = True


def _through(choice, encoding: str = "utf-8") -> Callable[[Path, bytes], object]:
    def read(path: Path, data: bytes) -> None:
        path.write_bytes(data)
        for _ in islice(rows_of(SourceFile(path, encoding=encoding), choice), ROWS):
            pass

    return read


def _rows(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    for _ in read_rows(path):
        pass


def _archive(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    for member in opened(SourceFile(path, "a.zip"), "**/*", 1 << 20, Counter()):
        member.path.read_bytes()


def _parameters(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    check(parameters.read(path), path)


def _verdict(name: str, kind: str) -> Callable[[Path, bytes], object]:
    prompt = load(name, (kind,))

    def read(_: Path, data: bytes) -> None:
        value, reasons = prompt.read(data.decode("utf-8", "replace"))
        good = value in ("A", "B", "tie") if prompt.reply == "reasons and winner" else prompt.low <= value <= prompt.high
        if not good or not isinstance(reasons, str):
            raise AssertionError(f"taken for a verdict: {value!r}")

    return read


def _hosted_table(_: Path, data: bytes) -> None:
    hosted_table.read(data)


def _hosted_events(_: Path, data: bytes) -> None:
    try:
        events = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(events, list) and all(isinstance(event, dict) for event in events):
        hosted_table.of_events(events)


def _hosted_rows(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    check_rows(path, least_rows=1)


def _server(kind: str) -> Callable[[Path, bytes], object]:
    running: list = []

    def read(_: Path, data: bytes) -> None:
        if not running:
            server = Loopback(lambda _: Fault(body=running[2][0]))
            server.check = lambda *_: None
            base_url = server.address + "/v1" * (kind == "openai")
            running.extend([server, connect(kind, base_url, "llama3", 5.0, 2048), [b""]])
        running[2][0] = data
        running[1].ask([{"role": "user", "content": "Why?"}], Options(0, 1.0, 0, 1.0, 10, 1))

    return read


def _zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.csv", "deep/b.csv"):
            archive.writestr(name, b"question,answer\n1,2\n" * 20)
    return content.getvalue()


def _small_parameters() -> list[bytes]:
    """One entry of each kind; `params.yaml` as a whole takes too long to parse."""
    yaml = YAML(typ="safe", pure=True)
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    seeds = []
    for chosen in (
        {"bases": ["smollm2", "minilm"], "datasets": ["medical_qa"], "models": ["medical"]},
        {"datasets": ["elements"]},
    ):
        small = {kind: {name: params[kind][name] for name in chosen.get(kind, [])} for kind in ("bases", "datasets", "models")}
        small |= {"judge_base": params["judge_base"], "defaults": params["defaults"]}
        out = io.BytesIO()
        yaml.dump(small, out)
        seeds.append(out.getvalue())
    return seeds


PAGE = b"""<!DOCTYPE html><html><head><meta charset="utf-8"><title>x</title></head><body><nav><ul><li>no</li></ul></nav>
<main><h2>Parts</h2><ul><li>Bonnet/hood (panel)<ul><li>Latch<sup>[1]</sup></li></ul></li><li>Wheel &amp; hub</li></ul>
<table><thead><tr><th>Name</th><th colspan="2">Use</th></tr></thead><tr><td rowspan="2">Axle</td><td>a</td><td>b</td></tr>
<tr><td>c</td></tr></table><script>var a = "</ul>";</script></main></body></html>"""
XML = b"""<?xml version="1.0" encoding="UTF-8"?><Document id="1" source="x"><Focus>Gout</Focus><QAPairs><QAPair pid="1">
<Question qid="1" qtype="information">What is gout?</Question><Answer>A kind of <b>arthritis</b> &amp; more.</Answer></QAPair>
</QAPairs></Document>"""
REVIEWS = b""",Review_Date,Author_Name,Vehicle_Title,Review_Title,Review,Rating\r
0, on 02/02/17 19:53 PM (PST),Ann ,2007 Car,Fine,"It ""runs"", well\rand far",5\r
1, on 02/03/17 19:53 PM (PST),Bob ,2008 Car,Bad,Brakes squeak,1.5\r
"""
REPLY = {
    "model": "llama3",
    "created_at": "2026-01-01T00:00:00Z",
    "message": {"role": "assistant", "content": "So."},
    "done": True,
}
REPLY |= {"done_reason": "stop", "prompt_eval_count": 9, "eval_count": 2}
CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "finish_reason": "stop"}]}
CHAT["choices"][0]["message"] = {"role": "assistant", "content": "So.", "refusal": None}
CHAT |= {"usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}
LINES = b'{"question": "a \\u00e9", "answer": ["b", 1, null, {"c": 1e-5}]}\n{"question": "d", "answer": ""}\n'
SAID = [
    b"73",
    b"```json\n73\n```",
    b'{"reasons": "Good, though short.", "score": 4}',
    b'{"reasons": "A is right", "winner": "A"}',
]
ROW = b'{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "q"}]}, '
ROW += b'{"role": "assistant", "content": "a", "weight": 1}], "tools": [], "parallel_tool_calls": true}'
EVENTS = b'[{"type": "metrics", "data": {"step": 1, "train_loss": 0.5, "valid_loss": "x"}}, {"type": "message", "data": null}]'


def targets() -> dict[str, Target]:
    """Every reader with good inputs to start from."""
    page = {"without": ["see also"], "notes": "apart"}
    table = HtmlTable(kind="html_table", within="//main", column="Name", **page)
    answers = (Unanswered, Rejected)
    return {
        "csv": Target(_through("csv"), [b'question,answer\n"a ""b""\r,c",d\ne,f\n', b"a;b\n1;2\n"]),
        "csv in utf-16": Target(_through("csv", "utf-16"), ["question,answer\né,f\n".encode("utf-16")]),
        "reviews_csv": Target(_through("reviews_csv"), [REVIEWS]),
        "jsonl": Target(_through("jsonl"), [LINES]),
        "json": Target(_through("json"), [b"[" + LINES.replace(b"}\n{", b"},\n{") + b"]"]),
        "json_records": Target(
            _through(JsonRecords(kind="json_records", at="rows")), [b'{"rows": [{"a": 1}, {"a": null}], "b": 2}']
        ),
        "lines": Target(_through("lines"), [b"Wheel\n Axle \r\n\nBonnet/hood\n"]),
        "medquad": Target(_through("medquad"), [XML]),
        "html_list": Target(_through(HtmlList(kind="html_list", within="//main", **page)), [PAGE]),
        "html_table": Target(_through(table), [PAGE]),
        "html_xpath": Target(_through(HtmlXpath(kind="html_xpath", xpath="//li|//td", **page)), [PAGE]),
        "archive": Target(_archive, [_zip()]),
        "rows between stages": Target(_rows, [LINES]),
        "params.yaml": Target(_parameters, _small_parameters()),
        "verdict, 0 to 100": Target(_verdict("score_100.v1", "integer"), SAID, (BadVerdict,)),
        "verdict, reasons and score": Target(_verdict("rubric_5.v1", "reasons and score"), SAID, (BadVerdict,)),
        "hosted results": Target(
            _hosted_table, [b"step,train_loss,valid_loss\n1,0.5,\n2,0.25,0.75\n", b"c3RlcCx0cmFpbl9sb3NzCjEsMC41Cg=="]
        ),
        "hosted events": Target(_hosted_events, [EVENTS]),
        "rows for a service": Target(_hosted_rows, [ROW]),
        "answers of Ollama": Target(_server("ollama"), [json.dumps(REPLY).encode()], answers, False),
        "answers of OpenAI": Target(_server("openai"), [json.dumps(CHAT).encode()], answers, False),
    }
