"""Late interaction as a task: the model gives a vector for each token, and the objective is the documents' order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tfchain.core.errors import IndexFolderError, InputError
from tfchain.core.sampling import spread_evenly
from tfchain.core.task import Evaluate
from tfchain.models.precision import EngineName
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.late_interaction.options import LateOptions
from tfchain.tasks.reranking.ranked_lists import RankedLists, read_ranked_lists
from tfchain.tasks.reranking.task import RerankingTask
from tfchain.tasks.stages import Loaded, Served, Training
from tfchain.tasks.state_folder import StateFolder, load_state_folder

if TYPE_CHECKING:  # answering needs no training and no graphs: the methods import them
    import keras

    from tfchain.core.hyperparameters import Hyperparameters
    from tfchain.core.judgement import Judge
    from tfchain.training.fit.options import FitOptions
    from tfchain.training.fit.validation import Validation

SAMPLE_TEXTS = 64  # the number that a calibration of int8 reads
JUDGING = RerankingTask()  # reads and describes the same lists


@dataclass(frozen=True)
class LateInteractionTask:
    """Scores documents for a query, token by token; see `core.task.Task` for its methods.

    The state is a sample of the documents of the training, on which `export` calibrates int8, or None before it.

    Args:
        options: How a score is made, and how a search keeps the vectors. Default: `LateOptions()`.
    """

    options: LateOptions = field(default_factory=LateOptions)

    name: ClassVar[str] = "late_interaction"
    objective: ClassVar[str] = "ndcg@10"
    metrics: ClassVar[Sequence[str]] = RerankingTask.metrics
    compared: ClassVar[Sequence[str]] = RerankingTask.compared
    lower_is_better: ClassVar[frozenset[str]] = frozenset()

    def check_metrics(self, metrics: Sequence[str]) -> None:
        JUDGING.check_metrics(metrics)

    def read_judged(self, source: Any, *, split: str) -> RankedLists:
        return JUDGING.read_judged(source, split=split)

    def describe_judged(self, judged: RankedLists, state: Any) -> Mapping[str, str]:
        return JUDGING.describe_judged(judged, state)

    def prepare(self, model: TextEncoder, state: Any, dataset: Any, options: FitOptions) -> Training:
        from tfchain.tasks.late_interaction.training import make_training_rows

        pairs, loss = make_training_rows(model, read_ranked_lists(dataset, split=options.split), options)
        sample = tuple(spread_evenly(pairs.columns[1], SAMPLE_TEXTS))
        return Training(model, sample, pairs, dataclasses.replace(options, loss=loss))

    def fit(
        self,
        training: Training,
        hyperparameters: Hyperparameters,
        *,
        evaluate: Evaluate | None = None,
        validation: Validation | None = None,
    ) -> keras.callbacks.History:
        return JUDGING.fit(training, hyperparameters, evaluate=evaluate, validation=validation)

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
        from tfchain.tasks.late_interaction.evaluation import make_evaluation

        return make_evaluation(judged, metrics=metrics, batch_size=batch_size, progress=progress)

    def make_judge(self, judged: RankedLists, state: Any, *, metric: str | None = None) -> Judge:
        return JUDGING.make_judge(judged, state, metric=metric)

    def learning_texts(self, state: Any) -> Sequence[str] | None:
        return list(state) if state else None

    def workload(self, judged: RankedLists, state: Any) -> tuple[list[str], list[str]]:
        return list(judged.queries), [text for documents in judged.documents for text in documents]

    def check_asked(self, state: Any) -> None:
        """Users ask texts."""

    def asked(self, judged: RankedLists) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        return judged.queries, judged.documents

    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        JUDGING.check_serving(signatures=signatures, options=options)

    def serve(
        self, model: TextEncoder, state: Any, *, signatures: str, batch_size: int, options: Mapping[str, Any]
    ) -> Served:
        from tfchain.tasks.late_interaction.graph import make_served

        return make_served(model, self.learning_texts(state) or (), self.options, signatures=signatures)

    def settings(self) -> Mapping[str, Any]:
        return {"late": dataclasses.asdict(self.options)}

    def open_folder(self, path: Path) -> StateFolder:
        return StateFolder(path, self.name, _to_plain)

    @classmethod
    def load_folder(cls, path: str | Path) -> Loaded:
        """Reads a saved chain's folder.

        Raises:
            IndexFolderError: if the folder has no saved model of late interaction, or a damaged one.
        """
        loaded = load_state_folder(path, cls.name)
        try:
            task = cls(LateOptions(**loaded.settings["late"]))
            state = None if loaded.state is None else tuple(map(str, loaded.state))
        except (KeyError, TypeError, InputError) as error:
            raise IndexFolderError(
                f"{path} has settings that cannot be read: {type(error).__name__}: {error}. Save the reranker again."
            ) from error
        folder = StateFolder(Path(path), cls.name, _to_plain, loaded.commit)
        return Loaded(task, loaded.model_path, state, loaded.settings, folder)

    def load_model(self, path: Path, *, engine: EngineName = "auto", **options: Any) -> TextEncoder:
        """Reads the text encoder of a saved chain."""
        return TextEncoder.from_pretrained(path, engine=engine, **options)


def _to_plain(state: Any) -> Any:
    return None if state is None else list(state)
