"""BPE and Unigram tokenizers as a TensorFlow graph: the same ids as the Hugging Face tokenizer, without Python.

Tokens written in a text are split off first. What is left is normalised, cut into words by a marker between them, and
split into pieces by TensorFlow Text's SentencepieceTokenizer, whose model is made of tokenizer.json. Stock TensorFlow
Serving 2.8 and later has all these ops.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.added_tokens import AddedToken, Parts, TokenFinder
from tfchain.models.tokenizers.bpe_pieces import BOUNDARY_BYTE
from tfchain.models.tokenizers.framed_tokenizer import FramedTokenizer
from tfchain.models.tokenizers.framing import Framing
from tfchain.models.tokenizers.graph_pre_tokenizer import BOUNDARY
from tfchain.models.tokenizers.piece_op import PieceOp
from tfchain.models.tokenizers.sentencepiece_model import PieceModel
from tfchain.models.tokenizers.unknown_runs import UnknownRuns


class SentencePieceTokenizer(FramedTokenizer, tf.Module):
    """Turns texts into token ids inside a graph, as tokenizers of RoBERTa, Qwen, Gemma and XLM-RoBERTa do.

    It can be called eagerly, in a `tf.data` pipeline, and in a `tf.function` that is saved; the saved module must hold
    it as an attribute, because its model and tables are resources. Use `from_hugging_face`.

    Bytes that are not UTF-8 are read as U+FFFD, as Python's `decode(errors="replace")` reads them.

    Args:
        model: The pieces.
        normalize: A function from texts to normalised texts, string `(parts,)`, in a graph. Default: texts stay.
        pre_tokenize: A function from normalised texts, string `(parts,)`, and whether each is the first part of its
            text, bool `(parts,)`, to the same texts with `BOUNDARY` between words. Default: a text is one word.
        added_tokens: The tokens that are found in texts. Default: none.
        normalize_token: The function with which the texts of `normalized` tokens are normalised. Default: not.
        framing: What is put around each text.
    """

    def __init__(
        self,
        model: PieceModel,
        *,
        framing: Framing,
        normalize: Callable[[tf.Tensor], tf.Tensor] | None = None,
        pre_tokenize: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
        added_tokens: Sequence[AddedToken] = (),
        normalize_token: Callable[[str], str] | None = None,
    ) -> None:
        tf.Module.__init__(self, name="sentencepiece_tokenizer")
        self.framing = framing
        self._normalize = normalize
        self._pre_tokenize = pre_tokenize
        raw = [token for token in added_tokens if not token.normalized]
        normalized = [token for token in added_tokens if token.normalized]
        self._raw_tokens = TokenFinder(raw) if raw else None
        self._normalized_tokens = TokenFinder(normalized, normalize_token) if normalized else None
        self._reads_bytes = model.reads_bytes
        self._ends_words = model.ends_words
        self._hidden = model.hidden
        self._unknown = model.unknown
        self._stand_in = model.stand_in
        self._words = _make_words(model) if model.whole_words else None
        self._runs = UnknownRuns(model.unknown_run) if model.unknown_run else None
        with tf.init_scope(), tf.device("/CPU:0"):
            self._pieces = PieceOp(model.proto)
            self._token_ids = tf.constant(model.token_ids, tf.int32)
        self._drops_pieces = bool((model.token_ids < 0).any())
        spec = tf.TensorSpec([None], tf.string, "text")
        self._function = tf.function(self._tokenize, input_signature=[spec], autograph=False)  # one for all signatures

    @classmethod
    def from_hugging_face(
        cls, tokenizer: Any, *, pad_id: int | None = None, do_lower_case: bool = False
    ) -> "SentencePieceTokenizer":
        """Makes the graph of a Hugging Face tokenizer.

        Args:
            tokenizer: A transformers tokenizer with a `backend_tokenizer`.
            pad_id: The id that pads shorter texts. Default: the tokenizer's, else 0.
            do_lower_case: Whether texts are lower-cased before they are normalised. Default: False.

        Raises:
            InputError: if the tokenizer has a part that the graph cannot express; the message names it.
        """
        from tfchain.models.tokenizers.sentencepiece_settings import read_sentencepiece_settings

        return cls(**read_sentencepiece_settings(tokenizer, pad_id=pad_id, do_lower_case=do_lower_case))

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
        ragged: tf.RaggedTensor = self._function(texts)
        return ragged

    def _tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Is traced for `tokenize`."""
        with tf.device("/CPU:0"), tf.name_scope("sentencepiece"):
            parts = Parts.whole(tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8"))
            if self._raw_tokens is not None:
                parts = _split(parts, self._raw_tokens)
            if self._normalize is not None:
                parts = Parts(self._normalize(parts.texts), parts.token_ids, parts.row_splits)
            if self._normalized_tokens is not None:
                parts = _split(parts, self._normalized_tokens)
            pieces = self._to_pieces(parts)
            if self._raw_tokens is None and self._normalized_tokens is None:
                return pieces
            return _put_in(parts, pieces)

    def _to_pieces(self, parts: Parts) -> tf.RaggedTensor:
        """Returns the token ids of the parts that are text: int32 `(parts, (pieces))`."""
        texts = parts.texts
        boundary = BOUNDARY_BYTE if self._reads_bytes else BOUNDARY
        if self._pre_tokenize is not None:
            texts = self._pre_tokenize(texts, _is_first(parts))
        if self._ends_words:
            texts = tf.strings.join([texts, BOUNDARY_BYTE])
        if self._pre_tokenize is None or (self._reads_bytes and self._words is None):
            return self._to_ids(texts)  # a model of bytes has a piece for the boundary
        words = tf.strings.split(texts, boundary)
        pieces = self._split_words(words.values)
        return tf.RaggedTensor.from_row_splits(
            pieces.values, tf.gather(pieces.row_splits, words.row_splits), validate=False
        )

    def _split_words(self, words: tf.Tensor) -> tf.RaggedTensor:
        """Returns the token ids of words: int32 `(words, (pieces))`."""
        if self._words is None:
            return self._to_ids(words)
        whole = self._words.lookup(words)
        pieces = self._to_ids(tf.where(whole >= 0, "", words))
        return _put_in(Parts(words, whole, tf.range(tf.size(words, tf.int64) + 1)), pieces)

    def _to_ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the token ids of the model's pieces."""
        if self._reads_bytes:  # byte 0x41 becomes the character U+0041, and so on
            texts = tf.strings.unicode_transcode(texts, "ISO-8859-1", "UTF-8")
        for pattern, rewrite in self._hidden:
            texts = tf.strings.regex_replace(texts, pattern, rewrite)
        if self._unknown is not None:
            texts = tf.strings.regex_replace(texts, self._unknown, self._stand_in)
        pieces = self._pieces.tokenize(texts)
        token_ids = self._look_up(pieces)
        return token_ids if self._runs is None else self._runs(self._pieces, texts, pieces, token_ids)

    def _look_up(self, pieces: tf.RaggedTensor) -> tf.RaggedTensor:
        """Turns the model's pieces into token ids; leaves out those that yield none."""
        token_ids = pieces.with_values(tf.gather(self._token_ids, pieces.values))
        if not self._drops_pieces:
            return token_ids
        kept = token_ids.values >= 0
        ends = tf.concat([[0], tf.cumsum(tf.cast(kept, tf.int64))], 0)
        return tf.RaggedTensor.from_row_splits(
            tf.boolean_mask(token_ids.values, kept), tf.gather(ends, token_ids.row_splits), validate=False
        )


def _make_words(model: PieceModel) -> Any:
    """Makes the table of the words that are one token each."""
    encoding = "latin-1" if model.reads_bytes else "utf-8"
    with tf.init_scope(), tf.device("/CPU:0"):
        words = tf.constant([word.encode(encoding) for word, _ in model.whole_words], tf.string)
        ids = tf.constant([token_id for _, token_id in model.whole_words], tf.int32)
        return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(words, ids), -1)


