"""Sentencepiece models written by hand: read by the package sentencepiece and by TensorFlow Text's op."""

import tensorflow as tf
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

from tfchain.models.tokenizers.sentencepiece_model import Piece, make_sentencepiece_model
from tfchain.runtime.tf_text import load_tf_text

BYTES = [Piece(f"<0x{byte:02X}>", kind="byte") for byte in range(256)]


def test_every_field_is_where_sentencepiece_looks_for_it() -> None:
    written = make_sentencepiece_model(
        [Piece("<unk>", kind="unknown"), Piece("ab", -1.5), Piece("你", -300, "user_defined"), *BYTES],
        algorithm="unigram",
        byte_fallback=True,
    )
    model = sentencepiece_model_pb2.ModelProto.FromString(written)
    assert [(piece.piece, piece.score, piece.type) for piece in model.pieces[:4]] == [
        *[("<unk>", 0, 2), ("ab", -1.5, 1), ("你", -300, 4), ("<0x00>", 0, 6)]
    ]
    trainer = model.trainer_spec
    assert (trainer.model_type, trainer.vocab_size, trainer.byte_fallback) == (1, 259, True)
    assert (trainer.unk_id, trainer.bos_id, trainer.eos_id, trainer.pad_id) == (0, -1, -1, -1)
    normalizer = model.normalizer_spec
    assert normalizer.name == "identity"
    flags = (normalizer.add_dummy_prefix, normalizer.remove_extra_whitespaces, normalizer.escape_whitespaces)
    assert not any(flags)


def test_pieces_are_merged_in_the_order_of_scores_and_texts_stay_as_they_are() -> None:
    pieces = [Piece("<u>", kind="unknown"), *map(Piece, "abc \x00"), Piece("bc", -1), Piece("ab", -2)]
    written = make_sentencepiece_model(pieces, algorithm="bpe")
    op = load_tf_text().SentencepieceTokenizer(written)
    assert op.tokenize(tf.constant(["abc ab", "  a ", "a\x00b", "ax"])).to_list() == [
        *[[1, 6, 4, 7], [4, 4, 1, 4], [1, 5, 2], [1, 0]]
    ]


def test_the_model_is_one_that_sentencepiece_itself_runs() -> None:
    pieces = [Piece("<u>", kind="unknown"), Piece("a"), Piece("b"), Piece("ab", -1), *BYTES]
    processor = SentencePieceProcessor(
        model_proto=make_sentencepiece_model(pieces, algorithm="bpe", byte_fallback=True)
    )
    assert processor.encode("ab é") == [3, 4 + 0x20, 4 + 0xC3, 4 + 0xA9]
