"""The Keras model that trains the towers: windows of histories in, a softmax over items, Keras' own loop."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.models.recommendation.features import ID
from tfchain.models.recommendation.towers import Towers
from tfchain.training.fit.divergence import is_loss_scaled
from tfchain.training.fit.keras_fit import FitOverWorkers
from tfchain.training.fit.recording import record_gradients
from tfchain.training.fit.training_hook import TrainingHook
from tfchain.training.recommendation.loss import RecommendationLoss, full_softmax, sampled_softmax


class Memory(TrainingHook):
    """The items of the last batches, with the vectors that they had; a checkpoint keeps it, as it keeps a hook.

    Args:
        size: How many items.
        dim: The width of the vectors.
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.size = size
        self.ids = keras.Variable(np.full(size, -1, "int32"), trainable=False, dtype="int32", name="memory_ids")
        self.vectors = keras.Variable(np.zeros((size, dim), "float32"), trainable=False, name="memory_vectors")

    def variables(self) -> list[Any]:
        return [self.ids, self.vectors]

    def remember(self, ids: Any, vectors: Any) -> None:
        """Puts the items of a batch first, in place of the oldest."""
        self.ids.assign(tf.concat([ids, self.ids.value], axis=0)[: self.size])
        self.vectors.assign(tf.concat([vectors, self.vectors.value], axis=0)[: self.size])


