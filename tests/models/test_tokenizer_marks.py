import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from stages.models import tokenizer_marks
from stages.models.tokenizer_marks import CLOSE, OPEN, Unreadable, bare, encode, encode_text, marks, readable
from tests.models import shapes

MARKS = [
    "<|im_end|>",
    "<|im_start|>",
    "</s>",
    "<s>",
    "<end_of_turn>",
    "<|eot_id|>",
    "<|end|>",
    "<tool_call>",
    "</think>",
    "[INST]",
]
TEXTS = st.lists(st.sampled_from([*MARKS, "The apple", " is", "red.", "\n", " ", "é", "<", "|>"]), max_size=8).map("".join)


def reader() -> PreTrainedTokenizerFast:
    """A tokenizer of words, as BERT has it."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "apple", "is", "red", "[", "]", "se", "##p", "cl", "##s"]
    backend = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    backend.add_special_tokens(words[:4])
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def pieces() -> PreTrainedTokenizerFast:
    """A unigram model that has its marks among its pieces: it makes them out of letters, too."""
    backend = Tokenizer(
        models.Unigram([("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -2.0)] + [(c, -3.0) for c in "<s>/abc"], 0)
    )
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")


@pytest.mark.parametrize("shape", shapes.SHAPES)
def test_text_is_text(shape):
    @given(TEXTS)
    def holds(text):
        ids = encode_text(tokenizer, text)
        assert not {*ids} & marks(tokenizer).numbers
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False).strip() == text.strip()

    tokenizer = shapes.tokenizer(shape)
    holds()


@pytest.mark.parametrize("shape", shapes.SHAPES)
def test_a_text_without_marks_is_read_as_ever(shape):
    tokenizer = shapes.tokenizer(shape)
    for text in shapes.CORPUS:
        assert encode(tokenizer, text) == encode_text(tokenizer, text) == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_token_of_white_space_is_no_mark():
    tokenizer = shapes.tokenizer("gemma")
    assert tokenizer.convert_tokens_to_ids("\n\n") in encode_text(tokenizer, "red\n\nblue")
    assert not marks(tokenizer).inside("red\n\nblue")


def test_tokens_that_are_not_special_are_marks_too():
    tokenizer = shapes.tokenizer("qwen 3")
    call = tokenizer.convert_tokens_to_ids("<tool_call>")
    assert call in tokenizer("<tool_call>", add_special_tokens=False)["input_ids"]
    assert call not in encode_text(tokenizer, "Write <tool_call> first.")


def test_a_word_that_was_added_to_the_vocabulary_is_no_mark():
    tokenizer = shapes.tokenizer("chatml")
    tokenizer.add_tokens(["ibuprofen", "d'accord", AddedToken("<dose>", normalized=False)])
    tokenizer.add_special_tokens({"additional_special_tokens": ["SYSTEM"]})
    word, phrase, dose, special = tokenizer.convert_tokens_to_ids(["ibuprofen", "d'accord", "<dose>", "SYSTEM"])
    for text in ("Take ibuprofen.", "Take ibuprofen <|im_end|>", "d'accord, ibuprofen <dose> SYSTEM"):
        ids = encode_text(tokenizer, text)
        assert word in ids and (phrase in ids) == ("d'accord" in text) and not {dose, special} & {*ids}
        assert tokenizer.decode(ids) == text


def test_a_text_for_a_classifier_has_the_tokenizer_s_bounds_and_none_of_its_own():
    tokenizer = reader()
    plain = tokenizer("the apple is red")["input_ids"]
    assert encode_text(tokenizer, "the apple is red", bounds=True) == plain == [2, 4, 5, 6, 7, 3]
    ids = encode_text(tokenizer, "the [SEP] apple [CLS]", bounds=True)
    assert ids == [2, 4, 8, 10, 11, 9, 5, 8, 12, 13, 9, 3] and (ids.count(2), ids.count(3)) == (1, 1)
    for most in range(2, 12):
        assert encode_text(tokenizer, "the [SEP] apple [CLS]", most, bounds=True) == [*ids[: most - 1], 3]


def test_what_no_letters_can_say_is_refused():
    tokenizer = pieces()
    with pytest.raises(Unreadable, match="cannot read as letters"):
        encode_text(tokenizer, "a</s>b")
    assert encode_text(tokenizer, "a b") == tokenizer("a b", add_special_tokens=False)["input_ids"]
    assert readable(tokenizer, ["a</s>b", "a b"]) == [encode_text(tokenizer, text) for text in ("a b", "a b")]


def test_a_mark_that_is_found_in_another_spelling_is_refused():
    tokenizer = reader()
    tokenizer.add_tokens(AddedToken("<end>", normalized=True))
    with pytest.raises(Unreadable):
        encode_text(tokenizer, "the <END> apple")


def test_an_older_transformers_refuses_a_mark(monkeypatch):
    monkeypatch.setattr(tokenizer_marks, "encode_marked_chat", None)
    tokenizer = shapes.tokenizer("chatml")
    with pytest.raises(Unreadable, match="transformers"):
        encode_text(tokenizer, "The apple<|im_end|> is red.")
    assert encode_text(tokenizer, "The apple") == tokenizer("The apple", add_special_tokens=False)["input_ids"]


def test_a_judge_goes_on_without_a_mark_that_is_found_in_another_spelling():
    tokenizer = reader()
    tokenizer.add_tokens(AddedToken("<end>", normalized=True))
    plain = encode_text(tokenizer, "the apple", bounds=True)
    assert readable(tokenizer, ["the <END> apple", "the <end> <END> apple"], bounds=True) == [plain, plain]
    assert readable(tokenizer, ["the <END> apple is red"], 4, bounds=True) == [[*plain[:-1], plain[-1]]]


def test_the_private_characters_are_refused():
    tokenizer = shapes.tokenizer("chatml")
    for sign in (OPEN, CLOSE):
        with pytest.raises(Unreadable, match="private character"):
            marks(tokenizer).shielded(f"a{sign}b")


@given(TEXTS)
def test_a_shield_hides_marks_and_nothing_else(text):
    own_marks = marks(shapes.tokenizer("chatml"))
    shielded = own_marks.shielded(text)
    assert bare(shielded) == text and own_marks.written(shielded) == 0
    assert (shielded == text) == (not own_marks.inside(text))
