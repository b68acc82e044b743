"""Unigram tokenizers as graphs beside Hugging Face's: every kind, real texts, assigned characters, random Unicode."""

import math
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from tests.models.tokenizers.bpe_tokenizers import Pair, wrap
from tests.models.tokenizers.unigram_tokenizers import KINDS, make_backend, make_pair
from tests.parity.small_tokenizers import corpus
from tests.parity.texts import AWKWARD_TEXTS, SPECIAL_TEXTS
from tfchain.core.errors import InputError
from tfchain.models.tokenizers.sentencepiece import SentencePieceTokenizer
from tfchain.models.tokenizers.unigram_pieces import find_slope, to_grid

WRITTEN = [
    *(" ", "  ", "\n", "\r\n", "\t", "\u3000", "\x85", "\xa0", "\u2581", "\u2581\u2581", "_", "\x00", "\ufffd"),
    *("333", "33333", "III", "qz", "qzqz", "ab", "the", "merge", "sorted", "lists", "\u4f60", "\ufb01", "\u00df"),
    *("<s>", "</s>", "<mask>", " <mask>", "<mask", "<unk>", "\uff1cunk\uff1e", "\uff1c/s\uff1e", "[CLS]", "<0x41>"),
    *("e\u0301", "\u2460\u0301", "\u1112\u1161\u11ab", "\u304b\u3099", "\U0001f469\u200d\U0001f467", "\U00013000"),
    *("\ue000", "\U0010ffff", "\U0010fffe\U0010ffff" * 8, "``", "''", "\u0130", "\u0915\u094d\u0937"),
]
texts_of_anything = st.lists(
    st.one_of(st.sampled_from(WRITTEN), st.characters(exclude_categories=["Cs"]), st.text(max_size=9)), max_size=14
).map("".join)


@pytest.mark.parametrize("kind", KINDS)
def test_real_texts_have_hugging_faces_ids(kind: str) -> None:
    texts = [*corpus(), *(text[::-1] for text in corpus()), *AWKWARD_TEXTS, *SPECIAL_TEXTS, *WRITTEN]
    assert make_pair(kind).find_difference(texts) is None


@pytest.mark.parametrize("kind", ["xlm_roberta", "bytes"])
def test_assigned_characters_have_hugging_faces_ids_wherever_they_stand(kind: str) -> None:
    """Each kind has half of the characters, without the many ideographs and syllables."""
    characters = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cs", "Co", "Cn")]
    common = [c for c in characters if not unicodedata.name(c, "").startswith(("CJK", "HANGUL SYL", "TANGUT", "EGYP"))]
    pair = make_pair(kind)
    kept = common[list(KINDS).index(kind) % 2 :: 2]
    assert len(kept) > 15_000
    for start in range(0, len(kept), 4096):
        assert pair.find_difference([f"a{c}b {c} 33{c}3 e{c}\u0301" for c in kept[start : start + 4096]]) is None


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(texts_of_anything, min_size=1, max_size=8))
def test_random_unicode_has_hugging_faces_ids(texts: list[str]) -> None:
    for kind in KINDS:
        difference = make_pair(kind).find_difference(texts)
        assert difference is None, f"{kind}: {difference}"


@pytest.mark.parametrize(("kind", "side"), [("t5", "right"), ("albert", "left")])
def test_texts_are_cut_and_padded_as_hugging_face_does(kind: str, side: str) -> None:
    hugging_face = wrap(make_backend(kind), truncation_side=side)
    texts = ["", "short", "a text of some more tokens, which is cut off here " * 2, "you <mask> and </s>"]
    graph = SentencePieceTokenizer.from_hugging_face(hugging_face)
    token_ids, mask = graph(tf.constant(texts), 12)
    expected = hugging_face(texts, padding=True, truncation=True, max_length=12, return_tensors="np")
    np.testing.assert_array_equal(token_ids, expected["input_ids"])
    np.testing.assert_array_equal(mask, expected["attention_mask"])


def test_bytes_that_are_not_utf8_are_read_as_python_reads_them() -> None:
    texts = [b"a\xffb", b"\xed\xa0\x81 \xed\xa0\x82", b"\xf0\x9f\x98", b"\xe4\xbd x", b"\xc0\xaf\xfe\xff", b"\x80"]
    for kind in ("xlm_roberta", "bytes"):
        pair = make_pair(kind)
        backend = pair.hugging_face.backend_tokenizer
        expected = [backend.encode(text.decode("utf-8", "replace"), add_special_tokens=False).ids for text in texts]
        assert pair.tokenize(tf.constant(texts)).to_list() == expected


def test_equally_likely_pieces_fall_as_in_hugging_face_whatever_comes_before_them() -> None:
    """The longest piece comes last; rounded sums would choose by what comes before."""
    pair = make_pair("xlm_roberta")
    backend = pair.hugging_face.backend_tokenizer
    assert [backend.id_to_token(token) for token in backend.encode("333").ids[1:-1]][-2:] == ["3", "33"]
    texts = [f"{before}333{after}" for before in ("merge", "so", "x", "th", "qz") for after in ("", "III", "the", "q")]
    assert pair.find_difference(texts) is None


def test_what_a_graph_cannot_express_is_named() -> None:
    with pytest.raises(InputError, match=r"model cannot be put into a graph. Expected: a Unigram model with `unk_id`"):
        SentencePieceTokenizer.from_hugging_face(wrap(Tokenizer(models.Unigram([("<pad>", 0.0), ("a", -1.0)]))))
    pieces = [("<unk>", 0.0), ("<pad>", 0.0), ("a\0", -1.0)]
    with pytest.raises(InputError, match=r"Expected: pieces without U\+0000 where there is byte fallback"):
        SentencePieceTokenizer.from_hugging_face(wrap(Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))))


def test_a_piece_may_have_u0000_at_which_strings_of_c_end() -> None:
    pieces = [("<unk>", 0.0), ("<pad>", 0.0), ("a\0", -1.0), ("\0", -2.0), ("a", -3.0), ("\U0010fffe", -4.0)]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0))
    texts = ["a\0a\0\0", "\U0010ffff\0", "\U0010fffea\U0010fffd\U0010fffc\0b", "\0"]
    assert Pair(wrap(backend)).find_difference(texts) is None


def test_scores_are_rounded_to_a_grid_and_balanced_by_the_number_of_characters() -> None:
    """By hand: the mean score of a character is -(0.5 ln 2 + 0.5 ln 2) / (0.5 * 1 + 0.5 * 3) = -ln 2 / 2."""
    half = math.log(0.5)
    slope = find_slope([("<unk>", 0.0), ("a", half), ("bbb", half)])
    assert slope == pytest.approx(math.log(2) / 2, abs=2**-19)
    assert slope * 2**19 == int(slope * 2**19)
    assert to_grid(1.3 * 2**-19) == 2**-19
