"""`LateInteractionReranker`: ColBERT, which compares texts token by token, on top of what every chain does."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, Unpack

import numpy as np

from tfchain.chains.arguments import make_text_encoder
from tfchain.chains.document_ranker import DocumentRanker
from tfchain.chains.model_holder import ModelHolder
from tfchain.core.hyperparameters import HyperparameterOptions, Hyperparameters
from tfchain.core.texts import check_texts
from tfchain.models.precision import EngineName
from tfchain.models.token_encoder import load_token_encoder, make_token_encoder
from tfchain.models.tokenizers.late import LateTokenizer
from tfchain.tasks.late_interaction.encoding import encode_tokens
from tfchain.tasks.late_interaction.options import LateOptions, TokenStorage
from tfchain.tasks.late_interaction.scoring import score_documents
from tfchain.tasks.late_interaction.task import LateInteractionTask
from tfchain.tasks.late_interaction.token_pooling import pool_texts
from tfchain.tasks.reranking.scoring import (
    LongDocuments,
)


class LateInteractionReranker(DocumentRanker):
    """A reranker that encodes queries and documents apart, with a vector for each token (ColBERT).

    A document's score is MaxSim: the best similarity of each of the query's tokens to one of the document's, added up.
    The documents' vectors do not depend on the query, so that a search computes them once, and reranks at the cost of
    encoding the query: `NeuralSearchChain(reranker=..., rerank_top=50)`. A `Reranker` reads both texts together, which
    ranks better and takes a run of the model for each document.

    `from_pretrained` reads the folders of Stanford's ColBERT, of PyLate, and of sentence-transformers'
    MultiVectorEncoder. The constructor puts a new projection on an encoder, which is to be trained with `fit`: see
    `tasks.reranking.ranked_lists` for its rows.

    Args:
        tokenizer: As in `NeuralSearchChain`, as are learning_rate, batch_size, epochs and engine.
        model: The encoder, which gets a projection. Default: the small English model that comes with tfchain.
        learning_rate: The learning rate of training, above 0. Default: 2e-5.
        batch_size: Rows in one step, and texts in one step of encoding. Default: 32.
        epochs: The number of training epochs. Default: 1.
        dim: The width of a token's vector. Default: 128.
        query_length: The tokens of a query, to which shorter ones are expanded with the mask token. Default: 32.
        document_length: The most tokens of a document. Default: 180, or the encoder's.
        pool_factor: A search keeps one vector for this many tokens of a document: 2 to 4 lose little. Default: 1.
        storage: The numbers in which a search keeps them: `float32`, `float16` or `int8`. Default: `int8`.
        engine: The engine that runs the encoder. Default: `auto`.
        **hyperparameters: More defaults of `fit`: see `Hyperparameters`.

    Raises:
        InputError: if an argument is of the wrong type or out of range.

    Example:
        >>> reranker = LateInteractionReranker.from_pretrained("colbert-ir/colbertv2.0")
        >>> reranker.rank("What does the cat do?", ["Stocks fell on Monday.", "The cat sleeps."])[0].text
        'The cat sleeps.'
    """

    task_type: ClassVar[Any] = LateInteractionTask
    task: LateInteractionTask

    def __init__(
        self,
        tokenizer: Any = None,
        model: Any = None,
        learning_rate: float = 2e-5,
        batch_size: int = 32,
        epochs: int = 1,
        *,
        dim: int = 128,
        query_length: int = 32,
        document_length: int = 180,
        pool_factor: int = 1,
        storage: TokenStorage = "int8",
        engine: EngineName = "auto",
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> None:
        chosen = Hyperparameters().replace(
            learning_rate=learning_rate, batch_size=batch_size, epochs=epochs, **hyperparameters
        )
        task = LateInteractionTask(LateOptions(pool_factor=pool_factor, storage=storage))
        encoder = make_token_encoder(
            make_text_encoder(tokenizer, model, engine=engine),
            dim,
            query_length=query_length,
            document_length=document_length,
            seed=chosen.seed,
        )
        super().__init__(task, encoder, hyperparameters=chosen)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        document_length: int | None = None,
        pool_factor: int = 1,
        storage: TokenStorage = "int8",
        engine: EngineName = "auto",
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> Self:
        """Reads a folder of Stanford's ColBERT, of PyLate, or of sentence-transformers' MultiVectorEncoder.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            document_length: The most tokens of a document. Default: the folder's.
            pool_factor: As in the constructor. Default: 1.
            storage: As in the constructor. Default: `int8`.
            engine: The engine that runs the encoder. Default: `auto`.
            **hyperparameters: Defaults of `fit`: see `Hyperparameters`.

        Raises:
            ModelFolderError: if the folder cannot be read, or holds another kind of model.
            InputError: if an argument is out of range.
        """
        options = LateOptions(pool_factor=pool_factor, storage=storage)
        model, scale = load_token_encoder(name_or_path, engine=engine, document_length=document_length)
        made = cls.__new__(cls)
        task = LateInteractionTask(dataclasses.replace(options, scale=scale))
        ModelHolder.__init__(made, task, model, hyperparameters=Hyperparameters().replace(**hyperparameters))
        return made

    def __repr__(self) -> str:
        return f"<LateInteractionReranker: {self.dim} numbers a token, documents of {self.document_length} tokens>"

    @property
    def options(self) -> LateOptions:
        """How a score is made, and how a search keeps the vectors of documents."""
        return self.task.options

    @property
    def dim(self) -> int:
        """The width of a token's vector."""
        config = self.text_encoder.config
        assert config is not None  # only tfchain's own encoders have token vectors
        return config.vector_dim

    @property
    def query_length(self) -> int:
        """The most tokens of a query."""
        return self.text_encoder.query_tokenizer.max_length

    @property
    def document_length(self) -> int:
        """The most tokens of a document."""
        return self.text_encoder.document_tokenizer.max_length

    def encode_query(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Returns the vectors of each query's tokens, float32 `(tokens, dim)` each."""
        return self._encode(texts, "query", 1)

    def encode_document(self, texts: Sequence[str], *, pool_factor: int = 1) -> list[np.ndarray]:
        """Returns the vectors of each document's tokens, float32 `(tokens, dim)` each.

        Args:
            texts: The documents.
            pool_factor: How many tokens have one vector: see `pool_tokens`. Default: 1.
        """
        return self._encode(texts, "document", LateOptions(pool_factor=pool_factor).pool_factor)

    def _encode(self, texts: Sequence[str], role: Any, pool_factor: int) -> list[np.ndarray]:
        checked = check_texts(texts)
        with self._current() as current:
            found = encode_tokens(current.text_encoder, checked, role, batch_size=self.hyperparameters.batch_size)
        pooled = pool_texts(found, pool_factor)
        return [pooled.take(row) for row in range(len(pooled))]

    def _score(
        self, query: str, documents: list[str], within_ms: float | None, long_documents: LongDocuments
    ) -> np.ndarray:
        with self._current() as current:
            return score_documents(
                current.text_encoder,
                query,
                documents,
                LateOptions(self.options.scale, storage="float32"),
                long_documents=long_documents,
                within_ms=within_ms,
                batch_size=self.hyperparameters.batch_size,
            )

    def _write_pretrained(self, folder: Path) -> None:
        """Writes what sentence-transformers' MultiVectorEncoder loads."""
        from tfchain.models.save_token_encoder import save_multi_vector_encoder

        encoder, tokenizer = self.text_encoder, self.text_encoder.query_tokenizer
        assert isinstance(tokenizer, LateTokenizer)  # of late interaction
        save_multi_vector_encoder(
            encoder.own_encoder,
            folder,
            tokenizer=tokenizer,
            document_length=self.document_length,
            prompts=encoder.prompts,
            scale=self.options.scale,
        )
