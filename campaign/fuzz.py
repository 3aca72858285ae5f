"""Everything that reads what others wrote, fed with inputs mutated from good ones: rows or an error that names the file.

Each reader runs in a process of its own with bounded memory, an alarm for what hangs, and its share of the time. Inputs come
from a seeded generator: the same campaign again reads the same inputs.
"""

import json
import os
import random
import resource
import signal
import string
import sys
import time
from pathlib import Path

from campaign.figures import Findings
from campaign.readers import Target, targets
from stages.common.errors import StageError

SECONDS = 10  # that one input may take
MEMORY = 1 << 30  # bytes that reading may add, whatever is read
ODD = [
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
    b'"',
    b'""',
    b",",
    b"{",
    b"}" * 40,
    b"[" * 4000,
    b"<" * 50,
    b"&",
    b"]]>",
]
ODD += [b"1e999", b"-0", b"9" * 5000, b"NaN", b"null", b"true", b"\\ud800", b"\\u0000", b"\xf0\x9f\x92\xa9", b"\xc3", b"%s" * 9]
ODD += [b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&a;", b"<![CDATA[", b"<div>" * 300, b'rowspan="99999"', b'colspan="0"', b"<table>"]
ODD += [
    b"*a",
    b"&a ",
    b"!!python/object:os.system",
    b"<<: *a",
    b"? ",
    b"- " * 50,
    b"'",
    b"\t",
    b": ",
    b"2001-13-45",
    b"../../x",
]


def mutated(draw: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with one to eight changes: bytes flipped, cut, repeated, put in, spliced with another seed."""
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        at = draw.randrange(len(data) + 1)
        end = min(len(data), at + draw.choice((1, 1, 4, 30)))
        kind = draw.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = data[at:end] * draw.choice((1, 2, 100))
        elif kind == 3:
            data[at:at] = draw.choice(ODD)
        elif kind == 4:
            data[at:end] = draw.choice(ODD)
        elif kind == 5:
            other = draw.choice(seeds)
            data[at:] = other[draw.randrange(len(other) + 1) :]
        else:
            data[at:at] = draw.choice(string.printable).encode()
    return bytes(data)


class Hung(BaseException):
    """An input that took too long."""


def _alarm(*_) -> None:
    raise Hung


def attack(target: Target, path: Path, seed: int, seconds: float) -> tuple[int, int, str]:
    """Inputs read, errors among them, and what was wrong with the first that broke a promise."""
    draw, end, count, refused = random.Random(seed), time.monotonic() + seconds, 0, 0
    signal.signal(signal.SIGALRM, _alarm)
    while time.monotonic() < end:
        data, wrong = mutated(draw, target.seeds), ""
        count += 1
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            target.read(path, data)
        except StageError as error:
            refused += 1
            wrong = f"an error without the file: {error}" if target.named and str(path) not in str(error) else ""
        except target.expected:
            refused += 1
        except Hung:
            wrong = f"over {SECONDS} s"
        except Exception as error:  # what this is here to find
            wrong = f"{type(error).__name__}: {error}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if wrong:
            return count, refused, f"{wrong[:300]} on {data[:600]!r}"
    return count, refused, ""


def apart(target: Target, folder: Path, seed: int, seconds: float) -> tuple[int, int, str, int]:
    """`attack` in a process of its own; also its greatest growth in memory (bytes)."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(out)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
            address_space = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (address_space + MEMORY,) * 2)
            os.environ["AFFINAGE_SCRATCH"] = str(folder)
            attacked = attack(target, folder / "input", seed, seconds)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
            os.write(into, json.dumps([*attacked, grown]).encode())
        finally:
            sys.stderr.flush()
            os._exit(0)
    os.close(into)
    with open(out, "rb") as results:
        text = results.read()
    os.waitpid(child, 0)
    return tuple(json.loads(text)) if text else (0, 0, "the process died", 0)


def campaign(folder: Path, minutes: float, seed: int = 1) -> Findings:
    os.environ["NO_PROXY"] = "127.0.0.1"
    findings, readers, total, highest = Findings(), targets(), 0, 0
    for name, target in readers.items():
        count, refused, wrong, grown = apart(target, folder, seed, minutes * 60 / len(readers))
        findings.expect(not wrong, f"{name}, input {count}: {wrong}")
        findings.line(f"fuzzing: {name}", "rows, or an error that names the file", f"{count} inputs, {refused} refused")
        total, highest = total + count, max(highest, grown)
    findings.line(
        "any input gives rows or a named error; no hang, bounded memory",
        f"inputs mutated from good ones, {SECONDS} s and {MEMORY >> 20} MiB at most each",
        f"{total} inputs over {len(readers)} readers, {len(findings.problems)} problems; {highest >> 20} MiB grown at most",
    )
    return findings
