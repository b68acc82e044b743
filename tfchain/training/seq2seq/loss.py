"""Cross entropy with label smoothing over the tokens of targets."""

from typing import Any

import tensorflow as tf


def smoothed_cross_entropy(logits: Any, labels: Any, *, smoothing: float = 0.0) -> Any:
    """Computes the loss of each token.

    The target distribution of a token puts 1 - ε on the right id, and spreads ε over all ids of the vocabulary evenly
    (Szegedy et al. 2016, section 7; Vaswani et al. 2017 use ε = 0.1). With z the logits and V the vocabulary's size::

        loss = (1 - ε)·(-log p_right) + ε/V·Σ(-log p_id) = -log p_right + ε·(z_right - mean z)

    transformers' `LabelSmoother` computes the first form. A forced probability 0, a logit of minus infinity, is not
    for training.

    Args:
        logits: float `(rows, tokens, V)`.
        labels: int32 `(rows, tokens)`, negative where there is no token.
        smoothing: ε, in [0, 1). Default: 0.

    Returns:
        float32 `(rows, tokens)`, 0 where there is no token.
    """
    logits = tf.cast(logits, tf.float32)
    is_token = labels >= 0
    ids = tf.where(is_token, labels, 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(ids, logits)
    if smoothing:
        right = tf.gather(logits, ids, axis=-1, batch_dims=2)
        losses += smoothing * (right - tf.reduce_mean(logits, axis=-1))
    return tf.where(is_token, losses, 0.0)
