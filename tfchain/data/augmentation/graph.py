"""Noise in the graph: the words and letters of string tensors disturbed with TensorFlow's own ops, for `tf.data`."""

from collections.abc import Sequence
from typing import Any, get_args

from tfchain.core.errors import InputError
from tfchain.data.augmentation.character_noise import LETTERS, CharacterError

# The pattern of `word_noise.WORD` as RE2 writes it: white space is named, as RE2's `\s` is ASCII alone.
SPACE = r"\t-\r \x{85}\pZ"
UNSPACED = (
    r"\x{0e00}-\x{0eff}\x{1000}-\x{109f}\x{1780}-\x{17ff}\x{3040}-\x{30ff}\x{3400}-\x{4dbf}\x{4e00}-\x{9fff}"
    r"\x{f900}-\x{faff}"
)
WORD = rf"([{SPACE}]*(?:[{UNSPACED}]|[^{SPACE}{UNSPACED}]+))"
MARK = "\x01"


def delete_words(texts: Any, seed: Any, *, rate: float = 0.1, share: float = 1.0) -> Any:
    """Leaves out words as `DeleteWords` does, in a graph.

    Args:
        texts: String `(batch,)`.
        seed: Two integers, a tensor or a pair; the same seed gives the same result. In `tf.data`:
            `tf.data.Dataset.zip(batches, tf.data.Dataset.random(seed=0).batch(2))`.
        rate: The probability of each word, in [0, 1]. Default: 0.1.
        share: The share of texts that are disturbed, in [0, 1]. Default: 1.

    Returns:
        String `(batch,)`.

    Raises:
        InputError: if `rate` or `share` is out of range.
    """
    import tensorflow as tf

    check_rates(rate, share)
    texts = tf.convert_to_tensor(texts, tf.string)
    pieces = split_words(texts)
    draws = draw(pieces, seed, 0)
    kept = (draws >= rate) | (draws >= highest_of_row(draws, pieces))  # if none would be left, any one stays
    joined = join_rows(pieces.with_values(tf.where(kept, pieces.values, "")))
    changed = tf.reduce_any(pieces.with_values(~kept), axis=1)
    return choose(texts, tf.where(changed, strip(joined), texts), seed, share)


def swap_words(texts: Any, seed: Any, *, rate: float = 0.1, share: float = 1.0) -> Any:
    """Swaps neighbouring words as `SwapWords` does, in a graph; the arguments are those of `delete_words`."""
    import tensorflow as tf

    check_rates(rate, share)
    texts = tf.convert_to_tensor(texts, tf.string)
    pieces = split_words(texts)
    before = tf.strings.regex_replace(pieces.values, rf"(?s)[^{SPACE}].*$", "")
    after = tf.strings.regex_replace(pieces.values, rf"(?s)^[{SPACE}]*[^{SPACE}]+", "")
    words = strip(pieces.values)
    swaps = every_other((draw(pieces, seed, 0) < rate) & ~is_last_of_row(pieces))
    order = tf.range(tf.size(words)) + tf.cast(swaps, tf.int32) - tf.cast(shift(swaps), tf.int32)
    joined = join_rows(pieces.with_values(before + tf.gather(words, order) + after))
    return choose(texts, joined, seed, share)


