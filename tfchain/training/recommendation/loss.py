"""Softmaxes over items: over all of them, or over a sample that is corrected for how it was drawn."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import tensorflow as tf

from tfchain.core.checks import check_known_settings, check_whole_number
from tfchain.core.errors import InputError

LossName = Literal["full_softmax", "sampled_softmax"]
MOST_FOR_FULL = 50_000  # items, above which the default is a sample
MASKED = -1e9


@dataclass(frozen=True, kw_only=True)
class RecommendationLoss:
    """How the item that a user took is told from the others.

    `full_softmax` compares with all items, which is exact and best as long as the products fit: a step of 1,000
    positions and 10,000 items takes 40 MB. `sampled_softmax` compares with the other items of the batch, items drawn at
    random and items of earlier batches.

    Args:
        name: `full_softmax` or `sampled_softmax`. Default: `full_softmax`.
        num_negatives: Items drawn at random for a step, each as likely, for `sampled_softmax`. Default: 512.
        memory: Items of earlier batches that are compared with as well, by the vectors that they had (Wang et al. 2021,
            Cross-Batch Negative Sampling). Default: 0.
        num_hard: Compares each user with this many of the negatives that score best (keras-rs'
            `HardNegativeMining`). Default: None, all negatives.
        log_q: Whether the scores are corrected by the logarithm of how likely an item is to be drawn, as popular items
            are in most batches (Yi et al. 2019, Sampling-Bias-Corrected Neural Modeling). Default: True.
        label_smoothing: The part of the target that is spread over all compared items, in [0, 1). Default: 0.

    Raises:
        InputError: if a value is out of range, or belongs to the other loss.
    """

    name: LossName = "full_softmax"
    num_negatives: int = 512
    memory: int = 0
    num_hard: int | None = None
    log_q: bool = True
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in get_args(LossName):
            raise InputError(
                f"`loss` of a recommendation must be one of {', '.join(get_args(LossName))}. Received: {self.name!r}."
            )
        for name, least in (("num_negatives", 0), ("memory", 0)):
            object.__setattr__(self, name, check_whole_number(name, getattr(self, name), least=least))
        if self.num_hard is not None:
            object.__setattr__(self, "num_hard", check_whole_number("num_hard", self.num_hard))
        value = self.label_smoothing
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise InputError(f"`label_smoothing` must be in [0, 1). Received: label_smoothing={value!r}.")
        if self.name == "full_softmax" and (self.memory or self.num_hard is not None):
            raise InputError(
                "`memory` and `num_hard` choose among negatives of a sample; full_softmax has all of them. Received: "
                f"memory={self.memory}, num_hard={self.num_hard}. Use name='sampled_softmax', or leave them out."
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return dataclasses.asdict(self)


def get_loss(given: Any, *, num_items: int) -> RecommendationLoss:
    """Returns the loss for what a user gives.

    Args:
        given: A `RecommendationLoss`, its name, a dict of its arguments, or None for `full_softmax`, and
            `sampled_softmax` above 50,000 items.
        num_items: The items that are trained on.

    Raises:
        InputError: if it is something else.
    """
    if isinstance(given, RecommendationLoss):
        return given
    if given is None:
        return RecommendationLoss(name="full_softmax" if num_items <= MOST_FOR_FULL else "sampled_softmax")
    if isinstance(given, str):
        return RecommendationLoss(name=given)  # type: ignore[arg-type]
    if isinstance(given, Mapping):
        check_known_settings(given, [field.name for field in dataclasses.fields(RecommendationLoss)])
        return RecommendationLoss(**given)
    raise InputError(
        f"`loss` of a recommendation must be one of {', '.join(get_args(LossName))}, a dict of its arguments, or a "
        f"RecommendationLoss. Received: {given!r:.100}."
    )


def full_softmax(users: Any, items: Any, targets: Any, excluded: Any, *, label_smoothing: float = 0.0) -> Any:
    """The cross-entropy of each user's item among all items, float32 `(users,)`.

    Args:
        users: Vectors, float32 `(users, dim)`.
        items: Vectors of all items, float32 `(items, dim)`.
        targets: The row of each user's item, int32 `(users,)`.
        excluded: Which items do not count as negatives of a user, such as those that the user takes, too, booleans
            `(users, items)`. Items of the history are left out of recommendations: a model that had to score them
            low as well would have to score what is like them low.
        label_smoothing: As in `RecommendationLoss`. Default: 0.
    """
    logits = tf.matmul(users, items, transpose_b=True)  # (users, items)
    return _cross_entropy(logits, tf.one_hot(targets, tf.shape(items)[0]), excluded, label_smoothing)


def _cross_entropy(logits: Any, labels: Any, excluded: Any, label_smoothing: float) -> Any:
    """The cross-entropy of labels, each row with one 1, among the logits that are not excluded; a label's never is."""
    excluded &= labels == 0
    logits = tf.where(excluded, tf.constant(MASKED, logits.dtype), logits)
    if label_smoothing:
        real = tf.cast(tf.logical_not(excluded), logits.dtype)
        labels = (1 - label_smoothing) * labels + label_smoothing * real / tf.reduce_sum(real, axis=-1, keepdims=True)
    return tf.nn.softmax_cross_entropy_with_logits(labels, logits)


def sampled_softmax(
    users: Any,
    positives: Any,
    candidates: Any,
    excluded: Any,
    log_q: Any,
    *,
    log_q_of_targets: Any,
    num_hard: int | None = None,
    label_smoothing: float = 0.0,
) -> Any:
    """The cross-entropy of each user's item among itself and a sample of others, float32 `(users,)`.

    Args:
        users: Vectors, float32 `(users, dim)`.
        positives: The vectors of their items, float32 `(users, dim)`.
        candidates: The vectors of the sample, float32 `(candidates, dim)`.
        excluded: Which candidates are no negatives of a user, such as the user's own item, booleans `(users,
            candidates)`.
        log_q: The logarithm of how likely each candidate is to be drawn, float32 `(candidates,)`; 0 for no correction.
        log_q_of_targets: The same of the users' items, float32 `(users,)`.
        num_hard: How many of the best negatives count. Default: None, all.
        label_smoothing: As in `RecommendationLoss`. Default: 0.
    """
    positive = tf.reduce_sum(users * positives, axis=-1) - log_q_of_targets
    negative = tf.matmul(users, candidates, transpose_b=True) - log_q  # (users, candidates)
    labels = tf.concat([tf.ones_like(positive)[:, None], tf.zeros_like(negative)], axis=1)
    logits = tf.concat([positive[:, None], tf.where(excluded, tf.constant(MASKED, negative.dtype), negative)], axis=1)
    if num_hard is not None:
        from keras_rs.layers import HardNegativeMining

        logits, labels = HardNegativeMining(num_hard)(logits, labels)
    return _cross_entropy(logits, labels, logits <= MASKED / 2, label_smoothing)
