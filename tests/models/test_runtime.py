"""What is shared by all that runs a model."""

import subprocess
import sys

import pytest

from stages.models.runtime import blocks
from tests import tiny


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
