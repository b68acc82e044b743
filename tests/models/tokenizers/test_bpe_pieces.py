"""Pieces of BPE merges: which there are, in which order they are merged, and what is refused."""

import json
import random
from typing import Any

import pytest
import tensorflow as tf
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.models.tokenizers.bpe_tokenizers import Pair, make_backend, wrap
from tfchain.core.errors import InputError
from tfchain.models.tokenizers.bpe_pieces import find_scores, read_bpe
from tfchain.runtime.tf_text import load_tf_text


def make(tokens: list[str], merges: list[tuple[str, str]], *, byte_level: bool = False, **options: Any) -> Tokenizer:
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<unk>", *tokens])}
    backend = Tokenizer(models.BPE(vocabulary, merges, **options))
    if byte_level:
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return backend


def read(backend: Tokenizer) -> dict[str, Any]:
    parts: dict[str, Any] = json.loads(backend.to_str())
    return parts


def test_a_piece_scores_by_the_rank_of_its_merge() -> None:
    backend = make(["a", "b", "c", "bc", "abc"], [("b", "c"), ("a", "bc")])
    assert find_scores(read(backend)) == {"bc": 0, "abc": -1}


def test_a_piece_that_its_own_merges_do_not_give_is_left_out() -> None:
    # "bc" is merged first, so "ab" and "c" never meet, and neither "abc" nor "abcd" is ever made.
    backend = make(["a", "b", "c", "d", "bc", "ab", "abc", "abcd"], [("b", "c"), ("a", "b"), ("ab", "c"), ("abc", "d")])
    assert find_scores(read(backend)) == {"bc": 0, "ab": -1}
    assert Pair(wrap(backend)).find_difference(["abc", "abcd", "ab", "abab", "aabcc"]) is None


def test_of_two_merges_that_make_a_piece_the_one_that_happens_counts() -> None:
    # "ab" and "c" meet last, at rank 4, although "a" and "bc" would be merged at rank 0: "bc" comes after "ab".
    merges = [("a", "bc"), ("a", "b"), ("c", "d"), ("b", "c"), ("ab", "c")]
    backend = make(["a", "b", "c", "d", "bc", "ab", "cd", "abc"], merges)
    assert find_scores(read(backend)) == {"ab": -1, "cd": -2, "bc": -3, "abc": -4}
    texts = ["abc", "abcd", "bcd", "abccd", "aabbccdd", "bcabc"]
    assert Pair(wrap(backend)).find_difference(texts) is None


def test_characters_that_repeat_are_merged_from_the_left() -> None:
    backend = make(["a", "aa", "aaaa", "aaa"], [("a", "a"), ("aa", "aa"), ("aa", "a")])
    assert Pair(wrap(backend)).find_difference(["a" * count for count in range(12)]) is None


def test_merges_made_by_chance_give_the_same_pieces() -> None:
    generator = random.Random(0)
    for _ in range(60):
        tokens = list("abc"[: generator.choice([2, 3])])
        merges: dict[tuple[str, str], None] = {}
        while len(merges) < 14:
            pair = (generator.choice(tokens), generator.choice(tokens))
            if len("".join(pair)) < 7:
                merges[pair] = None
                tokens += ["".join(pair)] * ("".join(pair) not in tokens)
        order = generator.sample(list(merges), len(merges))
        backend = make(tokens, order)
        model = read_bpe(read(backend))
        texts = ["".join(generator.choices(tokens[:2], k=generator.randrange(14))) for _ in range(100)]
        pieces = load_tf_text().SentencepieceTokenizer(model.proto).tokenize(tf.constant(texts)).to_list()
        found = [[int(model.token_ids[piece]) for piece in row] for row in pieces]
        assert found == [encoding.ids for encoding in backend.encode_batch_fast(texts)], (tokens, order)


def test_bytes_are_characters_and_the_boundary_yields_no_token() -> None:
    model = read_bpe(read(make_backend("gpt2")))
    pieces = sentencepiece_model_pb2.ModelProto.FromString(model.proto).pieces
    place = {piece.piece: index for index, piece in enumerate(pieces)}
    vocabulary = make_backend("gpt2").get_vocab()
    assert model.reads_bytes
    assert model.token_ids[place[" "]] == vocabulary["Ġ"]
    assert model.token_ids[place["\x00"]] == vocabulary["Ā"]
    assert model.token_ids[place["\xff"]] == -1


def test_bytes_and_characters_that_the_vocabulary_lacks_are_dropped_or_unknown() -> None:
    texts = ["axb", "xx", "aéb", "ab", "a b"]
    for byte_level in (False, True):
        for options in ({}, {"unk_token": "<unk>"}, {"unk_token": "<unk>", "fuse_unk": True}):
            backend = make(["a", "b", "ab"], [("a", "b")], byte_level=byte_level, **options)
            assert Pair(wrap(backend)).find_difference(texts) is None, (byte_level, options)


def test_words_that_no_merge_gives_are_looked_up() -> None:
    backend = make(["a", "b", "Ġ", "ab", "Ġba"], [("a", "b")], byte_level=True, ignore_merges=True)
    pair = Pair(wrap(backend))
    assert pair.tokenize(tf.constant(["ab ba ba"])).to_list() == [[5, 6, 6]]
    assert pair.find_difference(["ab ba ba", "ba", " bab", ""]) is None


REFUSED = {
    "`dropout`": make(["a"], [], dropout=0.5),
    "`end_of_word_suffix`": make(["a", "a</w>"], [], end_of_word_suffix="</w>"),
    "vocabulary cannot .* each byte with": make(["a", "a</w>"], [], byte_level=True, end_of_word_suffix="</w>"),
    "`continuing_subword_prefix`": make(["a"], [], continuing_subword_prefix="##"),
    "vocabulary cannot .* the token '<0x00>'": make(["a"], [], byte_fallback=True),
    "vocabulary cannot .* the token '<no>'": make(["a"], [], unk_token="<no>"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_a_graph_cannot_express_is_named(message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_bpe(read(REFUSED[message]))
