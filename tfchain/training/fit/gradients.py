"""Gradients of a loss over the whole global batch: plain, or by GradCache with the memory of a mini-batch.

Every replica encodes its own rows, gathers all rows' embeddings and computes the same loss of the whole batch. The
loss's gradient with respect to its own rows' embeddings then goes back through its own encoder, and the sum over the
replicas is the gradient that one process with the whole batch would have. The gather itself needs no gradient.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from tfchain.training.fit.recording import record_gradients

Batch = Mapping[str, Any]
LossOfBatch = Callable[[Any, Batch], Any]


def plain_gradients(
    encoder: keras.Model, batch: Batch, losses: Sequence[LossOfBatch], *, num_columns: int, scale: Callable[[Any], Any]
) -> tuple[Any, list[Any]]:
    """Computes loss and gradients with all rows encoded at once.

    Args:
        encoder: Model from `token_ids` and `padding_mask` to `(texts, dim)`.
        batch: This replica's rows, as `batches.BatchMaker` lays them out.
        losses: For each dataset a function from the embeddings of the global batch, float32 `(batch, columns, dim)`,
            and the tensors gathered with them, to the loss. Of several, the batch's `source` says which is meant.
        num_columns: Texts in a row.
        scale: The optimizer's `scale_loss`, for float16.

    Returns:
        The loss, and this replica's share of the gradient of each trainable weight; their sum over the replicas is the
        gradient.
    """
    encode = make_encode(encoder, num_calls=len(batch["chunks"]))
    with record_gradients() as tape:
        parts = [encode(ids, mask) for ids, mask in batch["chunks"]]
        embeddings = to_rows(tf.concat(parts, axis=0), batch["places"], num_columns)
    loss, gradient = embedding_gradient(embeddings, batch, losses)
    weights = [weight.value for weight in encoder.trainable_weights]
    return loss, to_dense(tape.gradient(embeddings, weights, output_gradients=scale(gradient)), weights)


def cached_gradients(
    encoder: keras.Model,
    batch: Batch,
    losses: Sequence[LossOfBatch],
    *,
    num_columns: int,
    scale: Callable[[Any], Any],
    mini_batch_size: int,
    trim: bool = True,
) -> tuple[Any, list[Any]]:
    """Computes loss and gradients by GradCache (Gao et al. 2021): the memory of a mini-batch, one more forward pass.

    First, all texts are encoded mini-batch by mini-batch without keeping activations. Then the loss and its gradient
    with respect to the embeddings are computed. Finally, each mini-batch is encoded again and its gradients are added
    up. Both passes see the same dropout masks: the generators are reset before the second pass.

    Args:
        encoder: As in `plain_gradients`.
        batch: As in `plain_gradients`.
        losses: As in `plain_gradients`.
        num_columns: As in `plain_gradients`.
        scale: As in `plain_gradients`.
        mini_batch_size: Texts encoded at once.
        trim: Whether a mini-batch is cut to its longest text; False if shapes must be fixed (TPU, XLA).
    """
    ((token_ids, padding_mask),) = batch["chunks"]  # sorted by length, (texts, length)
    num_texts = token_ids.shape[0] or tf.shape(token_ids)[0]  # a number if shapes are fixed: XLA needs it
    num_parts = (num_texts + mini_batch_size - 1) // mini_batch_size
    short = num_parts * mini_batch_size - num_texts
    length = token_ids.shape[1] or tf.shape(token_ids)[1]
    # Texts of a single token fill up the last mini-batch: pooling over no token would divide by zero.
    filler = tf.pad(tf.ones((short, 1), padding_mask.dtype), [[0, 0], [0, length - 1]])
    shape = (num_parts, mini_batch_size, length)
    token_ids = tf.reshape(tf.pad(token_ids, [[0, short], [0, 0]]), shape)
    padding_mask = tf.reshape(tf.concat([padding_mask, filler], axis=0), shape)

    def encode(number: Any) -> Any:
        ids, mask = token_ids[number], padding_mask[number]
        if trim:
            longest = tf.maximum(1, tf.reduce_max(tf.math.count_nonzero(mask, axis=1, dtype=tf.int32)))
            ids, mask = ids[:, :longest], mask[:, :longest]
        return encoder({"token_ids": ids, "padding_mask": mask}, training=True)

    generators = find_seed_generators(encoder)
    states = [tf.identity(generator.state.value) for generator in generators]
    dim = encoder.output_shape[-1]

    def forward(number: Any, parts: Any) -> tuple[Any, Any]:
        return number + 1, parts.write(number, encode(number))

    parts = tf.TensorArray(tf.float32, num_parts, element_shape=(mini_batch_size, dim))
    _, parts = tf.while_loop(lambda number, _: number < num_parts, forward, (0, parts), parallel_iterations=1)
    sorted_embeddings = tf.reshape(parts.stack(), (num_parts * mini_batch_size, dim))[:num_texts]
    embeddings = to_rows(sorted_embeddings, batch["places"], num_columns)
    loss, gradient = embedding_gradient(embeddings, batch, losses)

    # Back to the order by length; the filler texts at the end have no gradient.
    flat = tf.reshape(scale(gradient), (-1, dim))
    flat = tf.scatter_nd(batch["places"][:, None], flat, (num_parts * mini_batch_size, dim))
    of_parts = tf.reshape(flat, (num_parts, mini_batch_size, dim))
    weights = [weight.value for weight in encoder.trainable_weights]
    with tf.control_dependencies([loss]):
        for generator, state in zip(generators, states, strict=True):
            generator.state.assign(state)

    def backward(number: Any, sums: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        with record_gradients() as tape:
            part = encode(number)
        gradients = to_dense(tape.gradient(part, weights, output_gradients=of_parts[number]), weights)
        return number + 1, tuple(total + addend for total, addend in zip(sums, gradients, strict=True))

    zeros = tuple(tf.zeros(weight.shape, tf.float32) for weight in weights)
    _, sums = tf.while_loop(lambda number, _: number < num_parts, backward, (0, zeros), parallel_iterations=1)
    return loss, list(sums)


def embedding_gradient(embeddings: Any, batch: Batch, losses: Sequence[LossOfBatch]) -> tuple[Any, Any]:
    """The global batch's loss, and its gradient with respect to this replica's embeddings `(rows, columns, dim)`."""
    extras = {name: batch[name] for name in ("keys", "judged", "labels", "guide", "source") if name in batch}
    everything, extras, start = gather_rows(embeddings, extras)

    def differentiate(loss_of: LossOfBatch) -> tuple[Any, Any]:
        vectors = tf.identity(everything)
        with record_gradients() as tape:
            tape.watch(vectors)
            loss = loss_of(vectors, extras)
        gradient = tape.gradient(loss, vectors)
        return loss, tf.zeros_like(vectors) if gradient is None else tf.convert_to_tensor(gradient)

    if len(losses) == 1:
        loss, gradient = differentiate(losses[0])
    else:  # the gradient within the branch: through it, TensorFlow would hand on all that the branch computes
        branches = [partial(differentiate, loss_of) for loss_of in losses]
        loss, gradient = tf.switch_case(extras["source"], branches)
    return loss, gradient[start : start + tf.shape(embeddings)[0]]


def gather_rows(embeddings: Any, extras: Mapping[str, Any]) -> tuple[Any, dict[str, Any], Any]:
    """Gathers the rows of all replicas, in the replicas' order.

    Args:
        embeddings: This replica's, `(rows, columns, dim)`; replicas may have different numbers of rows.
        extras: Other tensors by name, with the same rows; scalars, which all replicas share, are not gathered.

    Returns:
        The embeddings and the extras of the global batch, and the number of this replica's first row.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return embeddings, dict(extras), 0

    def gather(value: Any) -> Any:
        gathered = context.all_gather(tf.identity(value), axis=0)  # the identity has a device, a batch's part has none
        return tf.ensure_shape(gathered, (None, *value.shape[1:]))  # unknown after a gather over several workers

    counts = gather(tf.shape(embeddings)[:1])
    start = tf.reduce_sum(counts[: context.replica_id_in_sync_group])
    gathered = {name: value if value.shape.rank == 0 else gather(value) for name, value in extras.items()}
    return gather(embeddings), gathered, start


