"""What is shared by all that runs a model."""

import pytest

from stages.models.runtime import blocks
from tests import tiny


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_finds_the_blocks(architecture):
    assert len(blocks(tiny.model(architecture))) == 3
