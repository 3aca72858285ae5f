"""What is shared by all that runs a model."""

import subprocess
import sys

import pytest
import torch

from stages.models.runtime import blocks, machine, precision, training_precision
from tests import tiny

CPU = torch.device("cpu")


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_finds_the_blocks(architecture):
    assert len(blocks(tiny.model(architecture))) == 3


TENSORS = """
import resource, sys, torch
from stages.models import runtime
if sys.argv[1] == "keep":
    runtime.keep_memory()
def tensors():
    return [torch.ones(2**20) for _ in range(24)]
tensors()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(6):
    tensors()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="about the GNU C library")
def test_memory_that_is_kept_is_not_asked_for_again():
    command = [sys.executable, "-c", TENSORS]
    given_back, kept = (int(subprocess.check_output([*command, way], text=True)) for way in ("give", "keep"))
    assert kept < given_back / 2


@pytest.mark.parametrize(
    ("instructions", "dtype"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"neon": True}, torch.float32),
    ],
)
def test_a_cpu_trains_in_half_precision_where_it_has_instructions_for_it(monkeypatch, instructions, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    assert training_precision("auto", CPU) is dtype
    assert precision("auto", CPU) is torch.float32  # for answers and judges
    assert (training_precision("fp32", CPU), training_precision("bf16", CPU)) == (torch.float32, torch.bfloat16)


def test_a_torch_that_cannot_say_what_the_cpu_has_trains_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert training_precision("auto", CPU) is torch.float32


def test_the_instructions_for_bf16_tell_machines_apart_where_they_are_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    described = []
    for has in ({}, {"avx512_bf16": True}, {"avx512_bf16": True, "amx_bf16": True}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: has)
        described.append((machine(torch.float32), machine(torch.bfloat16)))
    exact, narrow = zip(*described, strict=True)
    assert exact[0] == exact[1] == exact[2]
    assert len({description["cpu"] for description in narrow}) == 3
