"""The engine `tensorflow`: runs the Keras model as a `tf.function`."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.models.engines.engine import Computation
from tfchain.models.engines.padding import pad
from tfchain.runtime.fork import check_tensorflow_runs
from tfchain.runtime.token_batches import encode_in_batches

if TYPE_CHECKING:
    import keras


class TensorFlowEngine:
    """Runs the Keras model, or its copy in another precision, as a graph; in float32 it follows the model's weights.

    Args:
        computation: The encoder and its precision.
    """

    label = "TensorFlow"

    def __init__(self, computation: Computation) -> None:
        check_tensorflow_runs()
        self._pad_token_id = computation.pad_token_id
        self._function = make_function(computation.compute_encoder).get_concrete_function()

    @classmethod
    def find_obstacle(cls, computation: Computation) -> str | None:
        return None

    def encode(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        batch_size: int = 32,
        skipped: int = 0,
        progress: Callable[[int], Any] | None = None,
    ) -> np.ndarray | None:
        return encode_padded(
            self._run, token_ids, self._pad_token_id, batch_size=batch_size, skipped=skipped, progress=progress
        )

    def _run(self, token_ids: np.ndarray, padding_mask: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        check_tensorflow_runs()
        return self._function(tf.constant(token_ids), tf.constant(padding_mask))["embedding"].numpy()


def make_function(encoder: "keras.Model") -> Any:
    """Makes a `tf.function` of `token_ids` and `padding_mask`, int32 `(None, None)`, from an encoder."""
    import tensorflow as tf

    def embed(token_ids: Any, padding_mask: Any) -> Any:
        return {"embedding": encoder({"token_ids": token_ids, "padding_mask": padding_mask}, training=False)}

    specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in ("token_ids", "padding_mask")]
    return tf.function(embed, input_signature=specs, autograph=False)


def encode_padded(
    run: Callable[[np.ndarray, np.ndarray], np.ndarray],
    token_ids: Sequence[Sequence[int]],
    pad_token_id: int,
    *,
    skipped: int,
    progress: Callable[[int], Any] | None,
    **options: Any,
) -> np.ndarray | None:
    """Runs a function of padded token ids: on a single text at once, on several in batches of similar length.

    Args:
        run: A function from token ids and mask, int32 `(batch, length)`, to vectors `(batch, dim)`.
        token_ids: The ids of each text.
        pad_token_id: The id that pads shorter texts.
        skipped: How many of each text's first tokens pooling leaves out.
        progress: Called after each step with its number of texts.
        **options: Passed on to `encode_in_batches`.
    """
    if len(token_ids) == 1:  # a query, for which batching would take 10 % longer
        vector = np.asarray(run(*pad(token_ids, pad_token_id, skipped=skipped)), dtype="float32")
        if progress is not None:
            progress(1)
        return vector

    def take(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return pad([token_ids[row] for row in rows], pad_token_id, skipped=skipped)

    lengths = np.array([len(ids) for ids in token_ids], dtype=np.int64)
    return encode_in_batches(run, take, lengths, progress=progress, **options)
