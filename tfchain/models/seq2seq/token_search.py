"""The best next token by the compiled kernels, which read most of the token table in 8 bits only.

Each token needs the product of a row with the whole table, and for few texts that is bound by the memory's speed: the
table of 58,101 tokens, 512 wide, is 119 MB, more than all layers of the decoder. The search reads a quarter of it, and
then, in float32, the few rows that could be the best (`models/indexes/native_vectors.py` has the bound).
"""

import threading
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfchain.models.indexes.native_vectors import VectorCopies, is_suitable
from tfchain.models.native_library import find_obstacle
from tfchain.models.seq2seq.score_rules import RULED_OUT, ScoreRules
from tfchain.models.seq2seq.transformer import Seq2SeqTransformer

LEAST_BYTES = 4 * 2**20  # of a table for which it is worth leaving TensorFlow


class _Copied(NamedTuple):
    table: np.ndarray  # (vocabulary, dim), the variable's own memory
    bias: np.ndarray | None
    copies: VectorCopies
    offsets: np.ndarray  # a vector a token


class TokenSearch:
    """Finds the tokens with the highest logits, as if the whole table had been multiplied in float32.

    Its copies of the table take a quarter of the table's memory. They are made at the first search, and again after
    `refresh`.

    Args:
        transformer: A transformer for which `can_search` returns True.
    """

    def __init__(self, transformer: Seq2SeqTransformer) -> None:
        self._parts = transformer.parts
        self._lock = threading.Lock()
        self._copied: _Copied | None = None

    def refresh(self) -> None:
        """Discards the copies. Call it after the weights have changed."""
        with self._lock:
            self._copied = None

    def find(self, hidden: np.ndarray, allowed: np.ndarray | None = None) -> np.ndarray:
        """Returns the best tokens for rows of the decoder's output.

        Args:
            hidden: float32 `(rows, dim)`.
            allowed: Which tokens may be found, booleans `(vocabulary,)`. Default: all.

        Returns:
            int32 `(rows,)`; of equal logits the first.
        """
        copied = self._copy()
        found = copied.copies.find_best(
            hidden, 1, num_vectors=len(copied.table), offsets=copied.offsets, allowed=allowed
        )
        if found is not None:
            return found[0][:, 0].astype("int32")
        logits = hidden @ copied.table.T  # with NaN or infinity among the numbers
        if copied.bias is not None:
            logits += copied.bias
        if allowed is not None:
            logits[:, ~allowed] = RULED_OUT
        best: np.ndarray = np.argmax(logits, axis=1).astype("int32")
        return best

    def _copy(self) -> _Copied:
        with self._lock:
            if self._copied is None:
                table = np.asarray(self._parts.target_tokens.embeddings.value)
                bias = self._parts.logits_bias
                added = None if bias is None else np.asarray(bias.bias.value)
                copies = VectorCopies(table, added=added)
                copies.extend(len(table))
                self._copied = _Copied(table, added, copies, np.arange(len(table) + 1))
            return self._copied


def can_search(transformer: Seq2SeqTransformer) -> bool:
    """Returns whether the kernels can find a transformer's best tokens here, and faster than TensorFlow."""
    parts = transformer.parts
    if parts.head is not None or parts.compute_dtype != "float32" or find_obstacle() is not None:
        return False
    table = np.asarray(parts.target_tokens.embeddings.value)
    return table.nbytes >= LEAST_BYTES and is_suitable(table)


def search_best(
    search: TokenSearch, rules: ScoreRules, hidden: tf.Tensor, length: tf.Tensor, forced_bos: tf.Tensor | None
) -> tf.Tensor:
    """Returns the best tokens by plain rules, in a graph that runs in this process: int32 `(rows,)`.

    Args:
        search: What finds them.
        rules: The rules, which are plain (`ScoreRules.is_plain`).
        hidden: The decoder's scaled output, float32 `(rows, dim)`.
        length: The tokens that have been written, the decoder's start included, a scalar int32.
        forced_bos: int32 `(rows,)`: the first token after the start; None for none.
    """
    early, later = rules.find_allowed(is_early=True), rules.find_allowed(is_early=False)

    def find(rows: np.ndarray, is_early: np.ndarray) -> np.ndarray:
        return search.find(rows, early if is_early else later)

    chosen = tf.numpy_function(find, [hidden, length < rules.options.min_length], tf.int32)
    return rules.force(tf.ensure_shape(chosen, [None]), length, forced_bos)
