"""Search as a task: the state is an index of documents, and the objective is their ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tfchain.core.errors import IndexFolderError, InputError
from tfchain.core.filters.files import make_metadata_files
from tfchain.core.judgement import Judge
from tfchain.core.task import Evaluate
from tfchain.core.titles import make_title_files
from tfchain.models.precision import EngineName
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.ranking_metrics import DEFAULT_METRICS, largest_cutoff
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.index_folder import IndexFolder, load_index_folder
from tfchain.tasks.search.search import PassageConfig
from tfchain.tasks.stages import Loaded, Served, Training

if TYPE_CHECKING:  # answering needs no training and no graphs: the other methods import them
    import keras

    from tfchain.core.hyperparameters import Hyperparameters
    from tfchain.data.documents.beir import BeirDataset
    from tfchain.training.fit.options import FitOptions
    from tfchain.training.fit.validation import Validation


@dataclass(frozen=True)
class SearchTask:
    """Finds the documents that answer a question; see `core.task.Task` for its methods.

    The state is a `DocumentIndex`, or None before the first document.

    Args:
        passages: How documents longer than the model's maximum length are handled. Default: they are split.
    """

    passages: PassageConfig = field(default_factory=PassageConfig)

    name: ClassVar[str] = "search"
    objective: ClassVar[str] = "ndcg@10"
    metrics: ClassVar[Sequence[str]] = DEFAULT_METRICS
    compared: ClassVar[Sequence[str]] = ("ndcg@10", "recall@100")
    lower_is_better: ClassVar[frozenset[str]] = frozenset()

    def check_metrics(self, metrics: Sequence[str]) -> None:
        largest_cutoff(metrics)

    def read_judged(self, source: Any, *, split: str) -> BeirDataset:
        from tfchain.tasks.search.evaluation import read_evaluation

        return read_evaluation(source, split=split)

    def describe_judged(self, judged: BeirDataset, state: DocumentIndex | None) -> Mapping[str, str]:
        from tfchain.tasks.search.evaluation import describe_judged, find_documents

        return describe_judged(judged, find_documents(judged, state), self.passages)

    def prepare(self, model: TextEncoder, state: DocumentIndex | None, dataset: Any, options: FitOptions) -> Training:
        return Training(model, state, dataset, options)

    def fit(
        self,
        training: Training,
        hyperparameters: Hyperparameters,
        *,
        evaluate: Evaluate | None = None,
        validation: Validation | None = None,
    ) -> keras.callbacks.History:
        from tfchain.training.fit.fit import fit_text_encoder

        return fit_text_encoder(
            training.model,
            training.dataset,
            hyperparameters,
            training.options,
            evaluate=evaluate,
            validation=validation,
        )

    def finish(
        self, model: TextEncoder, state: DocumentIndex | None, judged: BeirDataset | None, *, batch_size: int
    ) -> DocumentIndex | None:
        return state

    def make_evaluation(
        self,
        judged: BeirDataset,
        state: DocumentIndex | None,
        *,
        metrics: Sequence[str],
        batch_size: int,
        progress: bool | None = None,
        costs: bool = False,
        second_stage: Any = None,
    ) -> Evaluate:
        from tfchain.tasks.search.evaluation import find_documents, make_evaluation

        return make_evaluation(
            judged,
            find_documents(judged, state),
            self.passages,
            index=state,
            metrics=metrics,
            batch_size=batch_size,
            progress=progress,
            index_bytes=costs,
            second_stage=second_stage,
        )

    def make_judge(self, judged: BeirDataset, state: DocumentIndex | None, *, metric: str | None = None) -> Judge:
        from tfchain.tasks.search.version_judge import make_search_judge

        return make_search_judge(judged, metric=metric or self.objective)

    def learning_texts(self, state: DocumentIndex | None) -> list[str]:
        return [document.full_text for document in state or () if document.full_text.strip()]

    def workload(self, judged: BeirDataset, state: DocumentIndex | None) -> tuple[list[str], list[str]]:
        from tfchain.tasks.search.evaluation import find_documents

        return list(judged.queries.values()), [document.full_text for document in find_documents(judged, state)]

    def check_asked(self, state: Any) -> None:
        """Users ask texts."""

    def asked(self, judged: BeirDataset) -> tuple[list[str], None]:
        return list(judged.queries.values()), None

    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        from tfchain.tasks.search.search_graph import check_graph_options

        check_graph_options(options["top_k"], signatures)

    def serve(
        self,
        model: TextEncoder,
        state: DocumentIndex | None,
        *,
        signatures: str,
        batch_size: int,
        options: Mapping[str, Any],
    ) -> Served:
        from tfchain.tasks.search.native_search import make_native_search
        from tfchain.tasks.search.search_graph import make_search_graph
        from tfchain.tasks.search.second_stage import serve_second_stage
        from tfchain.tasks.search.served_precision import to_served

        stage = options.get("second_stage")
        served = to_served(model, state, self.passages, signatures=signatures, batch_size=batch_size)
        graph = make_search_graph(
            served.text_encoder,
            served.index,
            top_k=options["top_k"],
            signatures=signatures,
            litert=served.litert,
            second_stage=None if stage is None else serve_second_stage(stage, state),
        )
        documents = list(state) if graph.has_text and state is not None else []
        ids = [document.id for document in documents]
        metadata = make_metadata_files(ids, [document.metadata for document in documents])
        titles = make_title_files(ids, [document.title for document in documents])
        described = {
            "fingerprint": served.text_encoder.model_fingerprint,
            "max_length": model.longest,
            "documents": len(state) if state is not None else 0,
            "has_metadata": bool(metadata),
            "text_model": graph.text_model,
            "top_k": options["top_k"],
            **served.description,
        }
        if stage is not None:
            described |= {"reranks": graph.has_text, "rerank_top": stage.top}
        native = None
        if graph.has_text:
            index = None if state is None else state.snapshot()
            native = make_native_search(model, index, top_k=options["top_k"], texts=graph.texts, second_stage=stage)
        return Served(graph, {**served.files, **graph.text_files, **metadata, **titles}, described, native)

    def settings(self) -> Mapping[str, Any]:
        return {"passages": self.passages.to_dict()}

    def open_folder(self, path: Path) -> IndexFolder:
        return IndexFolder(path)

    @classmethod
    def load_folder(cls, path: str | Path) -> Loaded:
        """Reads a saved chain's folder.

        Raises:
            IndexFolderError: if the folder has no saved chain, or a damaged one.
        """
        loaded = load_index_folder(path)
        try:
            task = cls(PassageConfig(**loaded.settings["passages"]))
        except (KeyError, TypeError, InputError) as error:
            raise IndexFolderError(
                f"{path} has settings that cannot be read: {type(error).__name__}: {error}. {loaded.advice}"
            ) from error
        options = {"similarity": loaded.index.vectors.similarity}
        return Loaded(task, loaded.model_path, loaded.index, loaded.settings, loaded.folder, loaded.advice, options)

    def load_model(self, path: Path, *, engine: EngineName = "auto", **options: Any) -> TextEncoder:
        """Reads the text encoder of a saved chain."""
        return TextEncoder.from_pretrained(path, engine=engine, **options)