def _split(parts: Parts, finder: TokenFinder) -> Parts:
    """Cuts parts further, at tokens that are found in them; does little for a batch that has none."""

    def split() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        inner = finder.split(parts.texts)
        first = inner.row_splits[:-1]  # a part that is a token already is one empty part
        ids = tf.tensor_scatter_nd_update(inner.token_ids, first[:, tf.newaxis], parts.token_ids)
        return inner.texts, ids, tf.gather(inner.row_splits, parts.row_splits)

    def keep() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return parts.texts, parts.token_ids, parts.row_splits

    return Parts(*tf.cond(finder.contains(parts.texts), split, keep))


def _put_in(parts: Parts, pieces: tf.RaggedTensor) -> tf.RaggedTensor:
    """Puts the tokens found in the texts among the pieces of the parts: int32 `(batch, (pieces))`."""
    is_token = parts.token_ids >= 0

    def put_in() -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(parts.token_ids, is_token), tf.cast(is_token, tf.int64), validate=False
        )
        both = tf.concat([pieces, found], 1)
        return both.values, both.row_splits

    values, row_splits = tf.cond(tf.reduce_any(is_token), put_in, lambda: (pieces.values, pieces.row_splits))
    return tf.RaggedTensor.from_row_splits(values, tf.gather(row_splits, parts.row_splits), validate=False)


def _is_first(parts: Parts) -> tf.Tensor:
    """Returns whether each part is the first of its text: bool `(parts,)`."""
    firsts = parts.row_splits[:-1, tf.newaxis]
    return tf.scatter_nd(firsts, tf.ones_like(parts.row_splits[1:]), [tf.size(parts.texts, tf.int64)]) > 0