def make_encode(encoder: keras.Model, *, num_calls: int) -> Callable[[Any, Any], Any]:
    """The encoder as a function; as a graph of its own if a step calls it several times, once for each rectangle.

    Tracing takes most of a training's start-up: one graph for all rectangles takes less of it; for a single rectangle a
    graph of its own gains nothing.
    """

    def encode(token_ids: Any, padding_mask: Any) -> Any:
        return encoder({"token_ids": token_ids, "padding_mask": padding_mask}, training=True)

    return encode if num_calls == 1 else tf.function(encode, reduce_retracing=True, autograph=False)


def to_rows(embeddings: Any, places: Any, num_columns: int) -> Any:
    """Puts embeddings of texts sorted by length back into `(rows, columns, dim)`."""
    return tf.reshape(tf.gather(embeddings, places), (-1, num_columns, embeddings.shape[-1]))


def to_dense(gradients: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
    """Makes gradients dense, as the norm of an embedding table's is wrong if rows repeat; None becomes zeros."""
    return [
        tf.zeros_like(weight) if gradient is None else tf.convert_to_tensor(gradient)
        for gradient, weight in zip(gradients, weights, strict=True)
    ]


def find_seed_generators(model: keras.Model) -> list[Any]:
    """The seed generators of a model's dropout layers, in order, without duplicates."""
    found = {}
    for layer in model._flatten_layers():
        for value in (getattr(layer, "seed_generator", None), *getattr(layer, "_seed_generators", ())):
            if value is not None:
                found[id(value)] = value
    return list(found.values())
