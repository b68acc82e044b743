"""The tokenizers of a sequence-to-sequence model: texts to ids and ids to texts, in a graph and in Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.core.texts import check_texts, replace_surrogates
from tfchain.models.tokenizers.sentencepiece import SentencePieceTokenizer

UNKNOWN_LANGUAGE = -2
NO_LANGUAGE = -1


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What is put around a text's ids.

    Args:
        eos_token_id: The id at the end.
        pad_token_id: The id that pads shorter texts.
        code_place: Where the id of the text's language is: `none`; `prefix`, before the text; `suffix`, after the end.
        names_target: Whether a source has the language of the target, and not its own (Marian). Default: False.
    """

    eos_token_id: int
    pad_token_id: int
    code_place: str = "none"
    names_target: bool = False


class Seq2SeqTokenizer(tf.Module):
    """Tokenizes sources and targets, and writes texts of ids; everything can be saved with a graph.

    Args:
        source: Splits sources.
        target: Splits targets; the same object if they are split alike.
        surfaces: The text of each id of a target, "" for special tokens; a space begins a word.
        frame: What is put around texts.
        languages: Language → id of its token; none for models of one pair.
        strips: Whether a text's white space at both ends is removed (sentencepiece), or only the first word's space.
        vocabulary: Token → id of targets, for fingerprints.
    """

    def __init__(
        self,
        source: SentencePieceTokenizer,
        target: SentencePieceTokenizer,
        *,
        surfaces: Sequence[str | bytes],
        frame: Frame,
        languages: Mapping[str, int],
        strips: bool,
        vocabulary: Mapping[str, int],
    ) -> None:
        super().__init__(name="seq2seq_tokenizer")
        self.source = source
        self.target = target
        self.frame = frame
        self.strips = strips
        self.languages = dict(languages)
        self.vocabulary = dict(vocabulary)
        with tf.init_scope(), tf.device("/CPU:0"):
            self._surfaces = tf.constant([_to_bytes(surface) for surface in surfaces], tf.string)
            names = tf.constant(["", *self.languages], tf.string)
            ids = tf.constant([NO_LANGUAGE, *self.languages.values()], tf.int32)
            table = tf.lookup.KeyValueTensorInitializer(names, ids)
            self._language_ids = tf.lookup.StaticHashTable(table, UNKNOWN_LANGUAGE)
        texts = tf.TensorSpec([None], tf.string)
        codes = tf.TensorSpec([None], tf.int32)
        length = tf.TensorSpec([], tf.int32)
        self._source_function = tf.function(self.make_sources, input_signature=[texts, codes, length], autograph=False)
        self._target_function = tf.function(self.make_targets, input_signature=[texts, codes, length], autograph=False)
        self._text_function = tf.function(
            self.detokenize, input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False
        )

    # In a graph.

    def make_sources(self, texts: tf.Tensor, codes: tf.Tensor, max_length: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Tokenizes sources for the encoder.

        Args:
            texts: string `(batch,)`, UTF-8.
            codes: int32 `(batch,)`, the id of each text's language token, -1 for none: the source's language, or the
                target's where `frame.names_target`.
            max_length: The most tokens of a text; longer ones are truncated.

        Returns:
            `token_ids` and `padding_mask`, int32 `(batch, longest)`.
        """
        return self._put_around(self.source.tokenize(texts), codes, max_length)

    def make_targets(self, texts: tf.Tensor, codes: tf.Tensor, max_length: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Tokenizes targets for training, as `make_sources` does; without a code where sources have the target's."""
        if self.frame.names_target:
            codes = tf.fill(tf.shape(texts), NO_LANGUAGE)
        return self._put_around(self.target.tokenize(texts), codes, max_length)

    def detokenize(self, token_ids: tf.Tensor) -> tf.Tensor:
        """Returns the texts of ids int32 `(batch, length)`: string `(batch,)`; special tokens are left out."""
        known = tf.clip_by_value(token_ids, 0, tf.size(self._surfaces) - 1)
        texts = tf.strings.reduce_join(tf.gather(self._surfaces, known), axis=1)
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")  # of bytes that are no text
        return tf.strings.strip(texts) if self.strips else tf.strings.regex_replace(texts, "^ ", "")

    def find_codes(self, languages: tf.Tensor) -> tf.Tensor:
        """Returns the ids of the tokens of languages, string `(batch,)`: -1 for "", -2 for an unknown one."""
        return self._language_ids.lookup(languages)

    def _put_around(self, pieces: tf.RaggedTensor, codes: tf.Tensor, max_length: Any) -> tuple[tf.Tensor, tf.Tensor]:
        frame = self.frame
        has_code = codes >= 0
        code = tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(codes, has_code), tf.cast(has_code, tf.int64), validate=False
        )
        end = tf.RaggedTensor.from_row_lengths(
            tf.fill(tf.shape(codes), frame.eos_token_id), tf.ones_like(codes, tf.int64), validate=False
        )
        room = tf.maximum(max_length - 1 - tf.cast(has_code, tf.int32), 0)
        kept = tf.minimum(tf.cast(pieces.row_lengths(), tf.int32), room)
        starts = tf.cast(pieces.row_splits[:-1], tf.int32)
        places = tf.ragged.range(starts, starts + kept)
        pieces = places.with_values(tf.gather(pieces.values, places.values))
        parts = {"none": [pieces, end], "prefix": [code, pieces, end], "suffix": [pieces, end, code]}
        rows = tf.concat(parts[frame.code_place], axis=1)
        token_ids = rows.to_tensor(frame.pad_token_id)
        lengths = tf.cast(rows.row_lengths(), tf.int32)
        return token_ids, tf.sequence_mask(lengths, tf.shape(token_ids)[1], tf.int32)

    # In Python.

    def encode(
        self, texts: Sequence[str], *, language: str | Sequence[str] | None = None, max_length: int
    ) -> list[list[int]]:
        """Returns the ids of sources, with what is put around them.

        Args:
            texts: The sources.
            language: The language of all, or of each: the source's, or the target's where `frame.names_target`.
                Default: none.
            max_length: The most ids of a text.

        Raises:
            InputError: if the model does not have the language.
        """
        return self._encode(self._source_function, texts, language, max_length)

    def encode_targets(
        self, texts: Sequence[str], *, language: str | Sequence[str] | None = None, max_length: int
    ) -> list[list[int]]:
        """Returns the ids of targets for training, without the decoder's start; arguments as for `encode`."""
        return self._encode(self._target_function, texts, language, max_length)

    def decode(self, token_ids: Sequence[Sequence[int]]) -> list[str]:
        """Returns the texts of targets, special tokens left out."""
        if not len(token_ids):
            return []
        rows = tf.ragged.constant([list(ids) for ids in token_ids], tf.int32, ragged_rank=1)
        texts = self._text_function(rows.to_tensor(self.frame.pad_token_id))
        return [text.decode("utf-8", "replace") for text in texts.numpy()]

    def find_language(self, language: str | None) -> int:
        """Returns the id of a language's token; -1 for None.

        Raises:
            InputError: if the model does not have the language.
        """
        if language is None:
            return NO_LANGUAGE
        if language not in self.languages:
            known = sorted(self.languages)
            shown = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
            raise InputError(
                f"The model must have the language. Received: {language!r}. "
                + (f"It has {shown}." if known else "It translates one pair of languages; leave the language out.")
            )
        return self.languages[language]

    def check_named(self, name: str, language: str | Sequence[str] | None) -> None:
        """Raises an `InputError` if no language is named for a model whose sources and targets both have one's token.

        Args:
            name: The argument's name, for the error.
            language: The language.
        """
        if language is None and self.languages and not self.frame.names_target:
            raise InputError(
                f"`{name}` must be given: the model translates between several languages. Received: None. Use one of "
                f"{', '.join(sorted(self.languages)[:8])}, …",
                argument=name,
            )

    def _encode(self, function: Any, texts: Any, language: Any, max_length: int) -> list[list[int]]:
        texts = check_texts(texts)
        if not texts:
            return []
        named = [language] * len(texts) if language is None or isinstance(language, str) else list(language)
        if len(named) != len(texts):
            raise InputError(
                f"There must be a language for each text, or one for all. Received: {len(named)} languages for "
                f"{len(texts)} texts."
            )
        codes = tf.constant([self.find_language(name) for name in named], tf.int32)
        data = tf.constant([replace_surrogates(text).encode() for text in texts], tf.string)
        token_ids, mask = function(data, codes, tf.constant(max_length, tf.int32))
        lengths = mask.numpy().sum(axis=1).tolist()
        return [row[:length] for row, length in zip(token_ids.numpy().tolist(), lengths, strict=True)]


def _to_bytes(surface: str | bytes) -> bytes:
    return surface if isinstance(surface, bytes) else surface.encode("utf-8", "surrogatepass")
