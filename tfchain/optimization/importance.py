"""What an encoder's heads and feed-forward units contribute on texts, and how the kept ones make up for the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.progress import show_progress
from tfchain.models.encoders.anatomy import find_block, list_transformer_shapes, name_layer
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.encoders.walk import walk_transformer
from tfchain.models.engines.padding import pad
from tfchain.models.text_encoder import TextEncoder
from tfchain.runtime.fork import check_tensorflow_runs
from tfchain.runtime.token_batches import make_batches

TEXTS_AT_ONCE = 256
DAMPING = 1e-4  # times the features' mean square; keeps features that hardly vary from getting extreme weights


@dataclass(frozen=True)
class Moments:
    """Second moments of a product's inputs, over the tokens of some texts.

    Args:
        features: Σ xᵀx with x = (features, 1), float64 `(dim + 1, dim + 1)`; the last row and column hold the sums, and
            the corner holds the number of tokens.
    """

    features: np.ndarray

    @property
    def num_tokens(self) -> float:
        """The number of tokens seen."""
        return float(self.features[-1, -1])


def measure_moments(
    text_encoder: TextEncoder, texts: Sequence[str], *, progress: bool | None = None
) -> dict[str, Moments]:
    """Runs texts through the encoder and sums what its layers compute; memory does not grow with the number of texts.

    Args:
        text_encoder: A text encoder whose encoder is one of tfchain's own.
        texts: A few hundred texts of the kind that the model is for.
        progress: Whether to show a progress bar. Default: when the work takes more than a second.

    Returns:
        The path of a product that reads groups of features, such as `layer_0/attention/output`, → the moments of its
        input.
    """
    import tensorflow as tf

    check_tensorflow_runs()
    encoder: Encoder = text_encoder.own_encoder
    config = encoder.config.transformer
    block, shapes = find_block(config), list_transformer_shapes(config)
    readers = [
        f"{name_layer(number)}/{group.reader}"
        for number in range(config.num_layers)
        for group in block.list_groups(config, number)
    ]
    widths = [shapes[f"{path}/kernel"][0] for path in readers]
    sums = {path: np.zeros((width + 1, width + 1)) for path, width in zip(readers, widths, strict=True)}

    @tf.function(reduce_retracing=True)
    def add_up(token_ids: Any, padding_mask: Any) -> dict[str, Any]:
        is_token = tf.reshape(padding_mask, [-1]) > 0
        products = {}

        def visit(path: str, rows: Any) -> None:
            if path in sums:
                rows = tf.cast(tf.boolean_mask(rows, is_token), "float32")
                rows = tf.concat([rows, tf.ones_like(rows[:, :1])], axis=1)
                products[path] = tf.matmul(rows, rows, transpose_a=True)

        walk_transformer(config, encoder.get_layer, token_ids, padding_mask, training=False, visit=visit)
        return products

    token_ids = text_encoder.tokenizer(list(texts))
    with show_progress(len(token_ids), "measuring layers", shown=progress) as advance:
        for rows in make_batches(np.array([len(ids) for ids in token_ids]), TEXTS_AT_ONCE):
            ids, mask = pad([token_ids[row] for row in rows], text_encoder.tokenizer.pad_token_id)
            for path, product in add_up(ids, mask).items():
                sums[path] += product.numpy()
            advance(len(rows))
    return {path: Moments(features) for path, features in sums.items()}


def rank_groups(moments: Moments, kernel: np.ndarray, group_width: int) -> np.ndarray:
    """How much each group of features adds to the product's output: the mean square of its part.

    Args:
        moments: The moments of the product's input.
        kernel: The product's weights, `(features, out)`.
        group_width: Features of a group: a head's width, or 1 for feed-forward units.

    Returns:
        One number for each group, `(features / group_width,)`; the group with the smallest goes first.
    """
    groups = len(kernel) // group_width
    ranks = np.empty(groups)
    for group in range(groups):
        part = slice(group * group_width, (group + 1) * group_width)
        weights = kernel[part].astype("float64")
        ranks[group] = np.sum((moments.features[part, part] @ weights) * weights) / moments.num_tokens
    return ranks


def refit(
    moments: Moments, kernel: np.ndarray, bias: np.ndarray | None, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the weights and bias with which the kept features alone best approximate the output of all features.

    Least squares over the tokens that were seen: the kept features make up for the others as far as they can, and the
    bias absorbs the others' mean.

    Args:
        moments: The moments of the product's input.
        kernel: The product's weights, `(features, out)`.
        bias: Its bias, `(out,)`; None if it has none.
        kept: Indices of the kept features.

    Returns:
        Weights `(kept, out)` and bias `(out,)`, float32; the bias is None if there was none.
    """
    with_one = kept if bias is None else np.append(kept, len(kernel))
    inner = moments.features[np.ix_(with_one, with_one)].copy()
    offset = np.zeros(kernel.shape[1]) if bias is None else bias.astype("float64")
    whole = np.concatenate([kernel.astype("float64"), offset[None]])
    # Damped towards the current weights, not towards 0: where the texts give no information, nothing changes.
    damping = DAMPING * max(float(np.mean(np.diag(inner)[: len(kept)])), 1e-12)
    inner[np.diag_indices(len(kept))] += damping
    target = moments.features[with_one] @ whole
    target[: len(kept)] += damping * whole[kept]
    solved = np.linalg.solve(inner, target).astype("float32")
    return (solved, None) if bias is None else (solved[:-1], solved[-1])
