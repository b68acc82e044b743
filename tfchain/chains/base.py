"""`Chain`: a model's whole life for any task. It composes the rooms, and holds no mechanism of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

from tfchain.core.atomic import new_folder
from tfchain.core.checks import to_path
from tfchain.core.errors import IndexFolderError, InputError
from tfchain.core.hyperparameters import HyperparameterOptions, Hyperparameters
from tfchain.core.packing import pack, unpacked
from tfchain.core.task import Folder, Task
from tfchain.deployment.client.client import Client
from tfchain.models.precision import EngineName
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.live_model import Current, LiveModel

if TYPE_CHECKING:  # a chain that answers does without TensorFlow, Keras and transformers: the methods import the rest
    import keras

    from tfchain.deployment.deploy import Deployment
    from tfchain.optimization.learning_texts import LearningTexts
    from tfchain.optimization.recipes import Recipe, TrainingRecipe
    from tfchain.optimization.report import CompressionReport
    from tfchain.optimization.rule import Keep
    from tfchain.optimization.tuning.options import TunerName
    from tfchain.optimization.tuning.report import TuningReport
    from tfchain.optimization.tuning.space import Space
    from tfchain.training.batches.training_data import LossChoice
    from tfchain.training.fit.options import FitOptions
    from tfchain.training.mining.options import Mining

logger = logging.getLogger(__name__)
SAVED_MODELS = Path("saved_models")


class Chain:
    """A model's whole life for one task: trained, tuned, compressed, evaluated, saved, exported, deployed.

    Each task has a chain of its own, such as `NeuralSearchChain`, which adds what only that task does. Use this class
    for a task of your own: a subclass with `task_type`, or `Chain(task, text_encoder)`.

    Threads may use a chain at the same time: each call sees one model and what belongs to it at one moment, and what a
    call changes appears in one step. It is pickled and copied by its saved form, as `save` writes it.

    Args:
        task: What the model is for.
        text_encoder: Tokenizer and encoder.
        state: What the task keeps beside the model. Default: None.
        hyperparameters: Defaults of `fit` and of the batch size. Default: those of `Hyperparameters`.
    """

    task_type: ClassVar[Any] = None
    client_type: ClassVar[type[Client]] = Client

    def __init__(
        self,
        task: Task,
        text_encoder: TextEncoder,
        state: Any = None,
        *,
        hyperparameters: Hyperparameters | None = None,
    ) -> None:
        self.task = task
        self._live = self._make_live(text_encoder, state)
        self.hyperparameters = hyperparameters or Hyperparameters()
        self._fit_options: FitOptions | None = None
        self.report = {}
        self._folder: Any = None
        self._source = uuid.uuid4().hex  # what tells the versions of this chain from those of others
        self._saving = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        with self._current() as current:
            packed = pack(lambda path: self._save_into(self.task.open_folder(path), current))
            return _unpack, (type(self), packed, current.text_encoder.runner.engine, self._fit_options)

    @classmethod
    def load(cls, path: str | Path, *, engine: EngineName = "auto") -> Self:
        """Reads what `save` published.

        Args:
            path: The folder.
            engine: What runs the encoder. Default: `auto`.

        Raises:
            IndexFolderError: if there is no saved chain of this task, or it is damaged.
        """
        path = to_path("path", path)
        loaded = cls.task_type.load_folder(path)
        chain = cls.__new__(cls)
        try:
            hyperparameters = Hyperparameters(**loaded.settings["hyperparameters"])
            report = dict(loaded.settings["report"])
        except (KeyError, TypeError, ValueError) as error:
            raise IndexFolderError(
                f"{path} has settings that cannot be read: {type(error).__name__}: {error}. {loaded.advice}"
            ) from error
        text_encoder = TextEncoder.from_pretrained(loaded.model_path, engine=engine, **loaded.model_options)
        Chain.__init__(chain, loaded.task, text_encoder, loaded.state, hyperparameters=hyperparameters)
        chain.report, chain._folder = report, loaded.folder
        return chain

    @property
    def text_encoder(self) -> TextEncoder:
        """Tokenizer and encoder."""
        text_encoder: TextEncoder = self._live.text_encoder
        return text_encoder

    @text_encoder.setter
    def text_encoder(self, text_encoder: TextEncoder) -> None:
        self._live.text_encoder = text_encoder

    @property
    def state(self) -> Any:
        """What the task keeps beside the model."""
        return self._live.state

    @property
    def fit_options(self) -> FitOptions:
        """What `fit` takes where it is given no `options`; `tune` sets it."""
        if self._fit_options is None:
            from tfchain.training.fit.options import FitOptions

            self._fit_options = FitOptions()
        return self._fit_options

    @fit_options.setter
    def fit_options(self, options: FitOptions) -> None:
        self._fit_options = options

    @property
    def report(self) -> dict[str, float]:
        """What `evaluate` found last; empty once the model or what belongs to it has changed."""
        changes, report = self._report
        return report if changes == self._live.changes else {}

    @report.setter
    def report(self, report: dict[str, float]) -> None:
        self._report = (self._live.changes, report)

    @property
    def model(self) -> Any:
        """The encoder, a Keras model. Once it is asked for, a query looks at its weights first: 0.1 ms."""
        return self.text_encoder.encoder

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer."""
        return self.text_encoder.tokenizer.tokenizer

    def evaluate(
        self,
        dataset: Any,
        *,
        split: str = "test",
        metrics: Sequence[str] | None = None,
        progress: bool | None = None,
    ) -> dict[str, float]:
        """Measures the model on data with known answers; `report` keeps the figures.

        Args:
            dataset: What the task is evaluated on.
            split: Of a folder with several. Default: `test`.
            metrics: Names of the task's metrics. Default: all that `task.metrics` names.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            Metric → value.

        Raises:
            InputError: if the data cannot be read, or a metric is unknown.
        """
        metrics = self.task.metrics if metrics is None else metrics
        self.task.check_metrics(metrics)
        judged = self.task.read_judged(dataset, split=split)
        batch_size = self.hyperparameters.batch_size
        with self._current(progress) as current:
            evaluate = self.task.make_evaluation(
                judged, current.state, metrics=metrics, batch_size=batch_size, progress=progress
            )
            report = dict(evaluate(current.text_encoder))
        self._report = (current.changes, report)
        return report

    def fit(
        self,
        dataset: Any,
        batch_size: int | None = None,
        epochs: int | None = None,
        *,
        learning_rate: float | None = None,
        validation: Any = None,
        options: FitOptions | None = None,
        loss: LossChoice = None,
        mining: Mining | None = None,
        strategy: Any = None,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        recipes: TrainingRecipe | Sequence[TrainingRecipe] = (),
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> keras.callbacks.History:
        """Trains the model on the task's data.

        Everything is checked before the first step, and the model keeps its weights until the training has ended well.

        Args:
            dataset: The rows, in any form that the task reads.
            batch_size: Rows in a step, over all replicas. Default: the chain's.
            epochs: Default: the chain's.
            learning_rate: Default: the chain's.
            validation: What `evaluate` takes, held out, measured after each epoch; or a `Validation` that says when,
                what, and whether to stop early. The model ends with the best weights. Default: nothing is measured.
            options: Logs, saving within an epoch, several datasets' mixing, a guide model: see `FitOptions`. Default:
                `chain.fit_options`, which `tune` sets.
            loss: A loss of `training.losses` or its name; takes the place of that in `options`, like the next five.
                Default: what suits the data, named in the log.
            mining: Adds hard negatives, found by the model itself: see `Mining`. Default: none are added.
            strategy: `auto`, `one`, `mirrored`, `multi_worker`, `tpu`, or a `tf.distribute.Strategy`. Default: `auto`.
            checkpoint: A folder to save to, and to go on from when the same call is made again. Default: none.
            callbacks: Keras callbacks. Default: none.
            recipes: What acts while training, such as `[Prune(0.5)]`; a `fit` without it fills the zeros again.
                Default: none.
            **hyperparameters: All others of `Hyperparameters`, for this call. Default: the chain's.

        Returns:
            Keras' `History`: the loss, and the metrics of `validation`, by epoch.

        Raises:
            InputError: if something does not fit; nothing has been trained then.
            WorkerLostError: if another worker of a distributed training stopped.
        """
        from tfchain.chains.training import train_for
        from tfchain.optimization.recipe_hooks import make_hooks
        from tfchain.optimization.recipes import check_training_recipes

        given = {"batch_size": batch_size, "epochs": epochs, "learning_rate": learning_rate}
        changed = self.hyperparameters.replace(
            **{name: value for name, value in given.items() if value is not None}, **hyperparameters
        )
        own = {"loss": loss, "mining": mining, "strategy": strategy, "checkpoint": checkpoint}
        own |= {} if isinstance(callbacks, tuple) and not callbacks else {"callbacks": callbacks}
        replaced = {name: value for name, value in own.items() if value is not None}
        options = dataclasses.replace(options or self.fit_options, **replaced)
        hooks = make_hooks(check_training_recipes(recipes), seed=changed.seed)
        options = dataclasses.replace(options, hooks=(*options.hooks, *hooks))
        began = self._live.look()
        trained = train_for(
            self.task, began.text_encoder, began.state, dataset, changed, options, validation=validation
        )
        self._live.adopt(trained.text_encoder, trained.state)
        return trained.history

    def tune(
        self,
        dataset: Any,
        space: Space,
        tuner: TunerName = "random",
        max_trials: int = 12,
        *,
        validation: Any = None,
        objective: str | None = None,
        max_latency_ms: float | None = None,
        max_size_mb: float | None = None,
        seed: int = 0,
        path: str | Path | None = None,
        refit: bool = False,
        options: FitOptions | None = None,
    ) -> TuningReport:
        """Searches for the hyperparameters that a training on the dataset ends best with.

        Each trial trains a fresh copy of the model and is compared on `validation`; the best values become the chain's:
        its `hyperparameters`, and in `fit_options` loss and mining with the models that they ask. The model stays as
        it is, unless `refit` is set.

        Args:
            dataset: What `fit` takes.
            space: A dict from names to lists of choices, or to ranges: `Range(min, max, step, sampling)` or a tuple of
                these; or a function of KerasTuner's `hp`. Names: those of `Hyperparameters`; `loss`, `loss.scale` and
                its other arguments; `mining.num_negatives` (0 for none) and the others of `Mining`; `matryoshka.dims`;
                `pooling`; `shrink.layers` and the others of `Shrink`.
            tuner: `random`, `bayesian`, `hyperband` (which deals out the chain's epochs) or `grid`: see `Search`.
            max_trials: The most trials. Default: 12.
            validation: What trials are compared on, and nothing of it trained on: what `evaluate` takes, or a
                `Validation`. A trial counts with its best evaluation at an epoch's end.
            objective: The metric that counts. Default: the task's, such as `ndcg@10` for a search.
            max_latency_ms: The most milliseconds for one text; a trial above it is not trained. It needs idle cores:
                see `Search`. Default: no limit.
            max_size_mb: The most millions of bytes of a server's files, likewise. Default: no limit.
            seed: Of the values that are drawn; trainings take the chain's seed. Default: 0.
            path: A folder to keep the search in: report, picture, TensorBoard's logs. The same call goes on from there
                after a stop. Default: nothing is kept.
            refit: Whether the model is trained with the best values at the end, and becomes the chain's; of several
                workers that share a search the chief alone does so. Default: False.
            options: Loss, strategy and mining where the space leaves them: see `FitOptions`. Default: the chain's.

        Returns:
            The report; `print` shows it, `save` writes it with a picture.

        Raises:
            InputError: if something does not fit, or no trial keeps the limits; the chain stays as it was.
            TfchainError: if the disk is full; the trials that have ended are kept.
        """
        from tfchain.chains.tuning import tune_for
        from tfchain.optimization.tuning.options import Search

        objective = objective or self.task.objective
        search = Search(
            tuner=tuner,
            max_trials=max_trials,
            objective=objective,
            mode="min" if objective in self.task.lower_is_better else "max",
            max_latency_ms=max_latency_ms,
            max_size_mb=max_size_mb,
            seed=seed,
        )
        began = self._live.look()
        tuned = tune_for(
            self.task,
            began.text_encoder,
            began.state,
            dataset,
            space,
            search,
            hyperparameters=self.hyperparameters,
            options=options or self.fit_options,
            validation=validation,
            path=path,
            refit=refit,
        )
        self.hyperparameters = tuned.values.hyperparameters
        found = {name: getattr(tuned.values.options, name) for name in ("loss", "mining", "cross_check", "guide")}
        self.fit_options = dataclasses.replace(self.fit_options, **found)
        if tuned.text_encoder is not None:
            self._live.adopt(tuned.text_encoder, tuned.state)
        elif tuned.lacks_shape:
            logger.warning("The best trial has another shape, which the chain's model takes with refit=True alone.")
        return tuned.report

    def compress(
        self,
        recipes: Recipe | Sequence[Recipe] | Sequence[Sequence[Recipe]],
        *,
        texts: LearningTexts | None = None,
        teacher: Chain | TextEncoder | None = None,
        dataset: Any = None,
        split: str = "test",
        keep: Keep | None = None,
        max_loss: float | None = None,
        progress: bool | None = None,
    ) -> CompressionReport:
        """Makes the model small and fast.

        With a dataset, every candidate and the model in float32 are measured in one run (the task's metrics, files,
        memory, speed), and the one that the rule keeps becomes the chain's. Without one, the only candidate does.

        Args:
            recipes: A list of recipes such as `[Quantize("int8")]`, or several such lists: the candidates.
            texts: What `Shrink`, `Distill`, `ReduceDimensions` and a calibrated `Quantize` learn from. Default: the
                texts that the task keeps, if it does. `Distill` also learns other languages from rows of a text and its
                translations.
            teacher: Whose vectors `Distill` learns. Default: the chain's own model before all recipes.
            dataset: What `evaluate` takes. Default: nothing is measured but the files.
            split: Of a folder with several. Default: `test`.
            keep: What the candidate kept is best at: see `Rule`. Default: `smallest`.
            max_loss: The part of the float32 model's objective that may be lost. Default: 0.01.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            The report; `print` shows it, `save` writes it with a picture.

        Raises:
            InputError: if an item is not a recipe, or the rule needs what is not measured; the model stays as it was.
            TfchainError: if LiteRT has no kernel for one of the encoder's ops, or TensorFlow no int8 products here for
                a calibrated `Quantize`; the model stays as it was.
        """
        from tfchain.chains.compression import compress_for
        from tfchain.optimization.recipes import check_candidates

        began = self._live.look()
        kept, report = compress_for(
            self.task,
            began.text_encoder,
            began.state,
            check_candidates(recipes),
            texts=texts,
            teacher=teacher.text_encoder if isinstance(teacher, Chain) else teacher,
            dataset=dataset,
            split=split,
            keep=keep,
            max_loss=max_loss,
            batch_size=self.hyperparameters.batch_size,
            progress=progress,
        )
        if kept.fingerprint != began.text_encoder.fingerprint:
            self._live.adopt(kept, began.state)
        return report

    def save(self, path: str | Path) -> Path:
        """Publishes the chain as a folder that `load` reads; what was saved there before is replaced in one step.

        Saving to the same folder again writes only what is new.

        Args:
            path: A new folder, an empty one, or one that holds a saved chain.

        Raises:
            IndexFolderError: if another process is writing there, or if the folder holds something else.
            TfchainError: if the disk is full; what was saved before is still there.
        """
        path = to_path("path", path)
        with self._saving:
            if self._folder is None or self._folder.path.resolve() != path.resolve():
                self._folder = self.task.open_folder(path)
            self._folder.check()  # before anything is computed anew
            with self._current() as current:
                self._save_into(self._folder, current)
        return path

    def save_pretrained(self, path: str | Path) -> Path:
        """Writes tokenizer and encoder as a sentence-transformers folder, which sentence-transformers loads.

        Args:
            path: A new or an empty folder.

        Raises:
            InputError: if the folder is not empty, or if sentence-transformers has no such model.
        """
        path = to_path("path", path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"`path` must be a new or an empty folder. Received: {path}. Name another one.")
        with self.text_encoder.unchanged(), new_folder(path) as partial:
            self.text_encoder.save(partial, portable=True)
        return path

    def export(
        self,
        path: str | Path | None = None,
        *,
        signatures: str = "text",
        name: str | None = None,
    ) -> Path:
        """Writes the next version of a SavedModel that stock TensorFlow Serving answers texts with.

        Before the version appears, its ops are checked and its answers compared with this chain's.

        Args:
            path: The base path; versions are folders in it. Default: `saved_models/<name>`.
            signatures: `text` for all that the task answers; `ids` for embed_ids alone, which needs no op of TF Text.
            name: Of the model, for the default path. Default: the task's.

        Returns:
            The version's folder, `<path>/<number>`.

        Raises:
            InputError: if an argument is out of its range, or the path is a file; known before the work begins.
            ExportError: if an op is not in stock TensorFlow Serving, or answers differ from this chain's.
        """
        return self._export(path, signatures=signatures, name=name, options={})

    def deploy(
        self,
        path: str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        rest_port: int = 0,
        name: str | None = None,
        prefer_tflite_model: bool = False,
        timeout_seconds: float = 120.0,
    ) -> Deployment:
        """Exports a version and serves it with the embedded server, in a process of its own.

        The server takes up what this chain exports to the same path later, and nothing that another chain does: two
        chains may be deployed with the same name and path. It runs until `stop`, the end of the `with` block or of
        this process; Ctrl-C and Jupyter's stop button leave it alone.

        Args:
            path: The base path to export to. Default: `saved_models/<name>`.
            host: The address to listen on. Default: this machine alone.
            port: For gRPC; 0 lets the system choose. Default: 0.
            rest_port: For REST; 0 lets the system choose. Default: 0.
            name: The model's name in requests. Default: the task's.
            prefer_tflite_model: After `Quantize("int8")` or `Quantize("float16")`, whether the server runs the encoder
                by LiteRT between the two halves of the SavedModel's graph. Default: False.
            timeout_seconds: How long to wait until the server is ready. Default: 120.

        Returns:
            A handle with `rest_url`, `grpc_target`, `client()` and `stop()`; use it in a `with` block, or call `stop`.

        Raises:
            InputError: if an argument is out of its range; nothing is exported then.
            ServerError: if the server does not start, for example because a port is in use.
        """
        return self._deploy(
            path,
            name=name,
            options={},
            host=host,
            grpc_port=port,
            rest_port=rest_port,
            prefer_tflite_model=prefer_tflite_model,
            timeout_seconds=timeout_seconds,
        )

    def _export(
        self, path: str | Path | None, *, signatures: str = "text", name: str | None, options: Mapping[str, Any]
    ) -> Path:
        from tfchain.chains.serving import export_for
        from tfchain.deployment.arguments import check_base_path, check_model_name
        from tfchain.runtime.fork import check_tensorflow_runs

        name = name or self.task.name
        if path is None:
            check_model_name(name, argument="name")
        base_path = check_base_path(SAVED_MODELS / name if path is None else to_path("path", path))
        self.task.check_serving(signatures=signatures, options=options)
        check_tensorflow_runs()
        with self._current() as current:
            return export_for(
                self.task,
                current,
                base_path,
                signatures=signatures,
                options=options,
                settings=self._settings(current),
                source=self._source,
                batch_size=self.hyperparameters.batch_size,
            )

    def _deploy(
        self, path: str | Path | None, *, name: str | None, options: Mapping[str, Any], **serving: Any
    ) -> Deployment:
        from tfchain.chains.serving import check_deployment
        from tfchain.deployment.deploy import deploy

        name = self.task.name if name is None else name
        check_deployment(name, serving)
        version = self._export(path, name=name, options=options)
        return deploy(version.parent, model_name=name, source=self._source, client_type=self.client_type, **serving)

    def _make_live(self, text_encoder: TextEncoder, state: Any) -> Any:
        """What holds model and state, and exchanges them in one step."""
        return LiveModel(text_encoder, state)

    def _current(self, progress: bool | None = None) -> contextlib.AbstractContextManager[Current]:
        """Model and state as they are and stay while a block runs."""
        current: contextlib.AbstractContextManager[Current] = self._live.current()
        return current

    def _save_into(self, folder: Folder, current: Current) -> None:
        folder.save(current.text_encoder, current.state, self._settings(current))

    def _settings(self, current: Current) -> dict[str, Any]:
        changes, report = self._report
        return {
            "hyperparameters": self.hyperparameters.to_dict(),
            **self.task.settings(),
            "report": report if changes == current.changes else {},
        }


def _unpack(kind: type[Chain], packed: bytes, engine: EngineName, fit_options: FitOptions | None) -> Chain:
    with unpacked(packed) as path:
        chain = kind.load(path, engine=engine)
    chain._folder = None  # it is gone
    chain._fit_options = fit_options
    return chain
