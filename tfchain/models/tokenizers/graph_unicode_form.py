"""A normal form of Unicode inside a graph, from the tables of unicode_forms.py."""

import tensorflow as tf

from tfchain.models.tokenizers.code_points import CharacterMap, CodePoints, CodePointTable, PairTable, previous
from tfchain.models.tokenizers.unicode_forms import UnicodeForm

_MOST_RANKS = 256


class GraphUnicodeForm:
    """Brings texts into a normal form: a step of a normalizer.

    Args:
        form: The form's tables.
    """

    def __init__(self, form: UnicodeForm) -> None:
        self._decompose = CharacterMap(form.decompositions)
        self._ranks = CodePointTable(form.ranks)
        self._pairs = PairTable(form.compositions) if form.compositions else None

    def __call__(self, points: CodePoints) -> CodePoints:
        decomposed = self._decompose(points)
        ranks = self._ranks.look_up(decomposed.values)
        row_splits = decomposed.row_splits
        begins = decomposed.begins
        values, ranks = _sort_marks(decomposed.values, ranks, begins)
        if self._pairs is None:
            return CodePoints(values, row_splits)
        return _compose(CodePoints(values, row_splits), ranks, self._pairs)


def _sort_marks(values: tf.Tensor, ranks: tf.Tensor, begins: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sorts each run of marks by rank, and leaves marks of equal rank in their order."""
    is_later = (previous(ranks, 0) > ranks) & (ranks > 0) & ~begins

    def sort() -> tuple[tf.Tensor, tf.Tensor]:
        run = tf.cumsum(tf.cast((ranks == 0) | begins, tf.int32))
        order = tf.argsort(run * _MOST_RANKS + ranks, stable=True)
        return tf.gather(values, order), tf.gather(ranks, order)

    sorted_values, sorted_ranks = tf.cond(tf.reduce_any(is_later), sort, lambda: (values, ranks))
    return sorted_values, sorted_ranks


def _compose(points: CodePoints, ranks: tf.Tensor, pairs: PairTable) -> CodePoints:
    """Composes characters with the marks and vowels after them, one for each character in a turn.

    In a turn, each character that is no mark takes the first of the marks after it that it composes with. A mark counts
    if the one before it has a lower rank. Marks that have been passed over do not count any more.
    """
    rows = tf.ragged.row_splits_to_segment_ids(points.row_splits, out_type=tf.int64)
    none = tf.zeros_like(points.values, tf.bool)

    def compose(
        values: tf.Tensor, ranks: tf.Tensor, rows: tf.Tensor, passed: tf.Tensor, _: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        places = tf.range(tf.size(values))
        begins = rows != previous(rows, -1)
        opens = begins | (ranks == 0)  # a character with its marks
        heads = tf.gather(tf.where(opens)[:, 0], tf.cumsum(tf.cast(opens, tf.int32)) - 1)
        heads = tf.where(ranks == 0, tf.maximum(places - 1, 0), tf.cast(heads, tf.int32))  # what it may compose with
        before = previous(ranks, 0)
        is_near = (before == 0) | ((ranks > 0) & (before < ranks))
        counts = ~begins & ~passed & is_near & (tf.gather(ranks, heads) == 0)
        composed = tf.where(counts, pairs.look_up(tf.gather(values, heads), values), 0)
        # The second of a pair is no first of another one in the same turn.
        free = (composed > 0) & ~tf.gather(composed > 0, heads)
        number = tf.cumsum(tf.cast(free, tf.int32))
        taken = free & (number == tf.gather(number, heads) + 1)
        taken_places = tf.boolean_mask(places, taken)[:, tf.newaxis]
        taken_heads = tf.boolean_mask(heads, taken)[:, tf.newaxis]
        values = tf.tensor_scatter_nd_update(values, taken_heads, tf.boolean_mask(composed, taken))
        reached = tf.tensor_scatter_nd_update(tf.zeros_like(places), taken_heads, taken_places[:, 0])
        passed = passed | ((ranks > 0) & (places < tf.gather(reached, heads)))
        left = tf.where(~taken)[:, 0]
        parts = (tf.gather(part, left) for part in (values, ranks, rows, passed))
        return *parts, tf.reduce_any(taken)

    vector = tf.TensorShape([None])
    values, _, rows, _, _ = tf.while_loop(
        lambda *parts: parts[-1],
        compose,
        (points.values, ranks, rows, none, tf.size(points.values) > 0),
        shape_invariants=(vector, vector, vector, vector, tf.TensorShape([])),
    )
    batch = tf.size(points.row_splits, tf.int64)
    return CodePoints(values, tf.searchsorted(rows, tf.range(batch), out_type=tf.int64))
