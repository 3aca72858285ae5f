import json

import pytest

from stages.common.errors import StageError
from stages.models import directory
from tests import tiny
from tests.trained import run


def with_padding(folder, pad):
    tiny.base(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": pad}))


@pytest.mark.parametrize("pad", [-1, tiny.VOCABULARY, None, tiny.EOS])
def test_it_trains_the_same_whatever_padding_is(tmp_path, pad):
    tables = []
    for name, token in (("good", tiny.PAD), ("odd", pad)):
        work = tmp_path / name
        with_padding(work / "base", token)
        tiny.formatted(work / "formatted")
        run(work, tiny.training(epochs=1, packing=False))
        tables.append((work / "model.csv").read_text())
    assert tables[0] == tables[1]


def no_padding(folder):
    tokenizer = directory.load_tokenizer(folder)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)


def padding_that_ends_texts(folder):
    tokenizer = directory.load_tokenizer(folder)
    tokenizer.pad_token = "</s>"
    tokenizer.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": tiny.EOS}))


@pytest.mark.parametrize("change", [no_padding, padding_that_ends_texts])
def test_a_classifier_trains_the_same_whatever_padding_is(tmp_path, change):
    tables = []
    for name in ("good", "odd"):
        work = tmp_path / name
        tiny.encoder(work / "base")
        tiny.labelled(work / "formatted")
        if name == "odd":
            change(work / "base")
        run(work, tiny.classifying(epochs=1))
        tables.append((work / "model.csv").read_text())
    assert tables[0] == tables[1]


def test_a_token_without_a_row_in_the_model_is_named(tmp_path):
    tiny.base(tmp_path / "base")
    words = directory.load_tokenizer(tmp_path / "base")
    words.add_tokens([f"<new {number}>" for number in range(10)])
    words.chat_template = tiny.CHAT
    words.eos_token = "<new 9>"
    words.save_pretrained(tmp_path / "base")
    tiny.formatted(tmp_path / "formatted")
    with pytest.raises(StageError, match="<new 9>(.|\n)*below 336"):
        run(tmp_path, tiny.training())


def test_one_label_is_refused_before_training(tmp_path):
    tiny.headless(tmp_path / "base", "bert")
    tiny.labelled(tmp_path / "formatted")
    (tmp_path / "formatted" / "labels.json").write_text('{"labels": ["606"], "names": ["Achats"]}')
    with pytest.raises(StageError, match="one label only"):
        run(tmp_path, tiny.classifying())
