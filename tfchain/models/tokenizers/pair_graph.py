"""A tokenizer of pairs as a TensorFlow graph: the ids that `PairTokenizer` gives, without Python."""

from typing import Any

import tensorflow as tf

from tfchain.models.tokenizers.pairs import PAIR, PairTokenizer
from tfchain.models.tokenizers.prompted_pairs import PromptedPairTokenizer


class PairGraphTokenizer(tf.Module):  # it holds resources of the tokenizer's, which are saved with a module
    """Turns joined pairs into token ids inside a graph.

    Args:
        tokenizer: The graph of single texts: `tokenize` from texts to ragged ids without special tokens, and `pad_id`.
        host: The tokenizer in Python, for its template, its token types and its side of truncation.
    """

    def __init__(self, tokenizer: Any, host: PairTokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self.template = host.template
        self._offset = host.type_offset
        self._cuts_left = getattr(host.source, "truncation_side", "right") == "left"
        self.pad_id = host.pad_token_id

    @property
    def single(self) -> Any:
        """The graph of single texts."""
        return self._tokenizer

    def tokenize(self, texts: Any) -> Any:
        """Returns the ids of single texts, without special tokens and without truncation: int32 `(batch, (pieces))`."""
        return self._tokenizer.tokenize(texts)

    def __call__(self, texts: Any, max_length: int) -> tuple[Any, Any]:
        """Tokenizes joined pairs, and single texts among them.

        Args:
            texts: string `(batch,)`, UTF-8.
            max_length: The maximum number of tokens.

        Returns:
            `token_ids` and `padding_mask`, int32 `(batch, longest)`.
        """
        with tf.device("/CPU:0"), tf.name_scope("pairs"):
            first, second, is_pair = split_pairs(texts)
            return self.join(self.tokenize(first), self.tokenize(second), max_length, is_pair)

    def join(self, first: Any, second: Any, max_length: int, is_pair: Any = None) -> tuple[Any, Any]:
        """Joins the ids of two texts: truncated, the longer first, with special tokens and token types, padded.

        Args:
            first: The ids of each first text, ragged int32 `(batch, (tokens))`.
            second: The same of each second text.
            max_length: The maximum number of tokens.
            is_pair: Booleans `(batch,)`, False for a single text. Default: all are pairs.

        Returns:
            `token_ids` and `padding_mask`, int32 `(batch, longest)`.
        """
        template = self.template
        batch = first.nrows(out_type=tf.int32)
        pairs = tf.fill([batch], True) if is_pair is None else is_pair
        num_single = len(template.before) + len(template.after_single)
        room = tf.where(pairs, max_length - template.num_tokens, max_length - num_single)
        kept_first, kept_second = share_room(
            tf.cast(first.row_lengths(), tf.int32), tf.cast(second.row_lengths(), tf.int32), room
        )
        parts = [
            _repeat(template.before, tf.fill([batch], True)),
            self._cut(first, kept_first),
            _repeat(template.between, pairs),
            self._raise(self._cut(second, kept_second)),
            self._raise(_repeat(template.after, pairs)),
            _repeat(template.after_single, tf.logical_not(pairs)),
        ]
        joined = tf.concat(parts, axis=1)
        token_ids = joined.to_tensor(self.pad_id)
        return token_ids, tf.sequence_mask(joined.row_lengths(), tf.shape(token_ids)[1], tf.int32)

    def _cut(self, ragged: Any, kept: Any) -> Any:
        starts, ends = (tf.cast(bounds, tf.int32) for bounds in (ragged.row_splits[:-1], ragged.row_splits[1:]))
        places = tf.ragged.range(ends - kept, ends) if self._cuts_left else tf.ragged.range(starts, starts + kept)
        cut = places.with_values(tf.gather(ragged.values, places.values))
        return cut.with_row_splits_dtype(tf.int64)

    def _raise(self, ragged: Any) -> Any:
        return ragged.with_values(ragged.values + self._offset) if self._offset else ragged


class PromptedPairGraphTokenizer(tf.Module):
    """Turns joined pairs into the token ids of a prompt inside a graph, as `PromptedPairTokenizer` does.

    Args:
        tokenizer: As for `PairGraphTokenizer`.
        host: The tokenizer in Python, for its prompt and its side of truncation.
    """

    def __init__(self, tokenizer: Any, host: PromptedPairTokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._prompt = host.prompt
        self._end = host.end
        self._cuts_left = getattr(host.source, "truncation_side", "right") == "left"
        self.pad_id = host.pad_token_id

    def __call__(self, texts: Any, max_length: int) -> tuple[Any, Any]:
        """Tokenizes joined pairs; see `PairGraphTokenizer`.

        Args:
            texts: string `(batch,)`, UTF-8.
            max_length: The maximum number of tokens.

        Returns:
            `token_ids` and `padding_mask`, int32 `(batch, longest)`.
        """
        with tf.device("/CPU:0"), tf.name_scope("prompted_pairs"):
            first, second, _ = split_pairs(texts)
            before, between, after = self._prompt
            ids = self._tokenizer.tokenize(tf.strings.join([before, first, between, second, after]))
            starts, ends = (tf.cast(bounds, tf.int32) for bounds in (ids.row_splits[:-1], ids.row_splits[1:]))
            is_over = ends - starts > max_length
            starts = tf.where(is_over, ends - max_length, starts) if self._cuts_left else starts
            places = tf.ragged.range(starts, tf.where(is_over, starts + max_length - len(self._end), ends))
            kept = places.with_values(tf.gather(ids.values, places.values)).with_row_splits_dtype(tf.int64)
            joined = tf.concat([kept, _repeat(self._end, is_over)], axis=1)
            token_ids = joined.to_tensor(self.pad_id)
            return token_ids, tf.sequence_mask(joined.row_lengths(), tf.shape(token_ids)[1], tf.int32)


def split_pairs(texts: Any) -> tuple[Any, Any, Any]:
    """Splits joined pairs.

    Args:
        texts: string `(batch,)`.

    Returns:
        The first texts and the second ones, string `(batch,)`, and which are pairs. A single text's second is empty.
    """
    # `\C` is any byte: a text need not be UTF-8.
    first = tf.strings.regex_replace(texts, f"{PAIR}\\C*$", "", replace_global=False)
    second = tf.strings.regex_replace(texts, f"^\\C*?{PAIR}", "", replace_global=False)
    is_pair = tf.not_equal(tf.strings.length(first), tf.strings.length(texts))
    return first, tf.where(is_pair, second, ""), is_pair


def share_room(first: Any, second: Any, room: Any) -> tuple[Any, Any]:
    """Returns how many tokens are kept of the two texts of a pair, as `longest_first` in Hugging Face's tokenizers.

    Args:
        first: The first texts' tokens, int32 `(batch,)`.
        second: The second texts' tokens.
        room: The most tokens of both.
    """
    short, long = tf.minimum(first, second), tf.maximum(first, second)
    kept_long = tf.maximum(short, room - short)
    is_over = short + kept_long > room
    kept_short = tf.where(is_over, room // 2, short)
    kept_long = tf.where(is_over, room // 2 + room % 2, kept_long)
    fits = first + second <= room
    kept_short, kept_long = tf.where(fits, short, kept_short), tf.where(fits, long, kept_long)
    swaps = first > second
    return tf.where(swaps, kept_long, kept_short), tf.where(swaps, kept_short, kept_long)


def _repeat(ids: tuple[int, ...], where: Any) -> Any:
    """Returns the ids in each row in which `where` is True: ragged int32 `(batch, (tokens))`."""
    counts = tf.where(where, len(ids), 0)
    values = tf.tile(tf.constant(ids, tf.int32), [tf.reduce_sum(tf.cast(where, tf.int32))])
    return tf.RaggedTensor.from_row_lengths(values, tf.cast(counts, tf.int64), validate=False)
