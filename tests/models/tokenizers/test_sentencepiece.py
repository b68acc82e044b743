"""BPE tokenizers as graphs beside Hugging Face's: every kind, real texts, every assigned character, random Unicode."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.models.tokenizers.bpe_tokenizers import KINDS, SPECIAL, Pair, make_backend, make_pair, wrap
from tests.parity.small_tokenizers import corpus
from tfchain.core.errors import InputError
from tfchain.models.tokenizers.sentencepiece import SentencePieceTokenizer

WRITTEN = [
    *(" ", "  ", "   ", "    ", "\n", "\n\n", "\r\n", "\t", "\u3000", "\x85", "\u2028", "\xa0"),
    *("'s", "'S", "'\u017f", "'LL", "'ll", "\u212a", "1", "23", "4567", "\u0663", "\u00bd", "a", "\u00e9", "e\u0301"),
    *("word", "words", "qzxq", "!?!?", "!", "...", "you", "\u4f60", "\ud55c", "\u1112\u1161\u11ab", "\ufb01", "\u00df"),
    *("<s>", "</s>", "<mask>", " <mask>", "<mask", "<|im_end|>", "<|im_end|>!", "[MASK]", "[END]", "|||EMAIL|||"),
    *(
        "\x00",
        "\ud7ff",
        "\ue000",
        "\U0010ffff",
        "\ufffe",
        "\ufffd",
        "\u200d",
        "\u2581",
        "_",
        "\U0001f469\u200d\U0001f467",
    ),
]
texts_of_anything = st.lists(
    st.one_of(st.sampled_from(WRITTEN), st.characters(exclude_categories=["Cs"]), st.text(max_size=9)), max_size=14
).map("".join)


@pytest.mark.parametrize("kind", KINDS)
def test_real_texts_have_hugging_faces_ids(kind: str) -> None:
    texts = [*corpus(), *(text[::-1] for text in corpus()), "", " ", "\n", *WRITTEN]
    assert make_pair(kind).find_difference(texts) is None


@pytest.mark.parametrize("kind", ["qwen", "gemma"])
def test_assigned_characters_have_hugging_faces_ids_wherever_they_stand(kind: str) -> None:
    """Each kind has half of the characters, without ideographs, syllables of Hangul, and other thousands of a kind."""
    characters = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cs", "Co", "Cn")]
    common = [c for c in characters if not unicodedata.name(c, "").startswith(("CJK", "HANGUL SYL", "TANGUT", "EGYP"))]
    pair = make_pair(kind)
    kept = common[KINDS.index(kind) % 2 :: 2]
    assert len(kept) > 15_000
    for start in range(0, len(kept), 4096):
        assert pair.find_difference([f"a{c}b {c} 1  {c}\n{c}'s" for c in kept[start : start + 4096]]) is None


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(texts_of_anything, min_size=1, max_size=8))
def test_random_unicode_has_hugging_faces_ids(texts: list[str]) -> None:
    for kind in KINDS:
        difference = make_pair(kind).find_difference(texts)
        assert difference is None, f"{kind}: {difference}"


def test_a_sample_of_the_data_sets_has_hugging_faces_ids(shared_data: Path) -> None:
    lines = (shared_data / "squad_dev" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()[::10]
    for kind in ("llama", "modernbert", "mistral"):
        assert make_pair(kind).find_difference(lines) is None


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", ["roberta", "gemma"])
def test_texts_are_cut_and_padded_as_hugging_face_does(kind: str, side: str) -> None:
    hugging_face = wrap(make_backend(kind), truncation_side=side)
    texts = ["", "short", "a text of some more tokens, which is cut off here " * 2, "you <mask> and </s>"]
    graph = SentencePieceTokenizer.from_hugging_face(hugging_face)
    token_ids, mask = graph(tf.constant(texts), 12)
    expected = hugging_face(texts, padding=True, truncation=True, max_length=12, return_tensors="np")
    np.testing.assert_array_equal(token_ids, expected["input_ids"])
    np.testing.assert_array_equal(mask, expected["attention_mask"])


def test_bytes_that_are_not_utf8_are_read_as_python_reads_them() -> None:
    texts = [b"a\xffb", b"\xed\xa0\x81 \xed\xa0\x80", b"\xf0\x9f\x98", b"\xe4\xbd x", b"\xc0\xaf\xfe\xff", b"\x80"]
    for kind in ("qwen", "gemma"):
        pair = make_pair(kind)
        expected = [
            pair.hugging_face.backend_tokenizer.encode(text.decode("utf-8", "replace"), add_special_tokens=False).ids
            for text in texts
        ]
        assert pair.tokenize(tf.constant(texts)).to_list() == expected


def test_a_padding_id_other_than_the_tokenizers_and_none_at_all() -> None:
    hugging_face = wrap(make_backend("gpt2"), pad_token=None)
    assert SentencePieceTokenizer.from_hugging_face(hugging_face).framing.pad_id == 0
    assert SentencePieceTokenizer.from_hugging_face(hugging_face, pad_id=3).framing.pad_id == 3


def test_texts_are_lower_cased_before_they_are_normalized_but_tokens_are_found_before() -> None:
    hugging_face = wrap(make_backend("roberta"))
    graph = SentencePieceTokenizer.from_hugging_face(hugging_face, do_lower_case=True)
    found = graph.tokenize(tf.constant(["The CAT <mask> É", "<MASK>"])).to_list()
    backend = hugging_face.backend_tokenizer
    expected = [backend.encode(text, add_special_tokens=False).ids for text in ("the cat <mask> é", "<mask >")]
    assert found[0] == expected[0]
    assert found[1] != [backend.token_to_id("<mask>")]


def test_tokens_are_read_as_text_where_hugging_face_is_told_so() -> None:
    backend = make_backend("gpt2")
    hugging_face = wrap(backend, split_special_tokens=True, additional_special_tokens=SPECIAL)
    hugging_face.backend_tokenizer.encode_special_tokens = True
    assert Pair(hugging_face).find_difference(["a</s>b", "<s>"]) is None


def test_it_is_saved_with_its_resources_and_answers_without_tfchain(tmp_path: Path) -> None:
    pair = make_pair("llama")
    module = tf.Module()
    module.tokenizer = pair.graph
    module.serve = tf.function(
        lambda text: dict(zip(("token_ids", "padding_mask"), pair.graph(text, 16), strict=True)),
        input_signature=[tf.TensorSpec([None], tf.string, "text")],
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    texts = ["you're qzxq </s>", ""]
    found = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](text=tf.constant(texts))
    expected = pair.hugging_face(texts, padding=True, truncation=True, max_length=16, return_tensors="np")
    np.testing.assert_array_equal(found["token_ids"], expected["input_ids"])
    np.testing.assert_array_equal(found["padding_mask"], expected["attention_mask"])


def test_an_empty_batch_gives_an_empty_batch() -> None:
    token_ids, mask = make_pair("qwen").graph(tf.constant([], tf.string), 8)
    assert token_ids.shape == mask.shape == (0, 2)


def test_a_single_text_is_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match="`texts` must have one dimension.*Put a single text into a list"):
        make_pair("gpt2").graph.tokenize(tf.constant("a"))
    with pytest.raises(InputError, match="`max_length` must be at least 2"):
        make_pair("gpt2").graph(tf.constant(["a"]), 1)


def test_kinds_differ_in_what_they_give() -> None:
    """The tokenizers above are not the same by accident."""
    ids = {tuple(make_backend(kind).encode(" you're  <mask> 123").ids) for kind in ("gpt2", "roberta", "qwen", "gemma")}
    assert len(ids) == 4
    assert isinstance(make_backend("llama"), Tokenizer)
