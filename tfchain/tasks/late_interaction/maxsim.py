"""MaxSim: a document's score is the sum, over a query's tokens, of the best similarity to one of its own tokens.

Source: Khattab and Zaharia 2020, ColBERT (https://arxiv.org/abs/2004.12832), equation 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfchain.models.weights.late_folder import MaxSimScale
from tfchain.tasks.late_interaction.options import TokenStorage


@dataclass(frozen=True)
class TokenVectors:
    """The vectors of the tokens of texts.

    Args:
        values: The vectors of all texts in a row, `(tokens, dim)`: float32, float16, or int8 with scales.
        starts: Where each text starts, and the end, int64 `(texts + 1,)`. No text is without a token.
        scales: What the int8 numbers of each vector are multiplied by, float32 `(tokens,)`; None for floats.
    """

    values: np.ndarray
    starts: np.ndarray
    scales: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def nbytes(self) -> int:
        """The memory of the vectors."""
        return self.values.nbytes + self.starts.nbytes + (0 if self.scales is None else self.scales.nbytes)

    def to_float(self) -> np.ndarray:
        """Returns the vectors in float32, `(tokens, dim)`."""
        values = self.values.astype("float32")
        return values if self.scales is None else values * self.scales[:, None]

    def take(self, text: int) -> np.ndarray:
        """Returns the vectors of a text in float32, `(tokens, dim)`."""
        start, end = self.starts[text], self.starts[text + 1]
        values = self.values[start:end].astype("float32")
        return values if self.scales is None else values * self.scales[start:end, None]

    def store(self, storage: TokenStorage) -> "TokenVectors":
        """Returns the same vectors in other numbers; in int8, the largest of a vector becomes 127."""
        values = self.to_float()
        if storage != "int8":
            return TokenVectors(values.astype(storage), self.starts)
        scales = np.maximum(np.abs(values).max(axis=1, initial=0), 1e-12).astype("float32") / np.float32(127)
        return TokenVectors(np.rint(values / scales[:, None]).astype("int8"), self.starts, scales)


def split_matrices(matrices: np.ndarray, dim: int) -> TokenVectors:
    """Takes the vectors of tokens out of an encoder's output, in which zeros stand for tokens that do not count.

    Args:
        matrices: float32 `(texts, num_vectors * dim)`.
        dim: The width of a vector.
    """
    rows = matrices.reshape(len(matrices), -1, dim)
    is_token = np.asarray(rows.any(axis=2))
    is_token[:, 0] |= ~is_token.any(axis=1)  # a text of which no token counts has one vector of zeros
    return TokenVectors(rows[is_token], np.cumsum([0, *is_token.sum(axis=1)], dtype="int64"))


def join_vectors(parts: Sequence[TokenVectors], dim: int) -> TokenVectors:
    """Puts the texts of several parts, kept in the same numbers, one after the other."""
    if not parts:
        return TokenVectors(np.zeros((0, dim), "float32"), np.zeros(1, "int64"))
    counts = np.concatenate([np.diff(part.starts) for part in parts])
    scales = [part.scales for part in parts if part.scales is not None]
    return TokenVectors(
        np.concatenate([part.values for part in parts]),
        np.cumsum([0, *counts], dtype="int64"),
        np.concatenate(scales) if scales else None,
    )


def take_texts(vectors: TokenVectors, first: int, last: int) -> TokenVectors:
    """Returns a copy of the texts from `first` on, before `last`."""
    starts = vectors.starts[first : last + 1]
    part = slice(starts[0], starts[-1])
    scales = None if vectors.scales is None else vectors.scales[part].copy()
    return TokenVectors(vectors.values[part].copy(), starts - starts[0], scales)


def max_sim(query: np.ndarray, documents: TokenVectors, scale: MaxSimScale = "sum") -> np.ndarray:
    """Scores documents for a query.

    Args:
        query: The vectors of the query's tokens, float32 `(tokens, dim)`.
        documents: The vectors of the documents' tokens.
        scale: Whether the best similarities are added up, or their mean is the score. Default: `sum`.

    Returns:
        float32 `(documents,)`.

    Example:
        >>> query, cat = np.eye(2, dtype="float32"), np.array([[0.6, 0.8]], "float32")
        >>> max_sim(query, TokenVectors(cat, np.array([0, 1]))).tolist()  # 0.6 + 0.8
        [1.399999976158142]
    """
    if not len(documents):
        return np.zeros(0, dtype="float32")
    similarities = documents.to_float() @ query.T  # (all documents' tokens, query's tokens)
    best: np.ndarray = np.maximum.reduceat(similarities, documents.starts[:-1], axis=0)
    return (best.sum(axis=1) if scale == "sum" else best.mean(axis=1)).astype("float32")
