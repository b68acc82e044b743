"""The decoder a step at a time: keys and values of what was written are kept, those of the source are computed once."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfchain.models.seq2seq.transformer import Seq2SeqTransformer

FEW_ROWS = 5  # fewer hypotheses have a graph of their own, with `attend_few`
LAID_OUT_ROWS = 3  # hypotheses for which the table is laid out anew
Cache = list[tuple[tf.Tensor, tf.Tensor]]


class Written(NamedTuple):
    """What a decoder keeps of the tokens that it has read.

    Args:
        ancestors: int32 `(batch, beams, length)`: in which beam each token is that a hypothesis has read. Keys and
            values stay where they were computed: a hypothesis that changes its beam changes these numbers alone.
        cache: Of each layer, keys and values, `(batch, heads, length · beams, width)`.
    """

    ancestors: tf.Tensor
    cache: Cache


class Decoding:
    """Computes the logits of the next token for all hypotheses of a batch, in a graph or eagerly.

    Args:
        transformer: The encoder and the decoder.
        token_ids: The sources, int32 `(batch, source length)`.
        padding_mask: int32 `(batch, source length)`, 0 for padding.
        num_beams: Hypotheses of a text.
        copies: How often each source is decoded, for several draws. Default: 1.
        mask: Added to all logits, float32 `(vocabulary,)`. Default: nothing is.
        is_few: Whether all batches have fewer than `FEW_ROWS` hypotheses. Default: False.
        has_logits: Whether logits are computed. Default: True; else `advance` alone can be called.

    Attributes:
        batch: The number of targets, a scalar int32.
    """

    def __init__(
        self,
        transformer: Seq2SeqTransformer,
        token_ids: tf.Tensor,
        padding_mask: tf.Tensor,
        *,
        num_beams: int,
        copies: int = 1,
        mask: np.ndarray | None = None,
        is_few: bool = False,
        has_logits: bool = True,
    ) -> None:
        parts = transformer.parts
        states = transformer.encoder({"token_ids": token_ids, "padding_mask": padding_mask}, training=False)
        if copies > 1:
            states, padding_mask = tf.repeat(states, copies, axis=0), tf.repeat(padding_mask, copies, axis=0)
        self.batch = tf.shape(states)[0]
        self._parts = parts
        self._num_beams = num_beams
        self._source_bias = parts.mask(padding_mask)
        self._sources = [layer.source_attention.project(states) for layer in parts.decoder_layers]
        self._is_few = is_few
        if has_logits:
            self._table = self._lay_out_table()
        own = None if parts.logits_bias is None else tf.convert_to_tensor(parts.logits_bias.bias)
        self._bias = mask if own is None else own if mask is None else own + mask

    def start(self) -> Written:
        """Returns what is kept before the first token."""
        cache = []
        for layer in self._parts.decoder_layers:
            shape = tf.stack([self.batch, layer.num_heads, 0, layer.head_dim])
            empty = tf.ensure_shape(tf.zeros(shape, self._parts.compute_dtype), self._shape(layer))
            cache.append((empty, empty))
        return Written(tf.zeros(tf.stack([self.batch, self._num_beams, 0]), tf.int32), cache)

    def shapes(self) -> Written:
        """Returns the shapes of what is kept, which grows with each step."""
        cache: Any = [(self._shape(layer), self._shape(layer)) for layer in self._parts.decoder_layers]
        return Written(tf.TensorShape([None, self._num_beams, None]), cache)

    def step(self, token_ids: tf.Tensor, written: Written) -> tuple[tf.Tensor, Written]:
        """Reads a token of each hypothesis.

        Args:
            token_ids: int32 `(batch, beams)`.
            written: What was read before.

        Returns:
            Logits `(batch · beams, vocabulary)`, and what is kept with these tokens.
        """
        rows, written = self.advance(token_ids, written)
        return self._find_logits(rows), written

    def advance(self, token_ids: tf.Tensor, written: Written) -> tuple[tf.Tensor, Written]:
        """Reads a token of each hypothesis, as `step`, without the product with the token table.

        Returns:
            What that product takes, `(batch · beams, dim)`, and what is kept with these tokens.
        """
        parts = self._parts
        position = tf.shape(written.ancestors)[2]
        beams = tf.range(self._num_beams)[tf.newaxis, :, tf.newaxis]
        ancestors = tf.concat([written.ancestors, tf.tile(beams, [self.batch, 1, 1])], axis=2)
        bias = parts.target_bias.at(position, ancestors)
        # TensorFlow 2.21's graph optimizer fuses the scores' product with a bias that no step of a loop changes, and
        # the loop then gives empty tensors; a bias that seems to depend on the step stays apart.
        source_bias = tf.where(position >= 0, self._source_bias, tf.zeros([], self._source_bias.dtype))
        rows = parts.embed_step(tf.reshape(token_ids, [-1]), position)
        cache: Cache = []
        for layer, kept, source in zip(parts.decoder_layers, written.cache, self._sources, strict=True):
            rows, extended = layer.step(rows, kept, source, bias, source_bias, is_few=self._is_few)
            cache.append(extended)
        if parts.decoder_norm is not None:
            rows = parts.decoder_norm(rows)
        return parts.scale_output(rows), Written(ancestors, cache)

    def follow(self, written: Written, beams: tf.Tensor) -> Written:
        """Returns what is kept when each hypothesis continues another: `beams`, int32 `(batch, beams)`."""
        return Written(tf.gather(written.ancestors, beams, batch_dims=1), written.cache)

    def _lay_out_table(self) -> tf.Tensor:
        """Returns the token table as TensorFlow multiplies fastest by, `(dim, vocabulary)`; nothing for few hypotheses.

        On two cores the product of 32 rows by a table of 58,101 tokens takes half the time so, that of one row about
        the same; the transposition takes the time of about one such product, and is done once for all steps.
        """
        if self._parts.head is not None:
            return tf.zeros([0, 0], self._parts.compute_dtype)
        table = tf.cast(self._parts.target_tokens.embeddings, self._parts.compute_dtype)
        self._is_laid_out = self.batch * self._num_beams >= LAID_OUT_ROWS
        return tf.cond(self._is_laid_out, lambda: tf.transpose(table), lambda: table[:0])

    def _find_logits(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the logits of the decoder's scaled output, float32 `(rows, vocabulary)`."""
        parts = self._parts
        if parts.head is not None:
            scores = parts.head(rows)
        else:
            scores = tf.cond(
                self._is_laid_out,
                lambda: tf.matmul(rows, self._table),
                lambda: parts.target_tokens(rows, reverse=True),
            )
        scores = tf.cast(scores, tf.float32)
        return scores if self._bias is None else tf.nn.bias_add(scores, self._bias)

    def _shape(self, layer: Any) -> tf.TensorShape:
        return tf.TensorShape([None, layer.num_heads, None, layer.head_dim])
