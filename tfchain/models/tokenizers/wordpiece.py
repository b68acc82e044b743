"""The WordPiece tokenizer as a TensorFlow graph: the same ids as the Hugging Face tokenizer, without Python.

Texts are decoded into code points, a table turns each into normalised text (wordpiece_normalizer.py), the characters
are joined into words, and TensorFlow Text's FastWordpieceTokenizer splits each word into pieces. Stock TensorFlow
Serving 2.20 has all these ops, and none of them uses Unicode tables of its own to classify characters.
"""

import string
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.wordpiece_normalizer import (
    BLOCK,
    CharacterTable,
    NormalizerRules,
    StandIns,
    make_text_table,
    make_word_table,
    probe_characters,
)
from tfchain.models.tokenizers.wordpiece_settings import SpecialToken, read_settings
from tfchain.runtime.tf_text import load_tf_text

_PRIVATE_USE = range(0x100000, 0x10F000)  # where the stand-ins come from
_MAX_WORD_BYTES = 1 << 30  # no limit: words are limited by characters before


class WordPieceTokenizer:
    """Turns texts into token ids inside a graph, as BERT's and MPNet's tokenizers do.

    It can be called eagerly, in a `tf.data` pipeline, and in a `tf.function` that is saved: it holds only constants, no
    variables or files. Most users want `from_hugging_face`.

    Bytes that are not UTF-8 are read as U+FFFD, which `clean_text` drops.

    Example:
        >>> tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "hello", "world", "##s", "!"])
        >>> token_ids, padding_mask = tokenizer(tf.constant(["Hello worlds!", "hello"]), max_length=8)
        >>> token_ids.numpy().tolist()
        [[2, 4, 5, 6, 7, 3], [2, 4, 3, 0, 0, 0]]

    Args:
        vocabulary: The pieces in the order of their ids, or `{piece: id}`.
        lowercase: Whether to lower-case. Default: True.
        strip_accents: Whether to decompose characters and drop accents. Default: None, the value of `lowercase`.
        split_chinese: Whether each Chinese character is a word. Default: True.
        clean_text: Whether to drop control characters. Default: True.
        unknown_token: The piece for a word that cannot be split into pieces. Default: `[UNK]`.
        prefix: Tokens put before each text. Default: `[CLS]`.
        suffix: Tokens put after each text. Default: `[SEP]`.
        pad_token: The token that pads shorter texts. Default: `[PAD]`.
        special_tokens: Tokens that are recognised inside a text: `SpecialToken`s, or strings from the vocabulary.
            Default: None, all tokens named above, and `[MASK]` if the vocabulary has it.
        continuing_prefix: The mark of pieces that continue a word. Default: `##`.
        max_word_characters: Longer words are unknown. Default: 100.
        truncation_side: The side at which longer texts are truncated, `right` or `left`. Default: `right`.

    Raises:
        InputError: if the vocabulary lacks one of the tokens named above, or cannot be expressed, or if
            `truncation_side` is unknown.
        MissingPackageError: if tensorflow-text is not installed.
    """

    def __init__(
        self,
        vocabulary: Sequence[str] | Mapping[str, int],
        *,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        split_chinese: bool = True,
        clean_text: bool = True,
        unknown_token: str = "[UNK]",
        prefix: Sequence[str] = ("[CLS]",),
        suffix: Sequence[str] = ("[SEP]",),
        pad_token: str = "[PAD]",
        special_tokens: Sequence[SpecialToken | str] | None = None,
        continuing_prefix: str = "##",
        max_word_characters: int = 100,
        truncation_side: str = "right",
    ) -> None:
        if truncation_side not in ("left", "right"):
            raise InputError(f"`truncation_side` must be 'left' or 'right'. Received: {truncation_side!r}.")
        self.truncation_side = truncation_side
        ids = _to_ids(vocabulary)
        if special_tokens is None:
            named = dict.fromkeys((pad_token, unknown_token, *prefix, *suffix, "[MASK]"))
            special_tokens = [token for token in named if token in ids]
        specials = [
            token if isinstance(token, SpecialToken) else SpecialToken(token, _find_id(token, ids, "special_tokens"))
            for token in special_tokens
        ]
        known = {**ids, **{token.text: token.token_id for token in specials}}
        self.prefix_ids = tuple(_find_id(token, known, "prefix") for token in prefix)
        self.suffix_ids = tuple(_find_id(token, known, "suffix") for token in suffix)
        self.pad_id = _find_id(pad_token, known, "pad_token")
        self.unknown_id = _find_id(unknown_token, ids, "unknown_token")
        self.num_added_tokens = len(prefix) + len(suffix)
        self.max_word_characters = max_word_characters

        rules = NormalizerRules(lowercase, strip_accents, split_chinese, clean_text)
        normalize = rules.make_normalizer()
        self._raw_tokens = [(token.text, token.token_id) for token in specials if not token.normalized]
        self._normalized_tokens = [(normalize(token.text), token.token_id) for token in specials if token.normalized]
        pieces = [piece for piece in sorted(ids, key=ids.__getitem__) if piece not in ("", continuing_prefix)]
        kept = set(map(ord, "".join([*pieces, *(text for text, _ in self._normalized_tokens)])))
        _check_expressible(kept, rules, continuing_prefix, [text for text, _ in self._normalized_tokens])

        # Two markers put a special token in the text in brackets; then another marker for each token replaces it.
        markers = 2 + len(specials) if specials else 0
        start = next(at for at in _PRIVATE_USE if kept.isdisjoint(range(at, at + markers + 3)))
        markers_range = range(start, start + markers)
        stand_ins = StandIns(start + markers, start + markers + 1, markers_range)
        self._markers = [chr(marker) for marker in markers_range]
        self._neutral = chr(start + markers + 2)  # replaces a marker that is in the text
        self._unknown_word = chr(stand_ins.unknown)

        characters = probe_characters(rules)
        self._text_table: _GraphTable | None = None
        if self._normalized_tokens:
            self._text_table = _GraphTable(make_text_table(characters, kept, stand_ins))
            characters = characters.without_normalizing()
        self._word_table = _GraphTable(make_word_table(characters, kept, stand_ins))
        token_ids = [ids[piece] for piece in pieces]
        token_ids += [0, 0][:markers]  # no text yields the brackets
        token_ids += [token_id for _, token_id in (*self._raw_tokens, *self._normalized_tokens)]
        self._token_ids = _constant(token_ids, tf.int32)
        self._pieces = _make_piece_tokenizer([*pieces, *self._markers], unknown_token, continuing_prefix)

    @classmethod
    def from_hugging_face(cls, tokenizer: Any) -> "WordPieceTokenizer":
        """Makes the graph of a Hugging Face tokenizer.

        Args:
            tokenizer: A transformers tokenizer with a `backend_tokenizer`.

        Raises:
            InputError: if the tokenizer has a part that the graph cannot express; the message names it.
        """
        return cls(**read_settings(tokenizer))

    @classmethod
    def can_express(cls, tokenizer: Any) -> bool:
        """Returns whether `from_hugging_face` accepts this tokenizer; it tries, and discards the result."""
        try:
            cls.from_hugging_face(tokenizer)
        except InputError:
            return False
        return True

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Splits texts into pieces, without truncation, prefix and suffix.

        Args:
            texts: string `(batch,)`, UTF-8.

        Returns:
            int32 `(batch, (pieces))`.
        """
        texts = tf.convert_to_tensor(texts, tf.string)
        if texts.shape.rank != 1:
            raise InputError(
                f"`texts` must have one dimension, the batch. Received: shape={texts.shape}. "
                "Put a single text into a list."
            )
        # Strings are on the CPU, and so is everything else here: moving numbers to a GPU and back takes longer.
        with tf.device("/CPU:0"), tf.name_scope("wordpiece"):
            if self._markers:
                texts = self._mark_raw(texts)
            if self._text_table is not None:
                texts = self._mark_normalized(self._text_table.to_texts(texts))
            words, ends = self._word_table.to_words(texts)
            is_long = tf.strings.length(words, unit="UTF8_CHAR") > self.max_word_characters
            pieces = self._pieces.tokenize(tf.where(is_long, self._unknown_word, words))
            row_splits = tf.concat([[0], tf.gather(pieces.row_splits, ends)], 0)
            token_ids = tf.gather(self._token_ids, pieces.values)
            return tf.RaggedTensor.from_row_splits(token_ids, row_splits, validate=False)

    def __call__(self, texts: tf.Tensor, max_length: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Tokenizes texts for an encoder: truncated, with prefix and suffix, padded to the longest.

        Args:
            texts: string `(batch,)`, UTF-8.
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
        ragged = self.tokenize(texts)
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

    def _mark_raw(self, texts: tf.Tensor) -> tf.Tensor:
        """Replaces special tokens that are looked for in the text itself by markers."""
        reserved = f"[{self._markers[0]}-{self._markers[-1]}]"

        def replace() -> tf.Tensor:
            # A marker that is already in the text is not a special token.
            free = tf.strings.regex_replace(texts, reserved, self._neutral)
            return self._replace(free, self._raw_tokens, self._markers[2 : 2 + len(self._raw_tokens)])

        patterns = [*_to_patterns(self._raw_tokens), reserved]
        return tf.cond(_contains(texts, patterns), replace, lambda: texts)

    def _mark_normalized(self, texts: tf.Tensor) -> tf.Tensor:
        """Replaces special tokens that are looked for in the normalised text, after `_mark_raw`."""
        markers = self._markers[2 + len(self._raw_tokens) :]
        return tf.cond(
            _contains(texts, _to_patterns(self._normalized_tokens)),
            lambda: self._replace(texts, self._normalized_tokens, markers),
            lambda: texts,
        )

    def _replace(self, texts: tf.Tensor, tokens: list[tuple[str, int]], markers: list[str]) -> tf.Tensor:
        """Replaces tokens by markers; of tokens at the same place, the longest, as in Hugging Face."""
        if not tokens:
            return texts
        opening, closing = self._markers[:2]  # all tokens are put in brackets at once, the longest first
        texts = tf.strings.regex_replace(texts, f"({'|'.join(_to_patterns(tokens))})", f"{opening}\\1{closing}")
        for (text, _), marker in zip(tokens, markers, strict=True):
            texts = tf.strings.regex_replace(texts, _escape(opening + text + closing), marker)
        return texts


def _take_last(ragged: tf.RaggedTensor, kept: tf.Tensor) -> tf.RaggedTensor:
    """Returns the last values of each row; `kept`, int32 `(batch,)`, is their number."""
    ends = tf.cast(ragged.row_splits[1:], tf.int32)
    places = tf.ragged.range(ends - kept, ends)
    return places.with_values(tf.gather(ragged.values, places.values))


class _GraphTable:
    """The values of a `CharacterTable` as constants of a graph."""

    def __init__(self, table: CharacterTable) -> None:
        self._pages = _constant(table.pages, tf.int32)
        self._cells = _constant(table.cells, tf.int32)
        self._texts = _constant(table.texts, tf.string)
        self._num_alone = table.num_alone

    def to_texts(self, texts: tf.Tensor) -> tf.Tensor:
        """Replaces each character; returns a text for each text."""
        rows, row_splits = self._look_up(texts)
        batch = tf.ragged.row_splits_to_segment_ids(row_splits)
        return tf.strings.unsorted_segment_join(tf.gather(self._texts, rows), batch, tf.size(row_splits) - 1)

    def to_words(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Replaces each character and splits the texts into words.

        Returns:
            The words of all texts in a row, and, for each text, the number of words up to and including its last. Some
            words are empty; the first always is.
        """
        # White space after each text separates it from the next text's first word, and leaves no text empty.
        rows, row_splits = self._look_up(tf.strings.join([texts, "\n"]))
        is_alone = rows < self._num_alone
        # A word begins at and after each character that is alone. The first character follows the last white space.
        begins = tf.cast(tf.logical_or(is_alone, tf.roll(is_alone, 1, 0)), tf.int32)
        word = tf.cumsum(begins)
        words = tf.strings.unsorted_segment_join(tf.gather(self._texts, rows), word, tf.reduce_sum(begins) + 1)
        return words, tf.gather(word, row_splits[1:] - 1)

    def _look_up(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        decoded = tf.raw_ops.UnicodeDecode(
            input=texts,
            input_encoding="UTF-8",
            errors="replace",
            replacement_char=0xFFFD,
            replace_control_characters=False,
        )
        page = tf.gather(self._pages, tf.bitwise.right_shift(decoded.char_values, BLOCK.bit_length() - 1))
        return tf.gather(self._cells, page + tf.bitwise.bitwise_and(decoded.char_values, BLOCK - 1)), decoded.row_splits


def _constant(values: Any, dtype: tf.DType) -> tf.Tensor:
    """Makes a constant once, outside any function that is being traced; the function's graph captures it."""
    with tf.init_scope(), tf.device("/CPU:0"):
        return tf.constant(values, dtype)


def _contains(texts: tf.Tensor, patterns: list[str]) -> tf.Tensor:
    """Returns whether any text matches any pattern. `\\C` is any byte, even one that is not UTF-8."""
    return tf.reduce_any(tf.strings.regex_full_match(texts, f"\\C*(?:{'|'.join(patterns)})\\C*"))


def _to_patterns(tokens: list[tuple[str, int]]) -> list[str]:
    """Returns regular expressions that find these tokens, the longest first."""
    return [_escape(text) for text, _ in sorted(tokens, key=lambda token: -len(token[0]))]


def _escape(text: str) -> str:
    """Returns a regular expression (RE2) that finds exactly this text."""
    return "".join(f"\\{c}" if c.isascii() and not c.isalnum() and c != "_" else c for c in text)


def _to_ids(vocabulary: Sequence[str] | Mapping[str, int]) -> dict[str, int]:
    if isinstance(vocabulary, Mapping):
        return dict(vocabulary)
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    if len(ids) < len(vocabulary):
        duplicate = next(piece for index, piece in enumerate(vocabulary) if ids[piece] != index)
        raise InputError(f"A vocabulary's pieces must differ. Received: {duplicate!r} twice. Remove the duplicate.")
    return ids


def _find_id(token: str, ids: Mapping[str, int], argument: str) -> int:
    if token not in ids:
        raise InputError(
            f"The vocabulary must have the token that `{argument}` names. Received: {token!r}, which is not among its "
            f"{len(ids)} pieces. Add it, or use another token."
        )
    return ids[token]


def _check_expressible(
    kept: set[int], rules: NormalizerRules, continuing_prefix: str, normalized_texts: Sequence[str]
) -> None:
    """Raises an `InputError` for tokenizers that a table of characters and FastWordpieceTokenizer get wrong."""
    if len(continuing_prefix) < 2 or not any(c in string.punctuation for c in continuing_prefix):
        raise InputError(
            "`continuing_prefix` must have two characters or more, one of them ASCII punctuation, so that no word "
            f"begins with it. Received: {continuing_prefix!r}. Tokenize on the host instead."
        )
    if "" in normalized_texts:
        raise InputError(
            "A special token that is looked for in normalised text must not be empty after normalising. "
            "Received: a token that is empty. Remove it, or set `normalized=False`."
        )
    normalize = rules.make_normalizer()
    # NFD sorts neighbouring marks by their class. Nearly all of them are dropped; the order of the rest depends on
    # neighbours, so the vocabulary may have such marks of one class only.
    marks = [
        chr(code) for code in sorted(kept) if unicodedata.combining(chr(code)) and normalize(chr(code)) == chr(code)
    ]
    if rules.strips_accents and len({unicodedata.combining(mark) for mark in marks}) > 1:
        raise InputError(
            "A vocabulary for a tokenizer that strips accents must not have spacing marks of several combining classes."
            f" Received: {[f'U+{ord(mark):04X}' for mark in marks]}. Tokenize on the host instead."
        )


def _make_piece_tokenizer(pieces: Sequence[str], unknown_token: str, continuing_prefix: str) -> Any:
    """Makes TensorFlow Text's tokenizer for texts that are split into words already."""
    try:
        with tf.init_scope(), tf.device("/CPU:0"):
            return load_tf_text().FastWordpieceTokenizer(
                pieces,
                suffix_indicator=continuing_prefix,
                max_bytes_per_word=_MAX_WORD_BYTES,
                token_out_type=tf.int32,
                unknown_token=unknown_token,
                no_pretokenization=True,
            )
    except RuntimeError as error:
        raise InputError(
            f"The vocabulary must fit into FastWordpieceTokenizer. Received: {len(pieces)} pieces, and its error "
            f"{str(error)!r}. Tokenize on the host instead."
        ) from error
