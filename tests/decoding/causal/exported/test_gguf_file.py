"""An exported model answers in llama.cpp as in transformers, or is refused."""

import json

import gguf
import numpy as np
import pytest
from tokenizers import pre_tokenizers

from affinage.exporting import agreement
from stages.common.errors import StageError
from stages.decoding.causal.exported import llama_cpp as llama_server
from stages.decoding.causal.exported.gguf_file import ARCHITECTURES, interleaved, splitting, write_gguf
from stages.models.directory import save
from tests import tiny


def conversations(count: int = 20) -> list[list[dict]]:
    return [row["messages"] for row in tiny.rows(count)]


@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_llama_cpp_writes_the_same_tokens(tmp_path, architecture, begins):
    folder = tiny.base(tmp_path / "model", architecture, begins=begins)
    file = write_gguf(folder, tmp_path / "gguf", "m", "f32")
    assert agreement.compare(folder, file, conversations(), 16) == ["same"] * 20


def test_another_model_is_told_apart(tmp_path):
    folder, other = tiny.base(tmp_path / "model"), tiny.base(tmp_path / "other", seed=1)
    file = write_gguf(folder, tmp_path / "gguf", "m", "f32")
    assert set(agreement.compare(other, file, conversations(4), 16)) == {"answer"}


def test_another_template_is_told_apart(tmp_path):
    folder = tiny.base(tmp_path / "model")
    file = write_gguf(folder, tmp_path / "gguf", "m", "f32")
    (folder / "chat_template.jinja").write_text(
        tiny.CHAT.replace("<assistant>", "[assistant]").replace("<{{ message.role }}>", "[{{ message.role }}]")
    )
    assert agreement.compare(folder, file, conversations(2), 4) == ["prompt"] * 2


@pytest.mark.parametrize(("kind", "stored"), [("f32", 0), ("f16", 1), ("bf16", 30), ("q8_0", 8)])
def test_matrices_are_stored_as_asked_and_vectors_in_float32(tmp_path, kind, stored):
    file = write_gguf(tiny.base(tmp_path / "model"), tmp_path / "gguf", "m", kind)
    tensors = {tensor.name: tensor.tensor_type for tensor in gguf.GGUFReader(file).tensors}
    assert tensors["blk.0.attn_q.weight"] == tensors["token_embd.weight"] == stored
    assert tensors["blk.0.attn_norm.weight"] == 0


def test_a_token_without_a_row_is_left_out(tmp_path):
    """A padding token that was added to the tokenizer, and to no embedding."""
    folder = tiny.base(tmp_path / "model")
    tokenizer = tiny.tokenizer()
    tokenizer.add_tokens([f"<new {number}>" for number in range(8)])
    tokenizer.add_special_tokens({"pad_token": "<padding>"})
    tokenizer.save_pretrained(folder)
    fields = gguf.GGUFReader(write_gguf(folder, tmp_path / "gguf", "m", "f32")).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    assert len(tokens) == tiny.VOCABULARY and tokens[-1] == f"<new {tiny.VOCABULARY - 331}>" and "<padding>" not in tokens
    assert "tokenizer.ggml.padding_token_id" not in fields


def test_rows_that_no_block_divides_stay_in_half_precision(tmp_path):
    kind, config, options = tiny.ARCHITECTURES["llama"]
    narrow = kind(config(vocab_size=tiny.VOCABULARY, **options | {"intermediate_size": 40})).eval()
    (tmp_path / "model").mkdir()
    save(tmp_path / "model", narrow, tiny.tokenizer())
    file = write_gguf(tmp_path / "model", tmp_path / "gguf", "m", "q8_0")
    tensors = {tensor.name: tensor.tensor_type for tensor in gguf.GGUFReader(file).tensors}
    assert tensors["blk.0.ffn_down.weight"] == gguf.GGMLQuantizationType.F16  # 40 a row, and a block has 32
    assert tensors["blk.0.ffn_up.weight"] == gguf.GGMLQuantizationType.Q8_0
    server = llama_server.serve(file, 64)
    assert llama_server.ask(server.listening_address, "completion", prompt="What", n_predict=3)["tokens_predicted"] == 3


def test_the_same_model_gives_the_same_bytes(tmp_path):
    folder = tiny.base(tmp_path / "model")
    files = [write_gguf(folder, tmp_path / name, "m", "f32") for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_model_directory_is_left_alone(tmp_path):
    folder = tiny.base(tmp_path / "model")
    before = tiny.contents(folder)
    write_gguf(folder, tmp_path / "gguf", "m", "f32")
    assert tiny.contents(folder) == before


def test_queries_are_interleaved_head_by_head():
    rows = np.arange(8)[:, None]
    assert interleaved(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}}, "positions scaled as linear"),
        ({"hidden_act": "relu"}, "activation relu"),
        ({"model_type": "gemma"}, "architecture gemma"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(tmp_path, changes, problem):
    folder = tiny.base(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(StageError, match=problem):
        write_gguf(folder, tmp_path / "gguf", "m", "f32")
    assert not (tmp_path / "gguf").exists()


def test_a_sliding_window_shorter_than_the_context_is_refused(tmp_path):
    folder = tiny.base(tmp_path / "model", "mistral")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"sliding_window": tiny.CONTEXT - 1}))
    with pytest.raises(StageError, match="attention over 255 tokens"):
        write_gguf(folder, tmp_path / "gguf", "m", "f32")


def parts(step) -> dict:
    return json.loads(step.__getstate__())


def test_ways_of_splitting(tmp_path):
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert splitting(parts(level), tmp_path) == "gpt-2"
    assert splitting(parts(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), level])), tmp_path) == "smollm"
    for unknown in (
        pre_tokenizers.ByteLevel(add_prefix_space=True),
        pre_tokenizers.Metaspace(),
        pre_tokenizers.Sequence([pre_tokenizers.Digits(False), level]),
    ):
        with pytest.raises(StageError, match="text split by"):
            splitting(parts(unknown), tmp_path)