class RecommendationTrainer(FitOverWorkers, keras.Model):
    """Trains towers on windows of histories, in place.

    Args:
        towers: The towers.
        config: Their shape.
        loss: The loss.
        item_inputs: The inputs of all items, name → array.
        user_inputs: The inputs of all users; None if the model reads nothing of users.
        popularity: How often each item was taken, for the correction of samples, int64 `(items,)`.
        seed: The seed of the sample. Default: 0.
    """

    def __init__(
        self,
        towers: Towers,
        config: RecommendationConfig,
        loss: RecommendationLoss,
        *,
        item_inputs: Mapping[str, np.ndarray],
        user_inputs: Mapping[str, np.ndarray] | None,
        popularity: np.ndarray,
        seed: int = 0,
    ) -> None:
        super().__init__(dtype="float32")
        self.encoder = towers
        self.config = config
        self.item_loss = loss
        self.num_items = len(item_inputs[ID])
        self.seed = seed
        with tf.init_scope():
            self._item_inputs = {name: tf.constant(array) for name, array in item_inputs.items()}
            self._user_inputs = (
                None if user_inputs is None else {name: tf.constant(array) for name, array in user_inputs.items()}
            )
            share = (popularity + 1) / (popularity + 1).sum()
            self._log_q = tf.constant(np.log(share), tf.float32)
        if loss.memory:
            self.hooks = (Memory(loss.memory, config.vector_dim),)
        self.loss_tracker = keras.metrics.Mean(name="loss", dtype="float32")
        self.built = True

    @property
    def metrics(self) -> list[Any]:
        return [self.loss_tracker]

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.encoder(inputs, training=training)

    def train_step(self, data: Mapping[str, Any]) -> dict[str, Any]:
        context = tf.distribute.get_replica_context()
        rows = tf.reduce_sum(tf.cast(data["counts"], tf.float32))
        several = context.num_replicas_in_sync > 1
        all_rows = context.all_reduce(tf.distribute.ReduceOp.SUM, rows) if several else rows
        with record_gradients() as tape:
            losses, taken = self.losses_of(data)
            loss = tf.reduce_sum(losses) / tf.maximum(all_rows, 1.0)
            scaled = self.optimizer.scale_loss(loss)
        weights = self.encoder.trainable_weights
        # A table of which a step reads a part has gradients of that part; the optimizer's op takes whole ones.
        gradients = [
            tf.zeros_like(weight) if gradient is None else tf.convert_to_tensor(gradient)
            for weight, gradient in zip(weights, tape.gradient(scaled, weights), strict=True)
        ]
        if several:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            loss = context.all_reduce(tf.distribute.ReduceOp.SUM, loss)
        self.optimizer.apply(gradients, weights)
        if taken is not None:
            self.hooks[0].remember(*taken)
        if is_loss_scaled(self.optimizer):  # a skipped step changes nothing, but would make the mean NaN
            is_finite = tf.math.is_finite(loss)
            loss, all_rows = tf.where(is_finite, loss, 0.0), tf.where(is_finite, all_rows, 0.0)
        self.loss_tracker.update_state(loss, sample_weight=all_rows)
        return self.to_logs({"loss": self.loss_tracker.result()})

    def losses_of(self, data: Mapping[str, Any], *, training: bool = True) -> tuple[Any, tuple[Any, Any] | None]:
        """Returns the loss of each item that counts, and the items that the memory takes up, with their vectors.

        Args:
            data: A batch of windows: `items`, `counts`, `user`.
            training: Whether ids and vectors are dropped. Default: True.
        """
        items = tf.maximum(data["items"], 0)
        targets = tf.boolean_mask(items, data["counts"])
        if self.item_loss.name == "full_softmax":
            vectors = self.encoder.items(dict(self._item_inputs), training=training)  # (items, dim)
            users = self._users(vectors, items, data, training=training)
            smoothing = self.item_loss.label_smoothing
            excluded = tf.gather(self._own_items(data), tf.where(data["counts"])[:, 0])  # (counted, items)
            return full_softmax(users, vectors, targets, excluded, label_smoothing=smoothing), None
        drawn = self._draw()
        needed, places = tf.unique(tf.concat([tf.reshape(items, [-1]), drawn], axis=0))
        inputs = {name: tf.gather(array, needed) for name, array in self._item_inputs.items()}
        vectors = self.encoder.items(inputs, training=training)
        shape = tf.shape(items)
        own = tf.reshape(places[: tf.size(items)], shape)
        users = self._users(vectors, own, data, training=training)
        return self._sampled(data, users, vectors, tf.boolean_mask(own, data["counts"]), needed, targets)

    def _own_items(self, data: Mapping[str, Any]) -> Any:
        """Returns which items are in each window, booleans `(batch, items)`."""
        there = data["items"] >= 0
        places = tf.stack([tf.cast(tf.where(there)[:, 0], tf.int32), tf.boolean_mask(data["items"], there)], axis=1)
        shape = [tf.shape(data["items"])[0], self.num_items]
        return tf.scatter_nd(places, tf.ones(tf.shape(places)[0], tf.int32), shape) > 0

    def _draw(self) -> Any:
        """Returns items drawn at random, the same after a training was resumed, int32 `(num_negatives,)`."""
        optimizer: Any = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int64)
        seed = tf.stack([tf.cast(self.seed, tf.int64) * 1024 + replica, tf.cast(optimizer.iterations.value, tf.int64)])
        shape = [self.item_loss.num_negatives]
        return tf.random.stateless_uniform(shape, seed, maxval=self.num_items, dtype=tf.int32)

    def _users(self, vectors: Any, places: Any, data: Mapping[str, Any], *, training: bool) -> Any:
        """Returns the vectors of the users before each item that counts, float32 `(counted, vector_dim)`."""
        width = tf.shape(places)[1]
        made = None
        if self.encoder.history_encoder is not None:
            history = tf.gather(vectors[:, : self.config.dim], places[:, :-1])  # (batch, length, dim)
            made = self.encoder.history_encoder(history, training=training)
        if self.encoder.users is not None and self._user_inputs is not None:
            inputs = {name: tf.gather(array, data["user"]) for name, array in self._user_inputs.items()}
            known = self.encoder.users(inputs, training=training)[:, None]
            made = tf.repeat(known, width, axis=1) if made is None else made + known
        users = tf.cast(tf.boolean_mask(made, data["counts"]), tf.float32)
        return tf.pad(users, [[0, 0], [0, 1]], constant_values=1.0) if self.config.bias else users

    def _sampled(
        self, data: Mapping[str, Any], users: Any, vectors: Any, own: Any, needed: Any, targets: Any
    ) -> tuple[Any, Any]:
        """The loss over a sample: the items that the batch's users took, those drawn at random, those remembered."""
        loss = self.item_loss
        is_taken = tf.scatter_nd(own[:, None], tf.ones_like(own), [tf.size(needed)]) > 0
        drawn_only = tf.logical_not(is_taken)
        uniform = tf.fill([tf.size(needed)], -tf.math.log(tf.cast(self.num_items, tf.float32)))
        log_q = tf.where(drawn_only, uniform, tf.gather(self._log_q, needed))
        ids, candidates = needed, vectors
        if loss.memory:
            memory: Memory = self.hooks[0]
            ids = tf.concat([ids, memory.ids.value], axis=0)
            candidates = tf.concat([candidates, memory.vectors.value], axis=0)
            log_q = tf.concat([log_q, tf.gather(self._log_q, tf.maximum(memory.ids.value, 0))], axis=0)
        of_targets = tf.gather(self._log_q, targets)
        if not loss.log_q:
            log_q, of_targets = tf.zeros_like(log_q), tf.zeros_like(of_targets)
        in_window = tf.reduce_any(data["items"][:, :, None] == ids[None, None, :], axis=1)  # (batch, candidates)
        excluded = tf.gather(in_window, tf.where(data["counts"])[:, 0]) | (ids < 0)[None]
        losses = sampled_softmax(
            *(users, tf.gather(vectors, own), candidates, excluded, log_q),
            log_q_of_targets=of_targets,
            num_hard=loss.num_hard,
            label_smoothing=loss.label_smoothing,
        )
        if not loss.memory:
            return losses, None
        return losses, (tf.boolean_mask(needed, is_taken), tf.stop_gradient(tf.boolean_mask(vectors, is_taken)))
