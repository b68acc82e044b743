"""The Keras model that `fit_seq2seq` runs: teacher forcing, the loss of all tokens of a batch, Keras' own loop."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfchain.training.fit.divergence import is_loss_scaled
from tfchain.training.fit.gradients import to_dense
from tfchain.training.fit.keras_fit import FitOverWorkers
from tfchain.training.fit.recording import record_gradients
from tfchain.training.seq2seq.loss import smoothed_cross_entropy


class Seq2SeqTrainer(FitOverWorkers, keras.Model):
    """Trains a model from text to text on batches of `TokenBatches`.

    The decoder sees the right tokens before each that it learns (teacher forcing; Williams and Zipser 1989). The loss
    of a step is the mean over all tokens of the batch, over all replicas: a long target counts as often as it has
    tokens, and the gradient is the same on one device and on several.

    Args:
        encoder: A `keras.Model` from `token_ids`, `padding_mask` and `target_ids` to logits; its weights are trained in
            place. (It has the name that callbacks and checkpoints know.)
        label_smoothing: As in `smoothed_cross_entropy`. Default: 0.
    """

    def __init__(self, encoder: keras.Model, *, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.encoder = encoder
        self.label_smoothing = label_smoothing
        self.loss_tracker = keras.metrics.Mean(name="loss", dtype="float32")
        self.built = True

    @property
    def metrics(self) -> list[Any]:
        return [self.loss_tracker]

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        return self.encoder(inputs, training=training)

    def train_step(self, data: Mapping[str, Any]) -> dict[str, Any]:
        inputs = {name: data[name] for name in ("token_ids", "padding_mask", "target_ids")}
        num_tokens = data["num_tokens"]  # of the global batch
        with record_gradients() as tape:
            logits = self.encoder(inputs, training=True)
            losses = smoothed_cross_entropy(logits, data["labels"], smoothing=self.label_smoothing)
            loss = tf.reduce_sum(losses) / num_tokens
            scaled = self.optimizer.scale_loss(loss)
        weights = [weight.value for weight in self.encoder.trainable_weights]
        gradients = to_dense(tape.gradient(scaled, weights), weights)
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            loss, gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, [loss, gradients])
        self.optimizer.apply(gradients, self.encoder.trainable_weights)
        if is_loss_scaled(self.optimizer):  # a skipped step changes nothing, but would make the mean NaN
            is_finite = tf.math.is_finite(loss)
            loss, num_tokens = tf.where(is_finite, loss, 0.0), tf.where(is_finite, num_tokens, 0.0)
        self.loss_tracker.update_state(loss, sample_weight=num_tokens)
        return self.to_logs({"loss": self.loss_tracker.result()})

    def save(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the model without the optimizer, for Keras' `ModelCheckpoint`."""
        self.encoder.save(filepath, overwrite=overwrite, **kwargs)

    def save_weights(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the weights without the optimizer's."""
        self.encoder.save_weights(filepath, overwrite=overwrite, **kwargs)

    def load_weights(self, filepath: str | Path, **kwargs: Any) -> None:
        """Loads what `save_weights` saved."""
        self.encoder.load_weights(filepath, **kwargs)
