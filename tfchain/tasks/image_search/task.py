"""Image search as a task: the state is an index of pictures, and the objective is the ranking for their captions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tfchain.core.errors import IndexFolderError
from tfchain.core.judgement import Judge
from tfchain.core.task import Evaluate
from tfchain.models.images.image_text_model import ImageTextModel
from tfchain.tasks.image_search.evaluation import JudgedPictures, describe_judged, make_evaluation, read_judged
from tfchain.tasks.image_search.picture_folder import PictureFolder, load_picture_folder
from tfchain.tasks.image_search.picture_index import PictureIndex
from tfchain.tasks.ranking_metrics import largest_cutoff
from tfchain.tasks.stages import Loaded

if TYPE_CHECKING:  # answering needs no training and no graphs: the methods import them
    import keras

    from tfchain.core.hyperparameters import Hyperparameters
    from tfchain.tasks.image_search.graph import ImageGraph
    from tfchain.training.fit.options import FitOptions
    from tfchain.training.fit.validation import Validation

TIMED_PICTURES = 64


@dataclass(frozen=True)
class ImageTraining:
    """A training that is ready to run; see `core.task.Training`."""

    model: ImageTextModel
    state: PictureIndex | None
    dataset: Any
    options: FitOptions


@dataclass(frozen=True)
class ServedImages:
    """A version before it is written; see `core.task.Served`."""

    graph: ImageGraph
    files: Mapping[str, bytes] = field(default_factory=dict)
    description: Mapping[str, Any] = field(default_factory=dict)
    native: None = None


@dataclass(frozen=True)
class ImageSearchTask:
    """Finds pictures for texts and pictures; see `core.task.Task` for its methods.

    The state is a `PictureIndex`, or None before the first picture.

    Args:
        augmentation: Keras layers that change pictures, numbers from 0 to 255, in training. Default: none.
    """

    augmentation: Sequence[Any] = ()

    name: ClassVar[str] = "image_search"
    objective: ClassVar[str] = "ndcg@10"
    metrics: ClassVar[Sequence[str]] = ("ndcg@10", "mrr@10", "recall@1", "recall@10")
    compared: ClassVar[Sequence[str]] = ("ndcg@10", "recall@10")
    lower_is_better: ClassVar[frozenset[str]] = frozenset()

    def check_metrics(self, metrics: Sequence[str]) -> None:
        largest_cutoff(metrics)

    def read_judged(self, source: Any, *, split: str) -> JudgedPictures:
        return read_judged(source, split=split)

    def describe_judged(self, judged: JudgedPictures, state: PictureIndex | None) -> Mapping[str, str]:
        return describe_judged(judged)

    def prepare(
        self, model: ImageTextModel, state: PictureIndex | None, dataset: Any, options: FitOptions
    ) -> ImageTraining:
        from tfchain.tasks.image_search.losses import choose_loss
        from tfchain.tasks.image_search.training_rows import read_rows

        loss: Any = choose_loss(options.loss, has_bias=model.config.has_logit_bias)
        rows = read_rows(model, dataset, split=options.split, progress=options.progress)
        return ImageTraining(model, state, rows, dataclasses.replace(options, loss=loss))

    def fit(
        self,
        training: ImageTraining,
        hyperparameters: Hyperparameters,
        *,
        evaluate: Evaluate | None = None,
        validation: Validation | None = None,
    ) -> keras.callbacks.History:
        from tfchain.tasks.image_search.training import fit_two_towers

        return fit_two_towers(
            training.model,
            training.dataset,
            hyperparameters,
            training.options,
            augmentation=self.augmentation,
            evaluate=evaluate,
            validation=validation,
        )

    def finish(
        self, model: ImageTextModel, state: PictureIndex | None, judged: JudgedPictures | None, *, batch_size: int
    ) -> PictureIndex | None:
        return state

    def make_evaluation(
        self,
        judged: JudgedPictures,
        state: PictureIndex | None,
        *,
        metrics: Sequence[str],
        batch_size: int,
        progress: bool | None = None,
        costs: bool = False,
    ) -> Evaluate:
        return make_evaluation(judged, metrics=metrics, batch_size=batch_size, progress=progress)

    def make_judge(self, judged: JudgedPictures, state: PictureIndex | None, *, metric: str | None = None) -> Judge:
        """Returns a function that asks a version the captions; it must hold the judged pictures, with their ids."""
        from tfchain.tasks.search.version_judge import make_search_judge

        dataset: Any = judged
        return make_search_judge(dataset, metric=metric or self.objective)

    def learning_texts(self, state: PictureIndex | None) -> None:
        return None

    def workload(
        self, judged: JudgedPictures, state: PictureIndex | None
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Returns texts to time one at a time, and pictures of noise to time in bulk: see `ImageTextModel.run`."""
        texts = [{"text": text} for text in judged.queries.values()]
        return texts, [{"seed": seed} for seed in range(min(len(judged.items), TIMED_PICTURES))]

    def check_asked(self, state: Any) -> None:
        """Users ask texts."""

    def asked(self, judged: JudgedPictures) -> tuple[list[str], None]:
        return list(judged.queries.values()), None

    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        from tfchain.tasks.image_search.graph import check_graph_options

        check_graph_options(options.get("top_k", 10), signatures)

    def serve(
        self,
        model: ImageTextModel,
        state: PictureIndex | None,
        *,
        signatures: str,
        batch_size: int,
        options: Mapping[str, Any],
    ) -> ServedImages:
        from tfchain.core.filters.files import make_metadata_files
        from tfchain.core.thumbnails import make_thumbnail_files
        from tfchain.tasks.image_search.graph import make_image_graph

        graph = make_image_graph(model, state, top_k=options.get("top_k", 10))
        documents = [] if state is None else list(state.index)
        ids = [document.id for document in documents]
        metadata = make_metadata_files(ids, [document.metadata for document in documents])
        thumbnails = (
            {} if state is None else make_thumbnail_files(ids, [state.thumbnails.get(name, b"") for name in ids])
        )
        described = {
            "fingerprint": model.fingerprint,
            "documents": len(documents),
            "has_metadata": bool(metadata),
            "has_thumbnails": bool(thumbnails),
            "top_k": options.get("top_k", 10),
            "text_model": {
                "embedding_dim": model.embedding_dim,
                "max_tokens": model.config.text.max_length,
                "empty_text": list(map(int, model.tokenizer([""])[0])),
                "precision": model.precision,
                "similarity": "cosine",
            },
            "image_model": {
                "image_size": list(model.pictures.shape),
                "max_pixels": model.max_pixels,
            },
        }
        return ServedImages(graph, {**metadata, **thumbnails}, described)

    def settings(self) -> Mapping[str, Any]:
        if not self.augmentation:
            return {"augmentation": []}
        from keras import saving

        return {"augmentation": [saving.serialize_keras_object(layer) for layer in self.augmentation]}

    def open_folder(self, path: Path) -> PictureFolder:
        return PictureFolder(path, self.name)

    @classmethod
    def load_folder(cls, path: str | Path) -> Loaded:
        """Reads a saved chain's folder.

        Raises:
            IndexFolderError: if the folder has no saved image search, or a damaged one.
        """
        loaded = load_picture_folder(path, cls.name)
        try:
            task = cls(_read_layers(loaded.settings["augmentation"]))
        except (KeyError, TypeError, ValueError) as error:
            raise IndexFolderError(
                f"{path} has settings that cannot be read: {type(error).__name__}: {error}. Save the chain again."
            ) from error
        made: Any = task
        return Loaded(made, loaded.model_path, loaded.state, loaded.settings, loaded.folder, "Save the chain again.")

    def load_model(self, path: Path, *, engine: Any = "auto", **options: Any) -> ImageTextModel:
        return ImageTextModel.from_pretrained(path, engine=engine, **options)


def _read_layers(settings: Sequence[Any]) -> tuple[Any, ...]:
    if not settings:
        return ()
    from keras import saving

    return tuple(saving.deserialize_keras_object(layer, safe_mode=True) for layer in settings)