def add_typos(
    texts: Any,
    seed: Any,
    *,
    rate: float = 0.05,
    share: float = 1.0,
    errors: Sequence[CharacterError] = get_args(CharacterError),
) -> Any:
    """Makes typing errors as `AddTypos` does, in a graph.

    Args:
        texts: String `(batch,)`, valid UTF-8.
        seed: As for `delete_words`.
        rate: The probability of each letter, in [0, 1]. Default: 0.05.
        share: The share of texts that are disturbed, in [0, 1]. Default: 1.
        errors: Which errors to make, each as likely. Default: `delete`, `double`, `swap`, `replace`.

    Returns:
        String `(batch,)`.

    Raises:
        InputError: if `rate` or `share` is out of range, or an error is unknown.
    """
    import tensorflow as tf

    check_rates(rate, share)
    unknown = [error for error in errors if error not in get_args(CharacterError)]
    if unknown or not errors:
        raise InputError(f"`errors` must be some of {', '.join(get_args(CharacterError))}. Received: {errors!r}.")
    texts = tf.convert_to_tensor(texts, tf.string)
    rows = tf.strings.unicode_split(texts, "UTF-8")
    characters = rows.values
    is_letter = tf.strings.regex_full_match(characters, r"\pL")
    wished = (draw(rows, seed, 0) < rate) & is_letter
    number = tf.random.stateless_uniform(tf.shape(characters), mixed(seed, 1), 0, len(errors), tf.int32)
    kind = tf.gather(tf.constant(list(errors)), number)
    followed = ~is_last_of_row(rows) & tf.concat([is_letter[1:], [False]], 0)[: tf.size(characters)]
    swaps = every_other(wished & (kind == "swap") & followed)
    swapped = shift(swaps)
    active = wished & ~swapped
    letters = tf.random.stateless_uniform(tf.shape(characters), mixed(seed, 2), 0, len(LETTERS), tf.int32)
    other = tf.gather(tf.constant(list(LETTERS)), letters)
    other = tf.where(tf.strings.regex_full_match(characters, r"\p{Lu}"), tf.strings.upper(other), other)
    order = tf.range(tf.size(characters)) + tf.cast(swaps, tf.int32) - tf.cast(swapped, tf.int32)
    made = tf.gather(characters, order)
    made = tf.where(active & (kind == "delete"), "", made)
    made = tf.where(active & (kind == "double"), characters + characters, made)
    made = tf.where(active & (kind == "replace"), other, made)
    return choose(texts, join_rows(rows.with_values(made)), seed, share)


def check_rates(rate: float, share: float) -> None:
    """Raises if a probability is out of range."""
    for name, value in (("rate", rate), ("share", share)):
        if not 0 <= value <= 1:
            raise InputError(f"`{name}` must be in [0, 1]. Received: {name}={value!r}.", argument=name)


def split_words(texts: Any) -> Any:
    """Returns each text's words, ragged `(batch, words)`, with the white space before each and behind the last."""
    import tensorflow as tf

    marked = tf.strings.regex_replace(tf.strings.regex_replace(texts, MARK, ""), WORD, MARK + r"\1")
    return tf.strings.split(marked, sep=MARK)[:, 1:]


def draw(rows: Any, seed: Any, number: int) -> Any:
    """Returns a random number in [0, 1) for each value of a ragged tensor."""
    import tensorflow as tf

    return tf.random.stateless_uniform(tf.shape(rows.values), mixed(seed, number))


def mixed(seed: Any, number: int) -> Any:
    """Returns another seed for each number, so that draws of one call are independent."""
    import tensorflow as tf

    return tf.random.experimental.stateless_fold_in(tf.cast(tf.convert_to_tensor(seed), tf.int64), number)


def highest_of_row(draws: Any, rows: Any) -> Any:
    """Returns, for each value, the highest number drawn in its row."""
    import tensorflow as tf

    return tf.gather(tf.reduce_max(rows.with_values(draws), axis=1), rows.value_rowids())


def is_last_of_row(rows: Any) -> Any:
    """Returns whether each value is the last of its row."""
    import tensorflow as tf

    ids = rows.value_rowids()
    return tf.concat([ids[1:] != ids[:-1], tf.ones([tf.minimum(tf.size(ids), 1)], tf.bool)], 0)


def every_other(wished: Any) -> Any:
    """Returns, of each run of consecutive wishes, the first, third, fifth …: a swap uses up the place after it."""
    import tensorflow as tf

    padded = tf.concat([[False], wished], 0)
    run = tf.cumsum(tf.cast(~padded, tf.int32)) - 1  # a place without a wish begins a run
    place = tf.range(tf.size(padded))
    offset = place - tf.gather(tf.math.segment_min(place, run), run)
    return (padded & (offset % 2 == 1))[1:]


def shift(values: Any) -> Any:
    """Returns booleans moved on by one place."""
    import tensorflow as tf

    return tf.concat([[False], values], 0)[:-1]


def join_rows(rows: Any) -> Any:
    """Returns the values of each row joined."""
    import tensorflow as tf

    return tf.strings.reduce_join(rows, axis=1)


def strip(texts: Any) -> Any:
    """Returns texts without white space at both ends."""
    import tensorflow as tf

    return tf.strings.regex_replace(texts, rf"^[{SPACE}]+|[{SPACE}]+$", "")


def choose(texts: Any, changed: Any, seed: Any, share: float) -> Any:
    """Returns the changed texts of a share of them; a text that nothing would be left of stays as it is."""
    import tensorflow as tf

    wanted = tf.random.stateless_uniform(tf.shape(texts), mixed(seed, 3)) < share
    return tf.where(wanted & (tf.strings.length(strip(changed)) > 0), changed, texts)
