"""Scores pairs of queries and documents with an encoder, or with a function such as a cross-encoder's `predict`."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder

PAIRS_AT_ONCE = 4_096

CrossCheck = Callable[[list[str], list[str]], np.ndarray] | TextEncoder


def check_cross_check(cross_check: Any) -> None:
    """Raises an InputError if `cross_check` is neither a text encoder nor a function."""
    if not hasattr(cross_check, "encode_query") and not callable(cross_check):
        raise InputError(
            "`cross_check` must be a text encoder, or a function from queries and documents to scores. "
            f"Received: {type(cross_check).__name__}.",
            argument="cross_check",
        )


class PairScorer(Protocol):
    """Scores pairs of a query and a document."""

    def score(self, queries: np.ndarray, places: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """The score of each pair.

        Args:
            queries: int64 `(pairs,)`, numbers of queries.
            places: int64 `(pairs,)`, places in `texts`.
            texts: Documents, each of which is in a pair.

        Returns:
            float32 `(pairs,)`.
        """


class EncoderScorer:
    """Compares vectors by the encoder's similarity.

    Args:
        text_encoder: The encoder.
        queries: All queries; the constructor encodes them.
        symmetric: Whether texts are encoded without prompts.
        batch_size: Texts encoded at once.
        progress: Whether to show a progress bar for the queries.

    Attributes:
        queries: The queries' vectors, float32 `(queries, dim)`, of length 1 if the similarity is the cosine.
    """

    def __init__(
        self,
        text_encoder: TextEncoder,
        queries: Sequence[str],
        *,
        symmetric: bool = False,
        batch_size: int = 32,
        progress: bool | None = None,
    ) -> None:
        self.text_encoder = text_encoder
        self.symmetric = symmetric
        self.batch_size = batch_size
        self.queries = self._prepare(
            text_encoder.encode(queries, prompt="", batch_size=batch_size, progress=progress)
            if symmetric
            else text_encoder.encode_query(queries, batch_size=batch_size, progress=progress)
        )

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of documents, float32 `(texts, dim)`."""
        return self._prepare(
            self.text_encoder.encode(texts, prompt="", batch_size=self.batch_size, progress=False)
            if self.symmetric
            else self.text_encoder.encode_document(texts, batch_size=self.batch_size, progress=False)
        )

    def score(self, queries: np.ndarray, places: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        vectors = self.encode(texts)
        scores = np.empty(len(queries), dtype=np.float32)
        for begin in range(0, len(queries), PAIRS_AT_ONCE):
            part = slice(begin, begin + PAIRS_AT_ONCE)
            scores[part] = np.einsum("ij,ij->i", self.queries[queries[part]], vectors[places[part]])
        return scores

    def _prepare(self, vectors: np.ndarray) -> np.ndarray:
        vectors = np.asarray(vectors, dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise InputError("The model's vectors must be finite. Received: NaN or infinity. Check its weights.")
        if self.text_encoder.similarity == "cosine":
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors


class FunctionScorer:
    """Asks a function for the score of each pair.

    Args:
        function: Takes a list of queries and a list of documents, equally long, and returns their scores, higher for a
            better match.
        queries: All queries.
    """

    def __init__(self, function: Callable[[list[str], list[str]], np.ndarray], queries: Sequence[str]) -> None:
        self.function = function
        self.queries = queries

    def score(self, queries: np.ndarray, places: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        scores = np.empty(len(queries), dtype=np.float32)
        for begin in range(0, len(queries), PAIRS_AT_ONCE):
            part = slice(begin, begin + PAIRS_AT_ONCE)
            asked = [self.queries[number] for number in queries[part]]
            given = np.asarray(self.function(asked, [texts[place] for place in places[part]]))
            if given.shape != (len(asked),) or given.dtype.kind not in "fiu" or not np.isfinite(given).all():
                raise InputError(
                    f"`cross_check` must return one finite number for each of {len(asked)} pairs. Received: shape "
                    f"{given.shape}, dtype {given.dtype}. For a cross-encoder: lambda queries, documents: "
                    "model.predict(list(zip(queries, documents)))."
                )
            scores[part] = given
        return scores
