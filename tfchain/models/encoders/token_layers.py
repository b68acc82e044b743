"""Keras layers of encoders with a vector for each token: which tokens count, and their vectors as one matrix a text."""

from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.token_vectors import NOT_ATTENDED, NOT_SCORED


@keras.saving.register_keras_serializable("tfchain")
class TokenFlags(keras.layers.Layer):
    """Takes apart the ids of `tokenizers.late`: a token of flag f has the id `f * vocabulary_size + id`.

    Args:
        vocabulary_size: The number of tokens in the vocabulary.

    Call with `token_ids` and `padding_mask`, int32 `(batch, length)`; returns the ids in the vocabulary, and the mask
    of the tokens that others attend to.
    """

    def __init__(self, vocabulary_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size

    def call(self, token_ids: Any, padding_mask: Any) -> tuple[Any, Any]:
        flags = ops.floor_divide(token_ids, self.vocabulary_size)
        attended = ops.cast(ops.not_equal(flags, NOT_ATTENDED), "int32")
        return token_ids - flags * self.vocabulary_size, padding_mask * attended

    def compute_output_shape(self, ids_shape: Any, mask_shape: Any) -> tuple[Any, Any]:
        return ids_shape, mask_shape

    def compute_output_spec(self, token_ids: Any, padding_mask: Any) -> tuple[Any, Any]:
        return keras.KerasTensor(token_ids.shape, "int32"), keras.KerasTensor(padding_mask.shape, "int32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}


@keras.saving.register_keras_serializable("tfchain")
class TokenMatrix(keras.layers.Layer):
    """Lays the vectors of a text's tokens one after the other, with zeros for padding and for tokens that do not count.

    Args:
        num_vectors: Rows of a text's matrix; tokens beyond are left out.
        vocabulary_size: As in `TokenFlags`.

    Call with the vectors `(batch, length, dim)`, and `token_ids` and `padding_mask` `(batch, length)`; returns
    `(batch, num_vectors * dim)` in float32.
    """

    def __init__(self, num_vectors: int, vocabulary_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_vectors = num_vectors
        self.vocabulary_size = vocabulary_size

    def call(self, vectors: Any, token_ids: Any, padding_mask: Any) -> Any:
        flags = ops.floor_divide(token_ids, self.vocabulary_size)
        counts = ops.logical_and(ops.equal(padding_mask, 1), ops.not_equal(flags, NOT_SCORED))
        vectors = ops.cast(vectors, "float32") * ops.expand_dims(ops.cast(counts, "float32"), -1)
        padded = ops.pad(vectors, ((0, 0), (0, self.num_vectors), (0, 0)))[:, : self.num_vectors]
        return ops.reshape(padded, (-1, self.num_vectors * vectors.shape[-1]))

    def compute_output_shape(self, vectors_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        return (vectors_shape[0], self.num_vectors * vectors_shape[-1])  # type: ignore[operator]

    def compute_output_spec(self, vectors: Any, token_ids: Any, padding_mask: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(vectors.shape), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_vectors": self.num_vectors, "vocabulary_size": self.vocabulary_size}
