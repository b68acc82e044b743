"""Recommendation as a task: two towers, a catalogue of items, and the order of what a user has not taken yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import IndexFolderError, InputError
from tfchain.core.sampling import spread_evenly
from tfchain.core.task import Evaluate
from tfchain.data.interactions.interactions import Interactions
from tfchain.data.interactions.reading import read_interactions
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.tasks.recommendation.catalogue import Catalogue, check_catalogue, make_catalogue
from tfchain.tasks.recommendation.catalogue_folder import CatalogueFolder, read_catalogue
from tfchain.tasks.recommendation.evaluation import find_wanted, make_evaluation
from tfchain.tasks.recommendation.metrics import METRICS, check_metrics
from tfchain.tasks.state_folder import load_state_folder

if TYPE_CHECKING:  # answering needs no training and no graphs: the methods import them
    import keras

    from tfchain.core.hyperparameters import Hyperparameters
    from tfchain.core.judgement import Judge
    from tfchain.tasks.recommendation.graph import ServedRecommendation
    from tfchain.training.fit.options import FitOptions
    from tfchain.training.fit.validation import Validation

TIMED = 256


@dataclass(frozen=True)
class RecommendationTraining:
    """A training that is ready to run; see `core.task.Training`."""

    model: RecommendationModel
    state: Catalogue
    dataset: Interactions
    options: FitOptions


@dataclass(frozen=True)
class LoadedRecommendation:
    """The content of a saved chain's folder; see `core.task.Loaded`."""

    task: RecommendationTask
    model_path: Path
    state: Catalogue | None
    settings: Mapping[str, Any]
    folder: CatalogueFolder
    advice: str = "Train the chain again."

    @property
    def model_options(self) -> Mapping[str, Any]:
        """None: all is stored with the model."""
        return {}


