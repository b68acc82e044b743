"""The WordPiece tokenizer as a TensorFlow graph: the same ids as the Hugging Face tokenizer, without Python.

Texts are decoded into code points, a table turns each into normalised text (wordpiece_normalizer.py), the characters
are joined into words, and TensorFlow Text's FastWordpieceTokenizer splits each word into pieces. Stock TensorFlow
Serving 2.20 has all these ops, and none of them uses Unicode tables of its own to classify characters.
"""

import string
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.character_probe import BLOCK
from tfchain.models.tokenizers.framed_tokenizer import FramedTokenizer
from tfchain.models.tokenizers.framing import Framing
from tfchain.models.tokenizers.token_offsets import TokenOffsets, find_offsets
from tfchain.models.tokenizers.wordpiece_normalizer import (
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


class WordPieceTokenizer(FramedTokenizer):
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
        ids = _to_ids(vocabulary)
        if special_tokens is None:
            named = dict.fromkeys((pad_token, unknown_token, *prefix, *suffix, "[MASK]"))
            special_tokens = [token for token in named if token in ids]
        specials = [
            token if isinstance(token, SpecialToken) else SpecialToken(token, _find_id(token, ids, "special_tokens"))
            for token in special_tokens
        ]
        known = {**ids, **{token.text: token.token_id for token in specials}}
        self.framing = Framing(
            tuple(_find_id(token, known, "prefix") for token in prefix),
            tuple(_find_id(token, known, "suffix") for token in suffix),
            _find_id(pad_token, known, "pad_token"),
            truncation_side,
        )
        self.unknown_id = _find_id(unknown_token, ids, "unknown_token")
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
    def from_hugging_face(cls, tokenizer: Any, *, do_lower_case: bool = False) -> "WordPieceTokenizer":
        """Makes the graph of a Hugging Face tokenizer.

        Args:
            tokenizer: A transformers tokenizer with a `backend_tokenizer`.
            do_lower_case: Whether texts are lower-cased before the tokenizer normalises them, as `HostTokenizer` does.
                Default: False.

        Raises:
            InputError: if the tokenizer has a part that the graph cannot express; the message names it.
        """
        settings = read_settings(tokenizer)
        if do_lower_case:  # before or after the rest of the normalisation: the same for every character
            strips = settings["strip_accents"]
            settings |= {"lowercase": True, "strip_accents": settings["lowercase"] if strips is None else strips}
        return cls(**settings)

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

    @property
    def has_offsets(self) -> bool:
        """Whether `tokenize_with_offsets` works: not with special tokens that are looked for in normalised text."""
        return self._text_table is None

    def tokenize_with_offsets(self, texts: tf.Tensor) -> TokenOffsets:
        """Splits texts into pieces, and says where each is in its text.

        Args:
            texts: string `(batch,)`, UTF-8. A tokenizer for which `has_offsets` is True.

        Returns:
            The pieces' ids, as `tokenize` gives them, their words, and where they start and end in characters: what
            `tokenizers` calls offsets.
        """
        with tf.device("/CPU:0"), tf.name_scope("wordpiece_offsets"):
            if self._markers:
                texts = self._mark_raw(texts)
            decoded = self._word_table.decode(texts)
            words, ends = self._word_table.join(decoded)
            is_long = tf.strings.length(words, unit="UTF8_CHAR") > self.max_word_characters
            pieces, starts, stops = self._pieces.tokenize_with_offsets(tf.where(is_long, self._unknown_word, words))
            splits = tf.concat([[0], tf.gather(pieces.row_splits, ends)], 0)
            ids = tf.gather(self._token_ids, pieces.values)
            # A word that is too long is one piece, in whose place another stands.
            lengths = tf.cast(tf.strings.length(words), tf.int64)
            owners = pieces.value_rowids()
            is_whole = tf.gather(is_long, owners)
            stops = tf.where(is_whole, tf.gather(lengths, owners), tf.cast(stops.values, tf.int64))
            firsts = tf.gather(tf.cumsum(lengths, exclusive=True), owners)  # the word's first byte, of all words'
            return find_offsets(
                ids,
                splits,
                owners,
                firsts + tf.cast(starts.values, tf.int64),
                firsts + stops,
                byte_lengths=self._word_table.byte_lengths(decoded),
                char_lengths=self._find_char_lengths(decoded.char_values),
                char_splits=decoded.row_splits,
            )

    def _find_char_lengths(self, code_points: tf.Tensor) -> tf.Tensor:
        """Returns how many characters of the text each character stands for: the markers' for those of their tokens."""
        ones = tf.ones_like(code_points)
        if not self._raw_tokens:
            return ones
        lengths = _constant([len(text) for text, _ in self._raw_tokens], tf.int32)
        number = code_points - ord(self._markers[2])
        is_marker = tf.logical_and(number >= 0, number < len(self._raw_tokens))
        return tf.where(is_marker, tf.gather(lengths, tf.where(is_marker, number, 0)), ones)

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


class _GraphTable:
    """The values of a `CharacterTable` as constants of a graph."""

    def __init__(self, table: CharacterTable) -> None:
        self._pages = _constant(table.pages, tf.int32)
        self._cells = _constant(table.cells, tf.int32)
        self._texts = _constant(table.texts, tf.string)
        self._num_alone = table.num_alone

    def to_texts(self, texts: tf.Tensor) -> tf.Tensor:
        """Replaces each character; returns a text for each text."""
        rows, row_splits, _ = self._look_up(texts)
        batch = tf.ragged.row_splits_to_segment_ids(row_splits)
        return tf.strings.unsorted_segment_join(tf.gather(self._texts, rows), batch, tf.size(row_splits) - 1)

    def to_words(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Replaces each character and splits the texts into words.

        Returns:
            The words of all texts in a row, and, for each text, the number of words up to and including its last. Some
            words are empty; the first always is.
        """
        return self.join(self.decode(texts))

    def decode(self, texts: tf.Tensor) -> "_Decoded":
        """Decodes texts into characters, and looks each up."""
        # White space after each text separates it from the next text's first word, and leaves no text empty.
        return self._look_up(tf.strings.join([texts, "\n"]))

    def join(self, decoded: "_Decoded") -> tuple[tf.Tensor, tf.Tensor]:
        """Joins the characters of texts to words; see `to_words`."""
        rows, row_splits = decoded.rows, decoded.row_splits
        is_alone = rows < self._num_alone
        # A word begins at and after each character that is alone. The first character follows the last white space.
        begins = tf.cast(tf.logical_or(is_alone, tf.roll(is_alone, 1, 0)), tf.int32)
        word = tf.cumsum(begins)
        words = tf.strings.unsorted_segment_join(tf.gather(self._texts, rows), word, tf.reduce_sum(begins) + 1)
        return words, tf.gather(word, row_splits[1:] - 1)

    def byte_lengths(self, decoded: "_Decoded") -> tf.Tensor:
        """Returns how many bytes each character has in its word, int64 `(characters,)`."""
        return tf.gather(tf.cast(tf.strings.length(self._texts), tf.int64), decoded.rows)

    def _look_up(self, texts: tf.Tensor) -> "_Decoded":
        decoded = tf.raw_ops.UnicodeDecode(
            input=texts,
            input_encoding="UTF-8",
            errors="replace",
            replacement_char=0xFFFD,
            replace_control_characters=False,
        )
        page = tf.gather(self._pages, tf.bitwise.right_shift(decoded.char_values, BLOCK.bit_length() - 1))
        rows = tf.gather(self._cells, page + tf.bitwise.bitwise_and(decoded.char_values, BLOCK - 1))
        return _Decoded(rows, decoded.row_splits, decoded.char_values)


class _Decoded(NamedTuple):
    """The characters of texts in a row.

    Args:
        rows: The row of each in the table, int32 `(characters,)`.
        row_splits: The first of each text, and the end, int64 `(texts + 1,)`.
        char_values: Their code points, int32 `(characters,)`.
    """

    rows: tf.Tensor
    row_splits: tf.Tensor
    char_values: tf.Tensor


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
