"""The best next token by the compiled kernels, which read most of the token table in 8 bits only.

Each token needs the product of a row with the whole table, and for few texts that is bound by the memory's speed: the
table of 58,101 tokens, 512 wide, is 119 MB, more than all layers of the decoder. The search reads a quarter of it, and
then, in float32, the few rows that could be the best (`models/indexes/native_vectors.py` has the bound).
"""

import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

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
    allowed: np.ndarray | None  # tokens whose bias rules nothing out


class TokenSearch:
    """Finds the tokens with the highest logits, as if the whole table had been multiplied in float32.

    Its copies of the table take a quarter of the table's memory. They are made at the first search, and again when the
    weights have changed.

    Args:
        transformer: A transformer for which `can_search` returns True.
    """

    def __init__(self, transformer: Seq2SeqTransformer) -> None:
        self._parts = transformer.parts
        self._lock = threading.Lock()
        self._copied: _Copied | None = None
        self._masks: list[np.ndarray | None] = []

    def notice_changes(self) -> None:
        """Discards the copies if the weights have changed since they were made. Call it before each generation."""
        with self._lock:
            if self._copied is not None:
                table, bias = self._read()
                is_same = _is_same(table, self._copied.table) and _is_same(bias, self._copied.bias)
                self._copied = self._copied if is_same else None

    def keep_mask(self, allowed: np.ndarray | None) -> int:
        """Keeps which tokens may be found, booleans `(vocabulary,)`, as long as the search lives; returns a number."""
        self._masks.append(allowed)
        return len(self._masks) - 1

    def find(self, hidden: np.ndarray, mask: int | None = None) -> np.ndarray:
        """Returns the best tokens for rows of the decoder's output.

        Args:
            hidden: float32 `(rows, dim)`.
            mask: What `keep_mask` returned for the tokens that may be found. Default: all may.

        Returns:
            int32 `(rows,)`; of equal logits the first.
        """
        copied = self._copy()
        allowed = copied.allowed
        chosen = None if mask is None else self._masks[mask]
        if chosen is not None:
            allowed = chosen if allowed is None else chosen & allowed
        if allowed is None or allowed.any():
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
                table, bias = self._read()
                allowed = None if bias is None or np.isfinite(bias).all() else bias != RULED_OUT
                added = bias if allowed is None or bias is None else np.where(allowed, bias, 0)
                copies = VectorCopies(table, added=added)
                copies.extend(len(table))
                self._copied = _Copied(table, bias, copies, np.arange(len(table) + 1), allowed)
            return self._copied

    def _read(self) -> tuple[np.ndarray, np.ndarray | None]:
        bias = self._parts.logits_bias
        return _share(self._parts.target_tokens.embeddings), None if bias is None else _share(bias.bias)


def can_search(transformer: Seq2SeqTransformer) -> bool:
    """Returns whether the kernels can find a transformer's best tokens here, and faster than TensorFlow."""
    parts = transformer.parts
    if parts.head is not None or parts.compute_dtype != "float32" or find_obstacle() is not None:
        return False
    if tf.config.list_physical_devices("GPU"):
        return False
    table = _share(parts.target_tokens.embeddings)
    return table.nbytes >= LEAST_BYTES and is_suitable(table)


def search_best(
    search: TokenSearch, rules: ScoreRules, hidden: tf.Tensor, length: tf.Tensor, forced_bos: tf.Tensor | None
) -> tf.Tensor:
    """Returns the best tokens by plain rules, in a graph that runs in this process: int32 `(rows,)`.

    Args:
        search: What finds them. The graph does not keep it: it must live as long as the graph is called.
        rules: The rules, which are plain (`ScoreRules.is_plain`).
        hidden: The decoder's scaled output, float32 `(rows, dim)`.
        length: The tokens that have been written, the decoder's start included, a scalar int32.
        forced_bos: int32 `(rows,)`: the first token after the start; None for none.
    """
    later, early = (search.keep_mask(rules.find_allowed(is_early=is_early)) for is_early in (False, True))
    find = _make_find(weakref.ref(search), later, early)
    chosen = tf.numpy_function(find, [hidden, length < rules.options.min_length], tf.int32)
    return rules.force(tf.ensure_shape(chosen, [None]), length, forced_bos)


def _make_find(search: "weakref.ref[TokenSearch]", later: int, early: int) -> Callable[..., np.ndarray]:
    """Makes what a graph calls. TensorFlow keeps it to the end of the process, so it holds nothing of the model."""

    def find(rows: np.ndarray, is_early: np.ndarray) -> np.ndarray:
        found = search()
        if found is None:
            raise RuntimeError("The model of this graph is gone. Keep the model as long as its graph is called.")
        return found.find(rows, early if is_early else later)

    return find


def _share(variable: Any) -> np.ndarray:
    """Returns a Keras variable's values in its own memory, which an assignment leaves as it is: it takes another."""
    shared: np.ndarray = np.asarray(variable.value.read_value())
    return shared


def _is_same(array: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Returns whether two arrays are the same memory."""
    if array is None or other is None:
        return array is other
    return array.ctypes.data == other.ctypes.data
