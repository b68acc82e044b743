"""Reranking in a version by tfchain's own kernels: passages as token ids beside a cross-encoder, without TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.native_text_encoder import NativeTextEncoder, save_native_text_encoder
from tfchain.models.tokenizers.pairs import PairTokenizer
from tfchain.tasks.reranking.passages import PassageTokens, tokenize_passages
from tfchain.tasks.reranking.scoring import activate

if TYPE_CHECKING:  # a server reads a version without what made it
    from tfchain.core.proof import Proof
    from tfchain.models.text_encoder import TextEncoder
    from tfchain.tasks.search.document_index import DocumentIndex
    from tfchain.tasks.search.second_stage import SecondStage

RERANKER = "reranker"
PASSAGES = ("ids", "starts", "firsts")


@dataclass(frozen=True)
class NativeSecondStage:
    """A reranker before it is written into a version.

    Args:
        model: The cross-encoder in int8, run by the kernels.
        index: The documents.
        candidates: How many documents of a search are reranked.
        top_k: The number of documents in an answer.
    """

    model: "TextEncoder"
    index: "DocumentIndex"
    candidates: int
    top_k: int

    @classmethod
    def prepare(cls, stage: "SecondStage", index: "DocumentIndex", top_k: int) -> "NativeSecondStage":
        """Returns the reranker, run by the kernels, of an encoder for which `can_serve_natively` is True."""
        from tfchain.tasks.search.reranked_graph import count_candidates

        model = stage.model.with_precision("int8", engine="native")
        return cls(model, index, count_candidates(stage, index, top_k), top_k)

    def save(self, path: Path) -> None:
        """Writes the folder `reranker` for `LoadedSecondStage`."""
        folder = path / RERANKER
        folder.mkdir()
        save_native_text_encoder(self.model, folder)
        passages = tokenize_passages(self.model.tokenizer, [document.full_text for document in self.index])
        for name in PASSAGES:
            np.save(folder / f"{name}.npy", getattr(passages, name))

    def prove(self, texts: Sequence[str], vectors: np.ndarray, tolerance: float) -> list["Proof"]:
        """Returns the proofs of the search, and of the filtered one if documents have metadata."""
        from tfchain.tasks.search.reranked_graph import prove_reranked
        from tfchain.tasks.search.search_lookup import has_metadata
        from tfchain.tasks.search.second_stage import SecondStage

        stage = SecondStage(self.model, self.candidates)
        filters = [None, np.arange(len(self.index)) % 3 != 0] if has_metadata(self.index) else [None]
        return [
            prove_reranked(
                self.index, stage, list(texts), vectors, top_k=self.top_k, tolerance=tolerance, allowed=allowed
            )
            for allowed in filters
        ]


class LoadedSecondStage:
    """A reranker of a version.

    Args:
        path: The folder of the version's native files.
        num_documents: The number of documents in the index.

    Raises:
        ModelFolderError: if the files do not belong together.
    """

    def __init__(self, path: Path, num_documents: int) -> None:
        folder = path / RERANKER
        self._encoder = NativeTextEncoder(folder)
        self._passages = PassageTokens(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in PASSAGES})
        if len(self._passages.firsts) != num_documents + 1 or not isinstance(self._encoder.tokenizer, PairTokenizer):
            raise ModelFolderError(
                f"{folder} is not the reranker of {num_documents} documents. Export the version again."
            )
        self._tokenizer = self._encoder.tokenizer

    def rank(
        self, queries: Sequence[str], rows: np.ndarray, scores: np.ndarray, top_k: int
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Puts the documents of a search in order.

        Args:
            queries: The queries.
            rows: The documents' rows, `(queries, candidates)`.
            scores: The search's scores; -inf for a place without a document.
            top_k: The number of documents to keep.

        Returns:
            Rows and scores from 0 to 1, `(queries, kept)`; None if only TensorFlow can compute them.
        """
        kept = min(top_k, rows.shape[1])
        ranked, best = np.empty((len(queries), kept), rows.dtype), np.empty((len(queries), kept), "float32")
        for number, (query, found) in enumerate(zip(queries, rows, strict=True)):
            outputs = self._score(query, found.tolist())
            if outputs is None:
                return None
            made = np.where(np.isneginf(scores[number]), -np.inf, activate(outputs, "sigmoid"))
            order = np.argsort(-made, kind="stable")[:kept]
            ranked[number], best[number] = found[order], made[order]
        return ranked, best

    def _score(self, query: str, rows: Sequence[int]) -> np.ndarray | None:
        """Returns the best output of each document."""
        asked = self._tokenizer.find_ids([query])[0]
        passages = [self._passages.take(row) for row in rows]
        token_ids = [self._tokenizer.join_ids(asked, passage) for cut in passages for passage in cut]
        outputs = self._encoder.encode_ids(token_ids) if token_ids else np.zeros((0, 1), "float32")
        if outputs is None or not token_ids:
            return None if outputs is None else np.zeros(0, "float32")
        bounds = np.cumsum([0, *map(len, passages[:-1])])
        return np.maximum.reduceat(outputs[:, 0], bounds)
