"""The Keras model that `fit` runs: an encoder, a loss over its batches' embeddings, and Keras' own loop."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfchain.training.fit.divergence import is_loss_scaled
from tfchain.training.fit.gradients import cached_gradients, plain_gradients
from tfchain.training.fit.keras_fit import FitOverWorkers
from tfchain.training.losses import PairLoss
from tfchain.training.losses.false_negatives import false_negative_mask


class PairTrainer(FitOverWorkers, keras.Model):
    """Trains an encoder on batches of rows of texts.

    `chain.fit` makes a trainer itself; make your own to train on custom batches, in the strategy's scope.

    Args:
        encoder: Model from `token_ids` and `padding_mask` to `(texts, dim)`; its weights are trained in place.
        losses: A loss for each dataset, or a single loss for all.
        num_columns: Texts in a row, for each dataset or for all. Default: 2.
        num_labels: Labels of a row, for each dataset or for all. Default: 0.
        mini_batch_size: Texts that GradCache encodes at once. Default: None, a batch is encoded at once.
        mask_false_negatives: Whether to compute `masked` for the losses. Default: True.
        trim: Whether mini-batches are cut to their longest text. Default: True.
        step_encoder: The model that the steps encode with, if it adds a loss for each text; see
            `TrainingHook.make_step_encoder`. Default: the encoder.
    """

    def __init__(
        self,
        encoder: keras.Model,
        losses: PairLoss | Sequence[PairLoss],
        *,
        num_columns: int | Sequence[int] = 2,
        num_labels: int | Sequence[int] = 0,
        mini_batch_size: int | None = None,
        mask_false_negatives: bool = True,
        trim: bool = True,
        step_encoder: keras.Model | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.encoder = encoder
        self.step_encoder = step_encoder or encoder
        self.pair_losses = list(losses) if isinstance(losses, Sequence) else [losses]
        self.columns_of = self._for_each(num_columns)
        self.labels_of = self._for_each(num_labels)
        self.mini_batch_size = mini_batch_size
        self.mask_false_negatives = mask_false_negatives
        self.trim = trim
        self.loss_tracker = keras.metrics.Mean(name="loss", dtype="float32")
        self.built = True

    @property
    def metrics(self) -> list[Any]:
        return [self.loss_tracker]

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        return self.encoder(inputs, training=training)

    def train_step(self, data: Mapping[str, Any]) -> dict[str, Any]:
        options: dict[str, Any] = {"num_columns": max(self.columns_of), "scale": self.optimizer.scale_loss}
        losses = [self.loss_of_batch]
        if len(self.pair_losses) > 1:
            losses = [partial(self.loss_of_batch, number=number) for number in range(len(self.pair_losses))]
        if self.mini_batch_size is None:
            loss, gradients = plain_gradients(self.step_encoder, data, losses, **options)
        else:
            options |= {"mini_batch_size": self.mini_batch_size, "trim": self.trim}
            loss, gradients = cached_gradients(self.step_encoder, data, losses, **options)
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        self.optimizer.apply(gradients, self.step_encoder.trainable_weights)
        # Weighted by the rows, so that a short last batch counts less; every replica has the global batch's loss.
        rows = tf.shape(data["keys"])[0]
        if is_loss_scaled(self.optimizer):  # a skipped step changes nothing, but would make the mean NaN
            is_finite = tf.math.is_finite(loss)
            loss, rows = tf.where(is_finite, loss, 0.0), tf.where(is_finite, rows, 0)
        self.loss_tracker.update_state(loss, sample_weight=rows)
        return self.to_logs({"loss": self.loss_tracker.result()})

    def save(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the encoder, so that `keras.models.load_model` can load what Keras' `ModelCheckpoint` writes."""
        self.encoder.save(filepath, overwrite=overwrite, **kwargs)

    def save_weights(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the encoder's weights, without the optimizer's state."""
        self.encoder.save_weights(filepath, overwrite=overwrite, **kwargs)

    def load_weights(self, filepath: str | Path, **kwargs: Any) -> None:
        """Loads what `save_weights` saved."""
        self.encoder.load_weights(filepath, **kwargs)

    def loss_of_batch(self, embeddings: Any, extras: Mapping[str, Any], number: int | None = None) -> Any:
        """The loss of the whole global batch.

        Args:
            embeddings: float32 `(batch, columns, dim)`, or one wider if the step encoder adds a loss for each text.
            extras: Those of `keys`, `judged`, `labels`, `guide` and `source` (the dataset's number) that exist.
            number: The dataset that the batch is of. Default: `source` says it, if there are several.

        Returns:
            A scalar; NaN if a vector is not finite.
        """
        if number is None and len(self.pair_losses) > 1:
            ways = [partial(self.loss_of_batch, embeddings, extras, one) for one in range(len(self.pair_losses))]
            return tf.switch_case(extras["source"], ways)
        dim = self.encoder.output_shape[-1]
        loss = self._loss_of_vectors(embeddings[..., :dim], extras, number or 0)
        if embeddings.shape[-1] > dim:
            loss += tf.reduce_mean(embeddings[..., dim:])
        # A comparison with NaN is False, so many losses would be 0 for a vector of NaN.
        return loss + tf.where(tf.reduce_all(tf.math.is_finite(embeddings)), 0.0, float("nan"))

    def _loss_of_vectors(self, embeddings: Any, extras: Mapping[str, Any], number: int) -> Any:
        columns = self.columns_of[number]
        truth = {}
        if self.labels_of[number]:
            truth["labels"] = extras["labels"][:, : self.labels_of[number]]
        if "guide" in extras:
            truth["guide"] = extras["guide"][:, :columns]
        if self.mask_false_negatives and "keys" in extras and columns > 1:  # one column has no documents
            truth["masked"] = false_negative_mask(extras["keys"][:, :columns], extras["judged"])
        # `call`, as calling a Keras loss divides by the number of replicas: this is already the global batch's loss.
        return tf.reduce_mean(self.pair_losses[number].call(truth, embeddings[:, :columns]))

    def _for_each(self, value: int | Sequence[int]) -> list[int]:
        return list(value) if isinstance(value, Sequence) else [value] * len(self.pair_losses)
