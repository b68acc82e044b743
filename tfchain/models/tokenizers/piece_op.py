"""A SentencePiece model as a resource of TensorFlow, and the two ops of TensorFlow Text that split texts with it."""

import hashlib
from typing import Any

import tensorflow as tf

from tfchain.runtime.tf_text import load_tf_text


class PieceOp(tf.Module):
    """Splits texts into the pieces of a SentencePiece model, as `tensorflow_text.SentencepieceTokenizer` does.

    That class leaves its model to the kernel that made it, which TensorFlow drops with its cache of kernels: after
    `tf.random.set_seed` or `keras.utils.set_random_seed`, a tokenizer that was there before fails with "Resource …
    does not exist". This one names its model by its content: it stays until the process ends, and tokenizers of the
    same model share it.

    Args:
        model: A serialised `sentencepiece.ModelProto`.
    """

    def __init__(self, model: bytes) -> None:
        super().__init__(name="piece_op")
        self._model = _Model(model)

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the numbers of the pieces, int32 `(texts, (pieces))`, of texts, string `(texts,)`."""
        values, row_splits = _load_ops().sentencepiece_tokenize_op(
            self._model.resource_handle, texts, **_SETTINGS, out_type=tf.int32
        )
        return tf.RaggedTensor.from_row_splits(values, row_splits, validate=False)

    def tokenize_to_texts(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the pieces themselves, string `(texts, (pieces))`; of what the model does not know, the text."""
        values, row_splits = _load_ops().sentencepiece_tokenize_op(
            self._model.resource_handle, texts, **_SETTINGS, out_type=tf.string
        )
        return tf.RaggedTensor.from_row_splits(values, row_splits, validate=False)

    def tokenize_with_offsets(self, texts: tf.Tensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        """Returns the numbers of the pieces, and the bytes where each starts and ends: `(texts, (pieces))`."""
        values, row_splits, starts, ends = _load_ops().sentencepiece_tokenize_with_offsets_op(
            self._model.resource_handle, texts, **_SETTINGS, out_type=tf.int32
        )
        pieces = tf.RaggedTensor.from_row_splits(values, row_splits, validate=False)
        return pieces, pieces.with_values(starts), pieces.with_values(ends)


_SETTINGS = {"nbest_size": 0, "alpha": 1.0, "add_bos": False, "add_eos": False, "reverse": False}


class _Model(tf.saved_model.experimental.TrackableResource):
    """The model: saved with the module that holds it, made again where that is loaded."""

    def __init__(self, model: bytes) -> None:
        super().__init__()
        self._bytes = model
        self._shared_name = f"sentencepiece_{hashlib.sha256(model).hexdigest()}"
        self.resource_handle  # noqa: B018  makes the resource

    def _create_resource(self) -> tf.Tensor:
        return _load_ops().sentencepiece_op(model=self._bytes, shared_name=self._shared_name)


def _load_ops() -> Any:
    """Returns the ops as TensorFlow Text has them."""
    load_tf_text()
    from tensorflow_text.python.ops import sentencepiece_tokenizer

    return sentencepiece_tokenizer.gen_sentencepiece_tokenizer
