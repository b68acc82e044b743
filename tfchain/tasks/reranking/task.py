"""Reranking as a task: the model is a cross-encoder, and the objective the order of a query's documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from tfchain.core.errors import IndexFolderError, InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.judgement import Judge
from tfchain.core.sampling import spread_evenly
from tfchain.core.task import Evaluate
from tfchain.models.precision import EngineName
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import join_pair
from tfchain.models.weights.reranker_folder import ScoreActivation
from tfchain.tasks.ranking_metrics import largest_cutoff
from tfchain.tasks.reranking.evaluation import make_evaluation
from tfchain.tasks.reranking.ranked_lists import RankedLists, read_ranked_lists
from tfchain.tasks.stages import Loaded, Served, Training
from tfchain.tasks.state_folder import StateFolder, load_state_folder

if TYPE_CHECKING:  # answering needs no training and no graphs: the methods import them
    import keras

    from tfchain.core.hyperparameters import Hyperparameters
    from tfchain.training.fit.options import FitOptions
    from tfchain.training.fit.validation import Validation

SAMPLE_PAIRS = 64  # the number that a calibration of int8 reads


@dataclass(frozen=True)
class RerankingTask:
    """Scores documents for a query; see `core.task.Task` for its methods.

    The state is a sample of joined pairs of the training, on which `export` calibrates int8, or None before it.

    Args:
        activation: What makes a score of an output: `sigmoid`, for scores from 0 to 1, or `identity`. Default:
            `sigmoid`.

    Raises:
        InputError: if the activation is unknown.
    """

    activation: ScoreActivation = "sigmoid"

    name: ClassVar[str] = "reranking"
    objective: ClassVar[str] = "ndcg@10"
    metrics: ClassVar[Sequence[str]] = ("ndcg@10", "mrr@10", "map")
    compared: ClassVar[Sequence[str]] = ("ndcg@10", "mrr@10")
    lower_is_better: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if self.activation not in get_args(ScoreActivation):
            raise InputError(
                f"`activation` must be one of {', '.join(get_args(ScoreActivation))}. "
                f"Received: activation={self.activation!r}."
            )

    def check_metrics(self, metrics: Sequence[str]) -> None:
        largest_cutoff(metrics)

    def read_judged(self, source: Any, *, split: str) -> RankedLists:
        lists = read_ranked_lists(source, split=split)
        if not any(label >= 1 for labels in lists.labels for label in labels):
            raise InputError("A list to evaluate must have a document with a label of 1 or more. Received: none.")
        return lists

    def describe_judged(self, judged: RankedLists, state: Any) -> Mapping[str, str]:
        values = [
            list(judged.queries),
            [list(texts) for texts in judged.documents],
            [list(row) for row in judged.labels],
        ]
        return {"judged": make_fingerprint({"lists": values}, ())}

    def prepare(self, model: TextEncoder, state: Any, dataset: Any, options: FitOptions) -> Training:
        from tfchain.tasks.reranking.training import make_training_rows

        pairs, loss = make_training_rows(model, read_ranked_lists(dataset, split=options.split), options)
        sample = tuple(spread_evenly(pairs.columns[0], SAMPLE_PAIRS))
        return Training(model, sample, pairs, dataclasses.replace(options, loss=loss))

    def fit(
        self,
        training: Training,
        hyperparameters: Hyperparameters,
        *,
        evaluate: Evaluate | None = None,
        validation: Validation | None = None,
    ) -> keras.callbacks.History:
        from tfchain.training.fit.fit import fit_text_encoder

        given: dict[str, Any] = {"evaluate": evaluate, "validation": validation}
        return fit_text_encoder(training.model, training.dataset, hyperparameters, training.options, **given)

    def finish(self, model: TextEncoder, state: Any, judged: RankedLists | None, *, batch_size: int) -> Any:
        return state

    def make_evaluation(
        self,
        judged: RankedLists,
        state: Any,
        *,
        metrics: Sequence[str],
        batch_size: int,
        progress: bool | None = None,
        costs: bool = False,
    ) -> Evaluate:
        return make_evaluation(judged, metrics=metrics, batch_size=batch_size, progress=progress)

    def make_judge(self, judged: RankedLists, state: Any, *, metric: str | None = None) -> Judge:
        from tfchain.tasks.reranking.version_judge import make_reranking_judge

        return make_reranking_judge(judged, metric=metric or self.objective)

    def learning_texts(self, state: Any) -> Sequence[str] | None:
        return list(state) if state else None

    def workload(self, judged: RankedLists, state: Any) -> tuple[list[str], list[str]]:
        joined = [
            join_pair(query, document)
            for query, documents in zip(judged.queries, judged.documents, strict=True)
            for document in documents
        ]
        return joined, joined

    def check_asked(self, state: Any) -> None:
        """Users ask texts."""

    def asked(self, judged: RankedLists) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        return judged.queries, judged.documents

    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        from tfchain.tasks.text_graph import check_signatures

        check_signatures(signatures)

    def serve(
        self, model: TextEncoder, state: Any, *, signatures: str, batch_size: int, options: Mapping[str, Any]
    ) -> Served:
        from tfchain.tasks.reranking.graph import make_served

        return make_served(model, self.learning_texts(state) or (), self.activation, signatures=signatures)

    def settings(self) -> Mapping[str, Any]:
        return {"activation": self.activation}

    def open_folder(self, path: Path) -> StateFolder:
        return StateFolder(path, self.name, _to_plain)

    @classmethod
    def load_folder(cls, path: str | Path) -> Loaded:
        """Reads a saved chain's folder.

        Raises:
            IndexFolderError: if the folder has no saved reranker, or a damaged one.
        """
        loaded = load_state_folder(path, cls.name)
        try:
            task = cls(loaded.settings["activation"])
            state = None if loaded.state is None else tuple(map(str, loaded.state))
        except (KeyError, TypeError, InputError) as error:
            raise IndexFolderError(
                f"{path} has settings that cannot be read: {type(error).__name__}: {error}. Save the reranker again."
            ) from error
        return Loaded(
            task, loaded.model_path, state, loaded.settings, StateFolder(Path(path), cls.name, _to_plain, loaded.commit)
        )

    def load_model(self, path: Path, *, engine: EngineName = "auto", **options: Any) -> TextEncoder:
        """Reads the text encoder of a saved chain."""
        return TextEncoder.from_pretrained(path, engine=engine, **options)


def _to_plain(state: Any) -> Any:
    return None if state is None else list(state)
