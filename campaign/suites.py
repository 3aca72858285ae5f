"""Promises that have tests of their own: run here by name, and counted."""

import re
import subprocess
import sys

from campaign.figures import Findings
from tests.imports import ROOT

SUITES = {
    "hosted: killed anywhere, or a fault at any call: one upload a file, one job paid": (
        "SIGKILL and faults at every request, saved state and output, against a fake service",
        ["tests/training/hosted/test_once.py"],
    ),
    "scrape: what the network does to it loses nothing": (
        "refused, cut, stalled, slow, 429 and 5xx, wrong lengths and ranges, broken gzip, no such name, a restart",
        ["tests/sources/test_web.py", "tests/common/test_http.py", "tests/sources/test_network.py"],
    ),
    "model servers: each failure is waited out, counted or told": (
        "refused, silent, dripping, half and endless answers, 429 storms, restarts; nothing is asked twice after a kill",
        ["tests/servers", "tests/decoding/hosted/test_served.py", "tests/judging/test_server.py"],
    ),
    "archives: nothing leaves them, nothing grows without bound": (
        "paths, links, devices, bombs, lying sizes, broken bytes",
        ["tests/sources/test_archive.py"],
    ),
    "XML: no entity, no definition, no network": ("bombs and external entities", ["tests/sources/test_medquad.py"]),
    "weights: no pickle opened, no remote code run": (
        "a model whose pickle or code leaves a mark when it runs",
        ["tests/models/test_directory.py", "tests/bases", "tests/test_security.py"],
    ),
    "reports: hostile answers stay text": ("pages opened in a browser, where there is one", ["tests/affinage/reports"]),
}


def campaign() -> Findings:
    findings = Findings()
    for promise, (how, paths) in SUITES.items():
        process = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *paths], cwd=ROOT, capture_output=True, text=True
        )
        counts = {
            outcome: int(number) for number, outcome in re.findall(r"(\d+) (passed|failed|skipped|error)", process.stdout)
        }
        findings.expect(not process.returncode, f"{promise}: {process.stdout[-800:]}")
        skipped = f", {counts['skipped']} skipped" if counts.get("skipped") else ""
        findings.line(promise, f"{how} ({', '.join(paths)})", f"{counts.get('passed', 0)} tests passed{skipped}")
    return findings
