"""What asking a server costs beside the server's own time: verdicts from a loopback server of known speed.

    python bench/servers.py [--verdicts 200] [--seconds 0.2] [--parallel 8] [--concurrency 12]

The server, a process of its own, takes `--seconds` for an answer and serves `--parallel` at once; `--concurrency` requests are
in flight, some more than it serves, so that it never waits. Printed is the time of all verdicts (asked through Ollama's and
through OpenAI's client, checked and kept) over the least possible one, without and with the loading of the client, which
happens once a run, and that of the same pass again, when all is kept.
"""

import argparse
import math
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stages.common.schema_models import OllamaJudge, OpenAIJudge
from stages.judging.asking import Asker
from stages.judging.prompt_files import INTEGER, load
from tests.servers.loopback import Loopback, Said


def start(seconds: float, parallel: int) -> tuple[int, str]:
    """Process id and address of the server."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        server = Loopback(lambda body: Said("50"), parallel=parallel, delay=seconds)
        os.write(writer, server.address.encode())
        os.close(writer)
        signal.pause()
    os.close(writer)
    with os.fdopen(reader) as address_of_server:
        return child, address_of_server.read()


def judge(kind: str, address: str, concurrency: int) -> Asker:
    """A judge with so many requests in flight."""
    options = {
        "kind": kind,
        "model": "llama3",
        "base_url": address + "/v1" * (kind == "openai"),
        "prompt": "score_100.v1",
        "pairwise": "",
        "controls": 1,
        "concurrency": concurrency,
        "timeout_seconds": 60.0,
        "attempts": 2,
        "max_tokens": 8,
        "warn_below": 0.8,
    }
    settings = OllamaJudge(**options, num_ctx=4096) if kind == "ollama" else OpenAIJudge(**options)
    return Asker(kind, settings, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--verdicts", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--concurrency", type=int, default=12)
    options = parser.parse_args()
    os.environ["NO_PROXY"] = "127.0.0.1"
    child, address = start(options.seconds, options.parallel)
    prompts = [{"question": "Why?", "expected": "So.", "answer": f"Because of {i}."} for i in range(options.verdicts)]
    least = math.ceil(options.verdicts / options.parallel) * options.seconds
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["AFFINAGE_SCRATCH"] = folder
            for kind in ("ollama", "openai"):
                begun = time.perf_counter()
                asker = judge(kind, address, options.concurrency)
                times = [time.perf_counter() - begun]
                for _ in range(2):
                    begun = time.perf_counter()
                    asker.ask(load("score_100.v1", (INTEGER,)), prompts, "scores")
                    times.append(time.perf_counter() - begun)
                ratio, with_client = times[1] / least, (times[0] + times[1]) / least
                print(f"{kind}: {options.verdicts} verdicts in {times[1]:.2f} s, {ratio:.3f} of the ideal {least:.2f} s")
                print(f"  {with_client:.3f} with {times[0]:.2f} s to load the client; again, all kept: {times[2]:.2f} s")
    finally:
        os.kill(child, signal.SIGTERM)


if __name__ == "__main__":
    main()
