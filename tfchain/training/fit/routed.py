"""Two encoders that train together, one for queries and one for documents, as one Keras model of token ids."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.batches.training_data import NO_TOKEN, QUERY, NamedPairs
from tfchain.training.fit.options import FitOptions


@keras.saving.register_keras_serializable("tfchain")
class RoutedEncoder(keras.Model):
    """Encodes each text of a batch by the encoder of its role: the token ids of queries are raised by `QUERY`.

    Args:
        documents: Model from `token_ids` and `padding_mask` to `(texts, dim)`.
        queries: The same for queries.
        query_pad_id: The id that pads queries. Default: 0.
    """

    def __init__(self, documents: keras.Model, queries: keras.Model, *, query_pad_id: int = 0, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.documents = documents
        self.queries = queries
        self.query_pad_id = query_pad_id
        self.built = True

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the vectors, `(None, dim)`."""
        shape: tuple[int | None, ...] = self.documents.output_shape
        return shape

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        token_ids, padding_mask = inputs["token_ids"], inputs["padding_mask"]
        is_query = tf.reduce_any(token_ids >= QUERY, axis=1)
        own_ids = tf.where((token_ids >= QUERY) & (token_ids < NO_TOKEN), token_ids - QUERY, self.query_pad_id)
        own_mask = tf.where(token_ids == NO_TOKEN, 0, padding_mask)
        places, vectors = [], []
        for encoder, chosen, ids, mask in (
            (self.documents, ~is_query, token_ids, padding_mask),
            (self.queries, is_query, own_ids, own_mask),
        ):
            place = tf.cast(tf.where(chosen)[:, 0], tf.int32)
            ids, mask = tf.gather(ids, place), tf.gather(mask, place)
            longest = tf.maximum(1, tf.reduce_max(tf.math.count_nonzero(mask, axis=1, dtype=tf.int32)))
            found = encoder({"token_ids": ids[:, :longest], "padding_mask": mask[:, :longest]}, training=training)
            places.append(place)
            vectors.append(tf.cast(found, tf.float32))
        return tf.ensure_shape(tf.dynamic_stitch(places, vectors), (None, self.output_shape[-1]))

    def get_config(self) -> dict[str, Any]:
        sides = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("documents", "queries")}
        return {**sides, "query_pad_id": self.query_pad_id, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "RoutedEncoder":
        sides = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("documents", "queries")}
        return cls(**{**config, **sides})


def set_trained_weights(text_encoder: TextEncoder, weights: Sequence[np.ndarray]) -> None:
    """Sets what a training has learned, of two encoders in one step: no search meets one trained and one untrained.

    Args:
        text_encoder: The text encoder.
        weights: Its encoder's weights, and then those of an encoder of its own for queries.
    """
    num_own = len(text_encoder.own_encoder.weights)
    own, others = weights[:num_own], weights[num_own:]
    text_encoder.set_weights(own, query_weights=None if text_encoder.query_route is None else others)


def check_routed_options(options: FitOptions, *, fixed_by: str | None) -> None:
    """Raises if two encoders cannot be trained together in this way.

    Args:
        options: The training's options.
        fixed_by: What needs all batches in one shape, for the error; None if nothing does.

    Raises:
        InputError: with what was expected, what was received and what to do.
    """
    if options.hooks:
        raise InputError(
            "`hooks` change the training of one encoder. Received: "
            f"{', '.join(type(hook).__name__ for hook in options.hooks)}, and a text encoder whose queries have an "
            "encoder of their own (a Router). Leave the recipes or hooks out."
        )
    if fixed_by is not None:
        raise InputError(
            "Encoders for queries and for documents (a Router) train in batches of changing shapes, which TPUs and XLA "
            f"do not have. Received: {fixed_by}. Train on a CPU or GPUs, without `jit_compile`."
        )


def check_routed_rows(datasets: Sequence[NamedPairs]) -> None:
    """Raises if rows are not of a query and documents, each for its encoder.

    Raises:
        InputError: with the dataset's name.
    """
    for named in datasets:
        if named.pairs.symmetric or named.pairs.num_columns < 2:
            raise InputError(
                "Encoders for queries and for documents (a Router) train on rows of a query and its documents. "
                f"Received: {named.name}, whose rows are texts without these roles. Give rows of two columns, or train "
                "a text encoder with `query_route = None`."
            )
