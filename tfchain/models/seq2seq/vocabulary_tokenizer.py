"""Tokenizers of Marian and M2M-100: a sentencepiece model splits a text, and vocab.json has the ids of its pieces."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfchain.models.tokenizers.added_tokens import AddedToken
from tfchain.models.tokenizers.framing import Framing
from tfchain.models.tokenizers.sentencepiece import SentencePieceTokenizer
from tfchain.models.tokenizers.sentencepiece_model import PieceModel

CODE = r"^>>(?s:.*?)<<"  # a language code at the beginning of a text, as transformers' Marian tokenizer finds it


class VocabularyTokenizer(SentencePieceTokenizer):
    """Turns texts into ids inside a graph; a piece's id is looked up by its text, so that vocabularies may be joint.

    Args:
        proto: The sentencepiece model, with its own normalisation.
        vocabulary: Token → id.
        unknown_id: The id of what the vocabulary does not have.
        special_tokens: Tokens that are read as such where they are written in a text, with their ids.
        reads_codes: Whether a text may begin with a language code such as `>>fra<<`. Default: False.
    """

    def __init__(
        self,
        proto: bytes,
        vocabulary: Mapping[str, int],
        *,
        unknown_id: int,
        special_tokens: Sequence[tuple[str, int]] = (),
        reads_codes: bool = False,
    ) -> None:
        super().__init__(
            PieceModel(proto, np.zeros(1, np.int32)),
            framing=Framing((), (), 0),
            added_tokens=[AddedToken(text, token_id) for text, token_id in special_tokens],
        )
        self._reads_codes = reads_codes
        with tf.init_scope(), tf.device("/CPU:0"):
            keys = tf.constant([text.encode("utf-8", "surrogatepass") for text in vocabulary], tf.string)
            ids = tf.constant(list(vocabulary.values()), tf.int32)
            self._ids = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, ids), unknown_id)

    def _to_ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        if not self._reads_codes:
            return self._look_up_texts(texts)
        rest = tf.strings.regex_replace(texts, CODE, "")
        lengths = tf.strings.length(texts) - tf.strings.length(rest)
        codes = self._ids.lookup(tf.strings.substr(texts, tf.zeros_like(lengths), lengths))
        found = tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(codes, lengths > 0), tf.cast(lengths > 0, tf.int64), validate=False
        )
        return tf.concat([found, self._look_up_texts(rest)], axis=1)

    def _look_up_texts(self, texts: tf.Tensor) -> tf.RaggedTensor:
        pieces = self._pieces.tokenize_to_texts(texts)
        return pieces.with_values(self._ids.lookup(pieces.values))
