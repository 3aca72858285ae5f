"""Types that llama.cpp's own program makes, and what is said where it is missing."""

import os
import shutil
import stat
from pathlib import Path

import gguf
import numpy as np
import pytest

from stages.common.errors import StageError
from stages.decoding.causal.exported import llama_cpp
from stages.decoding.causal.exported.gguf_file import write_gguf
from stages.decoding.causal.exported.quantizing import PROGRAM, quantize
from tests import tiny


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """Puts a shell script in the program's place."""

    def put(script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / PROGRAM).write_text(f"#!/bin/sh\n{script}\n")
        (folder / PROGRAM).chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return put


def test_without_the_program_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StageError, match="llama-quantize.*\n.*not on the PATH"):
        write_gguf(tiny.base(tmp_path / "model"), tmp_path / "out", "m", "q4_k_m")
    assert not (tmp_path / "out").exists()


def test_the_program_is_given_the_whole_file_and_the_type(tmp_path, stub):
    stub('cp "$1" "$2"; echo "$3" > "$2.type"')
    folder = tiny.base(tmp_path / "model")
    file = write_gguf(folder, tmp_path / "out", "m", "q4_k_m")
    assert file.read_bytes() == write_gguf(folder, tmp_path / "plain", "m", "f32").read_bytes()
    assert Path(f"{file}.type").read_text() == "Q4_K_M\n"
    assert sorted(path.name for path in file.parent.iterdir()) == ["m.gguf", "m.gguf.type"]


def test_its_last_words_are_told(tmp_path, stub):
    stub("echo 'no such type here' >&2; exit 1")
    with pytest.raises(StageError, match="no such type here"):
        write_gguf(tiny.base(tmp_path / "model"), tmp_path / "out", "m", "q4_k_m")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not shutil.which(PROGRAM), reason="llama-quantize is not on the PATH")
def test_the_real_program(tmp_path):
    file = write_gguf(tiny.base(tmp_path / "model"), tmp_path / "out", "m", "q4_k_m")
    kinds = {tensor.name: tensor.tensor_type for tensor in gguf.GGUFReader(file).tensors}
    assert kinds["blk.0.attn_q.weight"] not in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16)
    server = llama_cpp.serve(file, 64)
    assert llama_cpp.ask(server.listening_address, "completion", prompt="What", n_predict=3)["tokens_predicted"] == 3


@pytest.mark.skipif(not shutil.which(PROGRAM), reason="llama-quantize is not on the PATH")
def test_q8_0_is_what_the_program_writes(tmp_path):
    folder = tiny.base(tmp_path / "model")
    quantize(write_gguf(folder, tmp_path / "whole", "m", "f32"), tmp_path / "theirs.gguf", "Q8_0")
    own, theirs = (
        {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
        for file in (write_gguf(folder, tmp_path / "own", "m", "q8_0"), tmp_path / "theirs.gguf")
    )
    assert own.keys() == theirs.keys()
    assert all(np.array_equal(own[name].data, theirs[name].data) for name in own)
