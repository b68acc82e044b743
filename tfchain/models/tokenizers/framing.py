"""What every graph tokenizer does with token ids: truncates them, puts tokens around each text, and pads."""

from dataclasses import dataclass

import tensorflow as tf

from tfchain.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Framing:
    """Makes an encoder's input of the token ids of texts, inside a graph.

    Args:
        prefix_ids: The ids put before each text.
        suffix_ids: The ids put after each text.
        pad_id: The id that pads shorter texts.
        truncation_side: The side at which longer texts are truncated, `right` or `left`. Default: `right`.

    Raises:
        InputError: if `truncation_side` is unknown.
    """

    prefix_ids: tuple[int, ...]
    suffix_ids: tuple[int, ...]
    pad_id: int
    truncation_side: str = "right"

    def __post_init__(self) -> None:
        if self.truncation_side not in ("left", "right"):
            raise InputError(f"`truncation_side` must be 'left' or 'right'. Received: {self.truncation_side!r}.")

    @property
    def num_added_tokens(self) -> int:
        """The number of tokens put around each text."""
        return len(self.prefix_ids) + len(self.suffix_ids)

    def __call__(self, ragged: tf.RaggedTensor, max_length: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Truncates, adds prefix and suffix, and pads to the longest.

        Args:
            ragged: The token ids of each text, int32 `(batch, (tokens))`.
            max_length: The maximum number of tokens, prefix and suffix included.

        Returns:
            `token_ids` and `padding_mask` (1 for a token, 0 for padding), int32 `(batch, longest)`.

        Raises:
            InputError: if `max_length` leaves no room for prefix and suffix.
        """
        room = max_length - self.num_added_tokens
        if room < 0:
            raise InputError(
                f"`max_length` must be at least {self.num_added_tokens}, the number of tokens put around each text. "
                f"Received: max_length={max_length}."
            )
        with tf.device("/CPU:0"), tf.name_scope("pad"):
            kept = tf.minimum(tf.cast(ragged.row_lengths(), tf.int32), room)  # (batch,)
            if self.truncation_side == "left":
                ragged = _take_last(ragged, kept)
            width = tf.maximum(tf.reduce_max(kept), 0)  # the maximum of an empty batch is negative
            tokens = ragged.to_tensor(self.pad_id, shape=tf.stack([-1, width]))
            before = tf.fill([tf.size(kept), len(self.prefix_ids)], self.pad_id)
            after = tf.fill([tf.size(kept), len(self.suffix_ids)], self.pad_id)
            token_ids = tf.concat([before, tokens, after], 1)  # (batch, longest)
            positions = tf.expand_dims(tf.range(width + self.num_added_tokens), 0)
            lengths = tf.expand_dims(kept + len(self.prefix_ids), 1)
            for index, token_id in enumerate(self.prefix_ids):
                token_ids = tf.where(positions == index, token_id, token_ids)
            for index, token_id in enumerate(self.suffix_ids):
                token_ids = tf.where(positions == lengths + index, token_id, token_ids)
            padding_mask = tf.cast(positions < lengths + len(self.suffix_ids), tf.int32)
            return token_ids, padding_mask


def _take_last(ragged: tf.RaggedTensor, kept: tf.Tensor) -> tf.RaggedTensor:
    """Returns the last values of each row; `kept`, int32 `(batch,)`, is their number."""
    ends = tf.cast(ragged.row_splits[1:], tf.int32)
    places = tf.ragged.range(ends - kept, ends)
    return places.with_values(tf.gather(ragged.values, places.values))
