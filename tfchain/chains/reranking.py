"""`Reranker`: a cross-encoder, which reads a query and a document together, on top of what every chain does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, Unpack

import numpy as np

from tfchain.chains.arguments import make_text_encoder
from tfchain.chains.document_ranker import DocumentRanker
from tfchain.chains.model_holder import ModelHolder
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import HyperparameterOptions, Hyperparameters
from tfchain.models.pair_encoder import load_pair_encoder, make_pair_encoder, save_pair_encoder
from tfchain.models.precision import EngineName
from tfchain.models.weights.reranker_folder import ScoreActivation
from tfchain.tasks.reranking.scoring import (
    LongDocuments,
    check_pair_list,
    score_documents,
    score_pairs,
)
from tfchain.tasks.reranking.task import RerankingTask


class Reranker(DocumentRanker):
    """A cross-encoder from a folder, or from labelled pairs, to a served model.

    It reads query and document together, so that it ranks better than the product of two vectors, and takes a run of
    the model for each document. Let a search find some dozen documents, and a reranker put them in order:
    `NeuralSearchChain(reranker=..., rerank_top=50)`.

    `from_pretrained` reads sentence-transformers' CrossEncoder folders. The constructor puts a new head on an encoder,
    which is to be trained with `fit`: see `tasks.reranking.ranked_lists` for its rows.

    Args:
        tokenizer: As in `NeuralSearchChain`, as are learning_rate, batch_size, epochs and engine.
        model: The encoder, which gets a head. Default: the small English model that comes with tfchain.
        learning_rate: The learning rate of training, above 0. Default: 2e-5.
        batch_size: Rows in one step, and pairs in one step of scoring. Default: 32.
        epochs: The number of training epochs. Default: 1.
        max_length: The most tokens of a pair. Default: the encoder's number of positions.
        activation: What makes a score of the model's output: `sigmoid`, for scores from 0 to 1, or `identity`. Default:
            `sigmoid`.
        engine: The engine that runs the encoder. Default: `auto`.
        **hyperparameters: More defaults of `fit`: see `Hyperparameters`.

    Raises:
        InputError: if an argument is of the wrong type or out of range.

    Example:
        >>> reranker = Reranker.from_pretrained("cross-encoder/ms-marco-MiniLM-L6-v2")
        >>> reranker.rank("What does the cat do?", ["Stocks fell on Monday.", "The cat sleeps."])[0].text
        'The cat sleeps.'
    """

    task_type: ClassVar[Any] = RerankingTask
    task: RerankingTask

    def __init__(
        self,
        tokenizer: Any = None,
        model: Any = None,
        learning_rate: float = 2e-5,
        batch_size: int = 32,
        epochs: int = 1,
        *,
        max_length: int | None = None,
        activation: ScoreActivation = "sigmoid",
        engine: EngineName = "auto",
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> None:
        chosen = Hyperparameters().replace(
            learning_rate=learning_rate, batch_size=batch_size, epochs=epochs, **hyperparameters
        )
        task = RerankingTask(activation)
        encoder = make_text_encoder(tokenizer, model, engine=engine)
        super().__init__(
            task, make_pair_encoder(encoder, max_length=max_length, seed=chosen.seed), hyperparameters=chosen
        )

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        max_length: int | None = None,
        activation: ScoreActivation | None = None,
        engine: EngineName = "auto",
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> Self:
        """Reads a CrossEncoder's folder, or a plain one of a model for sequence classification.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            max_length: The most tokens of a pair. Default: the folder's.
            activation: What makes a score of an output. Default: the folder's; without one `sigmoid` for one output,
                and `identity` for several.
            engine: The engine that runs the encoder. Default: `auto`.
            **hyperparameters: Defaults of `fit`: see `Hyperparameters`.

        Raises:
            ModelFolderError: if the folder cannot be read, or holds another kind of model.
            InputError: if an argument is out of range.
        """
        model, found = load_pair_encoder(name_or_path, engine=engine, max_length=max_length)
        made = cls.__new__(cls)
        task = RerankingTask(found if activation is None else activation)
        ModelHolder.__init__(made, task, model, hyperparameters=Hyperparameters().replace(**hyperparameters))
        return made

    def __repr__(self) -> str:
        return f"<Reranker: {self.max_length} tokens, {self.num_labels} output(s), {self.activation}>"

    @property
    def activation(self) -> ScoreActivation:
        """What makes a score of the model's output: `sigmoid` or `identity`."""
        return self.task.activation

    @property
    def max_length(self) -> int:
        """The most tokens of a pair."""
        return self.text_encoder.tokenizer.max_length

    @property
    def num_labels(self) -> int:
        """The number of outputs; one for a model that ranks."""
        return self.text_encoder.embedding_dim

    def predict(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        activation: ScoreActivation | None = None,
        progress: bool | None = None,
    ) -> np.ndarray:
        """Scores pairs of texts.

        Args:
            pairs: (query, document) pairs.
            activation: What makes a score of an output. Default: the model's.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            float32 `(pairs,)`; `(pairs, outputs)` of a model with several outputs.

        Raises:
            InputError: if an item is not a pair of texts.
        """
        checked = check_pair_list(pairs)
        task = self.task if activation is None else RerankingTask(activation)
        with self._current() as current:
            return score_pairs(
                current.text_encoder,
                checked,
                task.activation,
                batch_size=self.hyperparameters.batch_size,
                progress=progress,
            )

    def _score(
        self, query: str, documents: list[str], within_ms: float | None, long_documents: LongDocuments
    ) -> np.ndarray:
        if self.num_labels != 1:
            raise InputError(
                f"A model of one output ranks documents. Received: a model of {self.num_labels} outputs. Use `predict`."
            )
        with self._current() as current:
            return score_documents(
                current.text_encoder,
                query,
                documents,
                self.activation,
                long_documents=long_documents,
                within_ms=within_ms,
                batch_size=self.hyperparameters.batch_size,
            )

    def _write_pretrained(self, folder: Path) -> None:
        """Writes what sentence-transformers' CrossEncoder loads."""
        save_pair_encoder(self.text_encoder, folder, activation=self.activation)
