"""The op that splits texts into pieces: equal to TensorFlow Text's class, and there as long as someone may ask."""

import numpy as np
import tensorflow as tf
import tensorflow_text

from tests.models.tokenizers.unigram_tokenizers import make_tied_pair
from tfchain.models.tokenizers.piece_op import PieceOp
from tfchain.models.tokenizers.sentencepiece_settings import read_sentencepiece_settings

TEXTS = tf.constant(["bb333", "", "3b", "xyz b"])


def make_model() -> bytes:
    model: bytes = read_sentencepiece_settings(make_tied_pair().hugging_face, pad_id=None, do_lower_case=False)[
        "model"
    ].proto
    return model


def test_pieces_and_offsets_are_those_of_tensorflow_text() -> None:
    model = make_model()
    op, other = PieceOp(model), tensorflow_text.SentencepieceTokenizer(model)
    assert op.tokenize(TEXTS).to_list() == other.tokenize(TEXTS).to_list()
    for one, expected in zip(op.tokenize_with_offsets(TEXTS), other.tokenize_with_offsets(TEXTS), strict=True):
        assert one.to_list() == expected.to_list()


def test_a_tokenizer_outlives_a_new_seed_and_a_cleared_session() -> None:
    op = PieceOp(make_model())
    expected = op.tokenize(TEXTS).to_list()
    traced = tf.function(lambda texts: op.tokenize(texts).to_tensor(-1))
    rows = traced(TEXTS).numpy()
    tf.random.set_seed(1)
    tf.keras.utils.set_random_seed(2)
    tf.keras.backend.clear_session()
    assert op.tokenize(TEXTS).to_list() == expected
    np.testing.assert_array_equal(traced(TEXTS), rows)


def test_two_of_the_same_model_share_it_and_one_outlives_the_other() -> None:
    first, second = PieceOp(make_model()), PieceOp(make_model())
    expected = first.tokenize(TEXTS).to_list()
    del first
    tf.random.set_seed(1)
    assert second.tokenize(TEXTS).to_list() == expected