@dataclass(frozen=True)
class RecommendationTask:
    """Recommends items; see `core.task.Task` for its methods.

    The state is a `Catalogue`, or None before a training.

    Args:
        most_windows: The most windows of a user's history in an epoch; see `HistoryWindows`. Default: 2, so that users
            of long histories hardly weigh more than others; None for all.
    """

    most_windows: int | None = 2

    name: ClassVar[str] = "recommendation"
    objective: ClassVar[str] = "ndcg@10"
    metrics: ClassVar[Sequence[str]] = METRICS
    compared: ClassVar[Sequence[str]] = ("ndcg@10", "hit_rate@10", "coverage@10")
    lower_is_better: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if self.most_windows is not None:
            check_whole_number("most_windows", self.most_windows)

    def check_metrics(self, metrics: Sequence[str]) -> None:
        check_metrics(metrics)

    def read_judged(self, source: Any, *, split: str) -> Interactions:
        return read_interactions(source)

    def describe_judged(self, judged: Interactions, state: Any) -> Mapping[str, str]:
        return {"judged": judged.fingerprint, "catalogue": "" if state is None else state.fingerprint}

    def prepare(
        self, model: RecommendationModel, state: Catalogue | None, dataset: Any, options: FitOptions
    ) -> RecommendationTraining:
        interactions = read_interactions(dataset)
        if state is not None:  # the model reads the columns as it did when it was trained first
            interactions = dataclasses.replace(
                interactions,
                users=interactions.users.with_kinds(state.users.kinds, "users"),
                items=interactions.items.with_kinds(state.items.kinds, "items"),
            )
        prepared = model.for_data(interactions)
        catalogue = make_catalogue(interactions)
        if state is not None:  # items that were added since stay
            kept = [row for row, id in enumerate(state.items.ids) if id not in catalogue.item_rows]
            if kept:
                catalogue = catalogue.add(state.items.take(kept), prepared)
        return RecommendationTraining(prepared, catalogue, interactions, options)

    def fit(
        self,
        training: Any,
        hyperparameters: Hyperparameters,
        *,
        evaluate: Evaluate | None = None,
        validation: Validation | None = None,
    ) -> keras.callbacks.History:
        from tfchain.training.recommendation.fit import fit_recommendation

        return fit_recommendation(
            training.model,
            training.dataset,
            hyperparameters,
            training.options,
            evaluate=evaluate,
            validation=validation,
            most_windows=self.most_windows,
        )

    def finish(
        self, model: RecommendationModel, state: Catalogue, judged: Interactions | None, *, batch_size: int
    ) -> Catalogue:
        return state

    def make_evaluation(
        self,
        judged: Interactions,
        state: Catalogue | None,
        *,
        metrics: Sequence[str],
        batch_size: int,
        progress: bool | None = None,
        costs: bool = False,
    ) -> Evaluate:
        return make_evaluation(judged, check_catalogue(state), metrics=metrics, costs=costs)

    def make_judge(self, judged: Interactions, state: Any, *, metric: str | None = None) -> Judge:
        from tfchain.tasks.recommendation.version_judge import make_recommendation_judge

        return make_recommendation_judge(judged, metric=metric or self.objective)

    def learning_texts(self, state: Any) -> Sequence[str] | None:
        return None

    def workload(
        self, judged: Interactions, state: Catalogue | None
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        catalogue = check_catalogue(state)
        users, _ = find_wanted(judged, catalogue)
        histories = [
            {"history": [catalogue.items.ids[row] for row in catalogue.history(user).tolist()]}
            for user in spread_evenly(users, TIMED)
        ]
        return histories, histories

    def check_asked(self, state: Any) -> NoReturn:
        raise InputError(
            "A recommendation is asked a user and a history, not a text. Received: a reference of texts. Leave "
            "`reference` out."
        )

    def asked(self, judged: Interactions) -> NoReturn:
        self.check_asked(None)

    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        if signatures != "text":
            raise InputError(
                f"A recommendation exports all of its signatures. Received: signatures={signatures!r}. Leave it out."
            )
        check_whole_number("top_k", options.get("top_k", 10), advice="Ask for one item or more.")

    def serve(
        self,
        model: RecommendationModel,
        state: Catalogue | None,
        *,
        signatures: str,
        batch_size: int,
        options: Mapping[str, Any],
    ) -> ServedRecommendation:
        from tfchain.tasks.recommendation.graph import ServedRecommendation, make_recommendation_graph

        catalogue = check_catalogue(state)
        graph = make_recommendation_graph(
            model, catalogue, top_k=options.get("top_k", 10), exclude_seen=options.get("exclude_seen", True)
        )
        description = {
            "fingerprint": model.fingerprint,
            "precision": model.precision,
            "items": len(catalogue.items),
            "users": len(catalogue.users),
        }
        return ServedRecommendation(graph, description)

    def settings(self) -> Mapping[str, Any]:
        return {"recommendation": {"most_windows": self.most_windows}}

    def open_folder(self, path: Path) -> CatalogueFolder:
        return CatalogueFolder(Path(path), self.name)

    @classmethod
    def load_folder(cls, path: str | Path) -> LoadedRecommendation:
        """Reads a saved chain's folder.

        Raises:
            IndexFolderError: if the folder has no saved recommendation, or a damaged one.
        """
        loaded = load_state_folder(path, cls.name)
        try:
            task = cls(**loaded.settings["recommendation"])
        except (KeyError, TypeError, InputError) as error:
            raise IndexFolderError(
                f"{path} has settings that cannot be read: {type(error).__name__}: {error}. Save the chain again."
            ) from error
        state = None if loaded.state is None else read_catalogue(Path(path) / str(loaded.state))
        folder = CatalogueFolder(Path(path), cls.name, loaded.commit)
        return LoadedRecommendation(task, loaded.model_path, state, loaded.settings, folder)

    def load_model(self, path: Path, *, engine: Any = "auto", **options: Any) -> RecommendationModel:
        """Reads the model of a saved chain."""
        return RecommendationModel.from_pretrained(path, engine=engine)
