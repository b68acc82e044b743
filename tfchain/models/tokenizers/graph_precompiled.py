"""Hugging Face's `Precompiled` normalizer inside a graph: sentencepiece's charsmap, looked up by graphemes.

It differs from sentencepiece's own normalizer, which always replaces the longest text that the charsmap has: here a
grapheme of up to five bytes is replaced as a whole by what its shortest beginning in the charsmap becomes, so that the
rest of it is lost; each character of a longer one is replaced by itself
(https://github.com/huggingface/tokenizers, normalizers/precompiled.rs).
"""

from collections.abc import Mapping

import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.code_points import (
    DROP,
    CodePoints,
    CodePointTable,
    PairTable,
    Replacements,
    previous,
)
from tfchain.models.tokenizers.grapheme_classes import Joins

_LONGEST = 5  # bytes of a grapheme that is looked up as a whole


class GraphPrecompiled:
    """Replaces characters and short graphemes: a step of a normalizer.

    Args:
        replacements: `{text: replacement}` for texts of up to five bytes, from `read_charsmap`.
        joins: From `probe_graphemes`.

    Raises:
        InputError: if a text of three characters has no beginning that is replaced, too.
    """

    def __init__(self, replacements: Mapping[str, str], joins: Mapping[int, int]) -> None:
        singles = {ord(text): to for text, to in replacements.items() if len(text) == 1}
        longer = [text for text in replacements if len(text) > 1 and ord(text[0]) not in singles]
        pairs = {(ord(text[0]), ord(text[1])): replacements[text] for text in longer if len(text) == 2}
        for text in longer:
            if len(text) > 2 and (ord(text[0]), ord(text[1])) not in pairs:
                raise InputError(
                    "A charsmap for a graph must replace one of the beginnings of each text of three characters or "
                    f"more. Received: {text!r}, without {text[:2]!r}. Tokenize on the host instead."
                )
        self.affected = frozenset(singles).union(second for _, second in pairs)
        self._replacements = Replacements([*singles.values(), *pairs.values()])
        row_of = self._replacements.row_of
        self._rows = CodePointTable({code: row_of(text) for code, text in singles.items()})
        self._pair_rows = PairTable({pair: row_of(text) for pair, text in pairs.items()}) if pairs else None
        self._joins = CodePointTable(joins)

    def __call__(self, points: CodePoints) -> CodePoints:
        rows = self._rows.look_up(points.values)
        kinds = self._joins.look_up(points.values)
        joined = _find_joined(points, kinds)
        rows = tf.cond(tf.reduce_any(joined), lambda: self._join(points.values, rows, joined), lambda: rows)
        return self._replacements.replace(points, rows)

    def _join(self, values: tf.Tensor, rows: tf.Tensor, joined: tf.Tensor) -> tf.Tensor:
        """Replaces short graphemes as a whole: returns rows, int32 `(characters,)`."""
        begins = tf.where(~joined)[:, 0]  # (graphemes,)
        ends = tf.concat([begins[1:], [tf.size(values, tf.int64)]], 0)
        sizes = sum(tf.cast(values >= least, tf.int32) for least in (0, 0x80, 0x800, 0x10000))
        bytes_before = tf.concat([[0], tf.cumsum(sizes)], 0)
        num_bytes = tf.gather(bytes_before, ends) - tf.gather(bytes_before, begins)
        is_short = (num_bytes <= _LONGEST) & (ends - begins > 1)
        row = tf.gather(rows, begins)
        if self._pair_rows is not None:
            second = tf.gather(values, tf.minimum(begins + 1, ends - 1))
            row = tf.where(row > 0, row, self._pair_rows.look_up(tf.gather(values, begins), second))
        is_whole = is_short & (row > 0)
        grapheme = tf.cumsum(tf.cast(~joined, tf.int32)) - 1
        whole = tf.where(joined, DROP, tf.gather(row, grapheme))
        return tf.where(tf.gather(is_whole, grapheme), whole, rows)


def _find_joined(points: CodePoints, kinds: tf.Tensor) -> tf.Tensor:
    """Returns whether each character joins the one before it: bool `(characters,)`.

    Pairs of regional indicators (flags) are not joined: they have more bytes than are looked up as a whole, joined or
    not.
    """
    values = points.values
    before = previous(kinds, 0)
    begins = points.begins

    joined = _has(kinds, Joins.AFTER) | _has(before, Joins.BEFORE)
    hangul = Joins.LEADING | Joins.VOWEL | Joins.OPEN_SYLLABLE | Joins.CLOSED_SYLLABLE
    joined |= _has(before, Joins.LEADING) & _has(kinds, hangul)
    joined |= _has(before, Joins.VOWEL | Joins.OPEN_SYLLABLE) & _has(kinds, Joins.VOWEL | Joins.TRAILING)
    joined |= _has(before, Joins.TRAILING | Joins.CLOSED_SYLLABLE) & _has(kinds, Joins.TRAILING)
    joined &= ~_has(before, Joins.NEVER) & ~_has(kinds, Joins.NEVER)
    joined |= (values == ord("\n")) & (previous(values, 0) == ord("\r"))
    far = _has(kinds, Joins.JOINER | Joins.LINKER)
    joined |= tf.cond(tf.reduce_any(far), lambda: _find_joined_from_afar(kinds, begins), lambda: tf.zeros_like(joined))
    return joined & ~begins


def _find_joined_from_afar(kinds: tf.Tensor, begins: tf.Tensor) -> tf.Tensor:
    """Returns which characters join a character before marks: bool `(characters,)`.

    These are a pictograph after a pictograph, marks and a joiner, and a consonant after a consonant and marks, one of
    which is a linker.
    """
    base = tf.gather(kinds, _find_bases(_has(kinds, Joins.EXTEND), begins))
    is_open = previous(_has(base, Joins.PICTOGRAPH), False) & _has(kinds, Joins.JOINER) & ~begins  # at the joiner
    bases = _find_bases(_has(kinds, Joins.CONJUNCT), begins)
    linkers = tf.cumsum(tf.cast(_has(kinds, Joins.LINKER), tf.int32))
    is_linked = _has(tf.gather(kinds, bases), Joins.CONSONANT) & (linkers > tf.gather(linkers, bases))
    return (_has(kinds, Joins.PICTOGRAPH) & previous(is_open, False)) | (
        _has(kinds, Joins.CONSONANT) & previous(is_linked, False)
    )


def _find_bases(is_mark: tf.Tensor, begins: tf.Tensor) -> tf.Tensor:
    """Returns, for each place, that of the last character up to it that is no mark, or of the text's first."""
    stands = begins | ~is_mark
    return tf.gather(tf.where(stands)[:, 0], tf.cumsum(tf.cast(stands, tf.int32)) - 1)


def _has(kinds: tf.Tensor, kind: Joins) -> tf.Tensor:
    return tf.bitwise.bitwise_and(kinds, int(kind)) != 0
