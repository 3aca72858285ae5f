import json
import pickle
import re
from pathlib import Path

import pytest
import torch
import transformers

from stages.common.errors import StageError
from stages.models.directory import context_length, is_hosted, load, load_fetched, load_tokenizer, save
from tests import tiny

IDS = torch.tensor([[5, 40, 41, 7, 300, 12]])


def weight_map(folder: Path) -> dict[str, str]:
    return json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_loads_what_was_saved(tmp_path, architecture):
    folder = tiny.base(tmp_path / "base", architecture)
    assert torch.equal(load(folder)(IDS).logits, tiny.model(architecture)(IDS).logits)
    assert context_length(folder) == tiny.CONTEXT


def test_loads_an_encoder(tmp_path):
    folder = tiny.encoder(tmp_path / "encoder")
    assert load(folder, "encoder")(IDS).last_hidden_state.shape == (1, 6, 32)


def test_any_program_can_load_it(tmp_path):
    folder = tiny.base(tmp_path / "base")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert torch.equal(model(IDS).logits, tiny.model()(IDS).logits)
    assert model.dtype is torch.float32


@pytest.mark.parametrize(("architecture", "tied"), [("llama", True), ("gpt2", True), ("gemma", True), ("qwen2", False)])
def test_tied_weights_are_stored_once(tmp_path, architecture, tied):
    folder = tiny.base(tmp_path / "base", architecture)
    assert ("lm_head.weight" in weight_map(folder)) is not tied
    stored = sum(len(file.read_bytes()) for file in folder.glob("*.safetensors"))
    assert stored < 1.3 * 4 * sum(p.numel() for p in tiny.model(architecture).parameters())


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_one_shard_a_block(tmp_path, architecture):
    places = weight_map(tiny.base(tmp_path / "base", architecture))
    blocks = {name: place[1] for name in places if (place := re.match(r"\w+\.\w+\.(\d)\.", name))}
    assert len(set(blocks.values())) == 3
    assert len({(block, places[name]) for name, block in blocks.items()}) == 3
    others = [places[name] for name in places if name not in blocks]
    assert len(set(others)) == len(others) and not set(others) & {places[name] for name in blocks}
    assert set(places.values()) == {file.name for file in (tmp_path / "base").glob("*.safetensors")}


def test_blocks_left_alone_are_the_same_files(tmp_path):
    base, tuned = tiny.base(tmp_path / "base"), tmp_path / "tuned"
    model = load(base)
    with torch.no_grad():
        model.model.layers[-1].mlp.up_proj.weight += 1
    tuned.mkdir()
    save(tuned, model, load_tokenizer(base))
    changed = {name for name in contents_of(base) if contents_of(base)[name] != contents_of(tuned)[name]}
    assert changed == {weight_map(base)["model.layers.2.mlp.up_proj.weight"]}


def contents_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_saving_again_gives_the_same_bytes(tmp_path, architecture):
    first, second = tiny.base(tmp_path / "first", architecture), tmp_path / "second"
    second.mkdir()
    save(second, load(first), load_tokenizer(first))
    assert contents_of(first) == contents_of(second)


def test_an_encoder_saved_again_is_the_same(tmp_path):
    first, second = tiny.encoder(tmp_path / "first"), tmp_path / "second"
    second.mkdir()
    save(second, load(first, "encoder"), load_tokenizer(first))
    assert contents_of(first) == contents_of(second)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_no_version_and_no_path_is_written(tmp_path, architecture):
    first, second = tiny.base(tmp_path / "first", architecture), tmp_path / "second"
    second.mkdir()
    save(second, load(first), load_tokenizer(first))
    texts = {file.name: file.read_text() for file in second.iterdir() if file.suffix != ".safetensors"}
    assert {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"} <= texts.keys()
    for text in texts.values():
        assert str(tmp_path) not in text
        assert not any(word in text for word in ("transformers_version", transformers.__version__, torch.__version__))


def test_tokenizer_round_trip(tmp_path):
    loaded, fresh = load_tokenizer(tiny.base(tmp_path / "base", begins=True)), tiny.tokenizer(begins=True)
    for text in ("The apple is red.", " two  spaces\n\n", "naïve café, 東京 🍎", "</s> and <s>"):
        assert loaded(text)["input_ids"] == fresh(text)["input_ids"]
        assert loaded.decode(loaded(text, add_special_tokens=False)["input_ids"]) == text
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id) == (tiny.BOS, tiny.EOS, tiny.PAD)
    assert loaded.chat_template == tiny.CHAT


class Explosive:
    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("read", [load, lambda folder: load_fetched(folder, "causal")])
@pytest.mark.parametrize("alone", [True, False])
def test_a_pickle_is_never_opened(tmp_path, read, alone):
    folder, mark = tiny.base(tmp_path / "base"), tmp_path / "exploded"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Explosive(mark)))
    if alone:
        for file in [*folder.glob("*.safetensors"), folder / "model.safetensors.index.json"]:
            file.unlink()
        with pytest.raises(StageError, match="safetensors"):
            read(folder)
    else:
        read(folder)
    assert not mark.exists()


def test_a_missing_model_names_the_fix(tmp_path):
    for read in (load, load_tokenizer):
        with pytest.raises(StageError, match="dvc pull"):
            read(tmp_path / "models" / "none")


def test_a_hosted_model_has_its_file(tmp_path):
    folder = tiny.base(tmp_path / "base")
    assert not is_hosted(folder)
    (folder / "hosted.json").write_text("{}")
    assert is_hosted(folder)
