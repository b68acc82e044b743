"""`Chain`: the life cycle of a model for any task. It composes the other rooms, and has no mechanism of its own."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from tfchain.chains.deploy_options import ServerOptions, TargetOptions, split_options
from tfchain.chains.model_holder import ModelHolder
from tfchain.core.checks import to_path
from tfchain.core.hyperparameters import HyperparameterOptions
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.text_encoder_model import identify_model

if TYPE_CHECKING:  # answering needs no TensorFlow, Keras or transformers: the other methods import them
    import keras

    from tfchain.data.steps.step import Step
    from tfchain.deployment.client.client import Client
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


class Chain(ModelHolder):
    """The life cycle of a model for one task: training, tuning, compression, evaluation, saving, export, deployment.

    Each task has its own chain, such as `NeuralSearchChain`, which adds the methods that only this task has. Use this
    class for your own task: a subclass with `task_type`, or `Chain(task, model)`, which can be saved but not
    loaded. `load` does not call a subclass's constructor.

    Threads may use a chain at the same time: each call sees a model and the state that belongs to it, and the changes
    of a call appear in one step. Pickling and copying use the saved form that `save` writes.

    Args:
        task: The task that the model is for.
        model: The model: a `TextEncoder`, or the task's own kind of model (`core.model.Model`).
        state: The task's state, such as documents or labels. Default: None.
        hyperparameters: The defaults of `fit`, and the batch size. Default: `Hyperparameters()`.
    """

    @property
    def client_type(self) -> type[Client]:
        """The class of the client that `deploy` hands out; asked for there, as answering needs no HTTP."""
        from tfchain.deployment.client.client import Client

        return Client

    def evaluate(
        self,
        dataset: Any,
        *,
        split: str = "test",
        metrics: Sequence[str] | None = None,
        progress: bool | None = None,
    ) -> dict[str, float]:
        """Evaluates the model on data with known answers; `report` keeps the result.

        Args:
            dataset: The evaluation data, in any form that the task reads.
            split: The split of a folder that has several. Default: `test`.
            metrics: Names of the task's metrics. Default: `task.metrics`.
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
            evaluate = self._make_evaluation(
                judged, current.state, metrics=metrics, batch_size=batch_size, progress=progress
            )
            report = dict(evaluate(current.model))
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
        augment: Sequence[Step] = (),
        strategy: Any = None,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        recipes: TrainingRecipe | Sequence[TrainingRecipe] = (),
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> keras.callbacks.History:
        """Trains the model on the task's data.

        Everything is checked before the first step, and the model keeps its weights until the training succeeds.

        Args:
            dataset: The rows, in any form that the task reads.
            batch_size: Rows in a step, over all replicas. Default: the chain's.
            epochs: The number of passes over the data. Default: the chain's.
            learning_rate: The optimizer's largest step size. Default: the chain's.
            validation: Held-out data that `evaluate` accepts, measured after each epoch; or a `Validation` that also
                sets when and what to measure, and early stopping. The model ends with the best weights. Default: none.
            options: Logs, saving within an epoch, mixing of several datasets, a guide model: see `FitOptions`. Default:
                `chain.fit_options`, which `tune` sets.
            loss: A loss of `training.losses` or its name. Like the next five arguments, it replaces the value in
                `options`. Default: a loss that suits the data, named in the log.
            mining: Adds hard negatives, found by the model itself: see `Mining`. Default: none are added.
            augment: Steps of `data.augmentation` that disturb the rows anew in each epoch, such as
                `[DeleteWords(columns=("query",)), AddTypos()]`. Default: none.
            strategy: `auto`, `one`, `mirrored`, `multi_worker`, `tpu`, or a `tf.distribute.Strategy`. Default: `auto`.
            checkpoint: A folder to save to; the same call, made again, continues from it. Default: none.
            callbacks: Keras callbacks. Default: none.
            recipes: Recipes that act during training, such as `[Prune(0.5)]`. A later `fit` without `Prune` fills the
                zeros again. Default: none.
            **hyperparameters: Other fields of `Hyperparameters`, for this call. Default: the chain's.

        Returns:
            Keras' `History`: the loss, and the metrics of `validation`, by epoch.

        Raises:
            InputError: if arguments or data do not fit together; nothing has been trained then.
            WorkerLostError: if another worker of a distributed training stopped.
        """
        from tfchain.chains.training import train_for
        from tfchain.optimization.recipes import check_training_recipes

        given = {"batch_size": batch_size, "epochs": epochs, "learning_rate": learning_rate}
        changed = self.hyperparameters.replace(
            **{name: value for name, value in given.items() if value is not None}, **hyperparameters
        )
        own = {"loss": loss, "mining": mining, "strategy": strategy, "checkpoint": checkpoint}
        own |= {} if isinstance(augment, tuple) and not augment else {"augment": augment}
        own |= {} if isinstance(callbacks, tuple) and not callbacks else {"callbacks": callbacks}
        replaced = {name: value for name, value in own.items() if value is not None}
        options = dataclasses.replace(options or self.fit_options, **replaced)
        hooks = [recipe.make_hook(changed.seed) for recipe in check_training_recipes(recipes)]
        options = dataclasses.replace(options, hooks=(*options.hooks, *hooks))
        before = self._live.snapshot()
        trained = train_for(self.task, before.model, before.state, dataset, changed, options, validation=validation)
        self._live.adopt(trained.model, trained.state)
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
        """Searches for the hyperparameters that train best on a dataset.

        Each trial trains a fresh copy of the model, and trials are compared on `validation`. The best values become the
        chain's `hyperparameters`, and its `fit_options` get loss and mining with the models that these use. The model
        does not change, unless `refit` is set.

        Args:
            dataset: Data that `fit` accepts.
            space: A dict from names to lists of choices, or to ranges (`Range(min, max, step, sampling)` or a tuple of
                its arguments); or a function of KerasTuner's `hp`. Names: the fields of `Hyperparameters`; `loss`,
                `loss.scale` and other arguments of the loss; `mining.num_negatives` (0 for none) and other fields of
                `Mining`; `matryoshka.dims`; `pooling`; `shrink.layers` and other fields of `Shrink`.
            tuner: `random`, `bayesian`, `hyperband` (which distributes the chain's epochs) or `grid`: see `Search`.
            max_trials: The most trials. Default: 12.
            validation: The data to compare trials on, kept out of training: data that `evaluate` accepts, or a
                `Validation`. A trial's result is its best evaluation at the end of an epoch.
            objective: The metric that ranks trials. Default: the task's, such as `ndcg@10` for a search.
            max_latency_ms: The most milliseconds for one text; a slower trial is not trained. Measuring it needs idle
                cores: see `Search`. Default: no limit.
            max_size_mb: The most megabytes (10^6 bytes) of a server's files, with the same effect. Default: no limit.
            seed: The seed of the drawn values; trainings use the chain's seed. Default: 0.
            path: A folder that keeps the search: report, picture, TensorBoard logs. After a stop, the same call
                continues from it. Default: nothing is kept.
            refit: Whether to train the model with the best values at the end and make it the chain's model; among
                several workers that share a search, only the chief does. Default: False.
            options: Loss, strategy and mining, unless in the space: see `FitOptions`. Default: the chain's.

        Returns:
            The report; `print` shows it, `save` writes it with a picture.

        Raises:
            InputError: if arguments or data do not fit, or no trial is within the limits; the chain does not change.
            TfchainError: if the disk is full; the completed trials are kept.
        """
        from tfchain.chains.tuning import make_search, tune_for

        limits = {"max_latency_ms": max_latency_ms, "max_size_mb": max_size_mb}
        search = make_search(self.task, objective, tuner=tuner, max_trials=max_trials, seed=seed, **limits)
        before = self._live.snapshot()
        tuned = tune_for(
            self.task,
            before.model,
            before.state,
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
        self.fit_options = dataclasses.replace(self.fit_options, **tuned.found_options)
        if tuned.model is not None:
            self._live.adopt(tuned.model, tuned.state)
        elif tuned.lacks_shape:
            logger.warning("The best trial's model has another shape; the chain's model takes it only with refit=True.")
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
        memory, speed), and the rule chooses the chain's model. Without a dataset, there must be a single candidate.

        Args:
            recipes: A list of recipes such as `[Quantize("int8")]`, or several such lists: the candidates.
            texts: Texts for `TrimVocabulary`, `Shrink`, `Distill`, `ReduceDimensions` and a calibrated `Quantize` to
                learn from. Default: the texts that the task keeps, if any. `Distill` also learns other languages from
                rows of a text and its translations.
            teacher: The model whose vectors `Distill` learns. Default: the chain's own model before all recipes.
            dataset: Data that `evaluate` accepts. Default: only the files are measured.
            split: The split of a folder that has several. Default: `test`.
            keep: The property that the kept candidate is best at: see `Rule`. Default: `smallest`.
            max_loss: The largest allowed loss of the float32 model's objective, as a fraction of it. Default: 0.01.
            progress: Whether to show a progress bar. Default: when it takes more than a second.

        Returns:
            The report; `print` shows it, `save` writes it with a picture.

        Raises:
            InputError: if an item is not a recipe, or the rule needs an unmeasured figure; the model does not change.
            TfchainError: if LiteRT has no kernel for one of the encoder's ops, or TensorFlow here has no int8 products
                for a calibrated `Quantize`; the model does not change.
        """
        from tfchain.chains.compression import compress_for
        from tfchain.optimization.recipes import check_candidates

        before = self._live.snapshot()
        kept, report = compress_for(
            self.task,
            before.model,
            before.state,
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
        if identify_model(kept) != identify_model(before.model):
            self._live.adopt(kept, before.state)
        return report

    def export(
        self,
        path: str | Path | None = None,
        *,
        signatures: str = "text",
        name: str | None = None,
        reference: Any = None,
    ) -> Path:
        """Writes the next version, a SavedModel that answers texts in stock TensorFlow Serving.

        Before the version appears, its ops are checked and its answers compared with this chain's.

        Args:
            path: The base path; versions are folders in it. Default: `saved_models/<name>`.
            signatures: `text` for all of the task's signatures; `ids` for embed_ids only, which needs no op of TF Text.
            name: The model's name, for the default path. Default: the task's.
            reference: Queries that drift is measured from, and that canaries are chosen from: a list of some hundred
                texts, a file of them, or data that `evaluate` accepts (docs/drift.md). Default: the version gets none.

        Returns:
            The version's folder, `<path>/<number>`.

        Raises:
            InputError: if an argument is out of range, or the path is a file; raised before any costly work.
            ExportError: if an op is not in stock TensorFlow Serving, or answers differ from this chain's.
        """
        return self._export(path, signatures=signatures, name=name, options={}, reference=reference)

    @overload
    def deploy(
        self, path: str | Path | None = None, *, name: str | None = None, **options: Unpack[ServerOptions]
    ) -> Deployment: ...

    @overload
    def deploy(
        self, path: str | Path | None = None, *, name: str | None = None, target: str, **options: Unpack[TargetOptions]
    ) -> Path: ...

    def deploy(
        self, path: str | Path | None = None, *, name: str | None = None, target: str | None = None, **options: Any
    ) -> Deployment | Path:
        """Exports a version and serves it with the embedded server, in a process of its own.

        The server loads later exports of this chain to the same path, and ignores those of other chains: two chains may
        be deployed with the same name and path. It runs until `stop`, the end of the `with` block or the end of this
        process; Ctrl-C and Jupyter's stop button do not stop it.

        With a `target`, the files that run the version somewhere else are written instead.

        Args:
            path: The base path to export to. Default: `saved_models/<name>`.
            name: The model's name in requests. Default: the task's.
            target: Where the version is to run: `docker`, `systemd`, `kubernetes`, … (docs/deploying.md). Default:
                None, a server on this machine.
            **options: For a server on this machine:

                - `host`: the address to listen on. Default: `127.0.0.1`, reachable from this machine only.
                - `port`, `rest_port`: the ports of gRPC and REST; 0 lets the system choose. Default: 0.
                - `prefer_tflite_model`: after `Quantize("int8")` or `Quantize("float16")`, whether the server runs the
                  encoder with LiteRT between the two halves of the SavedModel's graph. Default: False.
                - `engine`: what answers: `tensorflow`, `litert`, `native` (after `Quantize("int8")`, the chain's own
                  int8 kernels: it starts in a second, and gives the chain's own answers) or `auto`, the first of
                  native, LiteRT and TensorFlow that can. Default: TensorFlow, or LiteRT with `prefer_tflite_model`.
                - `timeout_seconds`: how long to wait until the server is ready. Default: 120.
                - `flags`: further flags of `tfchain-model-server` by name, such as `{"max_connections": 100}`.
                - `canary`: the percentage of requests, above 0 and below 100, that the new version gets, beside the
                  base path's live version; the deployment's `promote` and `rollback` end that. Default: it gets all.

                For a target:

                - `out`: the folder for its files: new or empty.
                - `target_options`: its options by name, such as `{"server": "own"}`. Default: its defaults.
                - `force`: whether the files that an earlier call wrote to `out` may be replaced. Default: False.

        Returns:
            A handle with `rest_url`, `grpc_target`, `client()` and `stop()`; use it in a `with` block, or call `stop`.
            With a target, its folder.

        Raises:
            InputError: if an argument is out of range; nothing is exported then.
            ServerError: if the server does not start, for example because a port is in use.
        """
        return self._deploy(path, name=name, target=target, options=options, serving={})

    def _make_evaluation(self, judged: Any, state: Any, **options: Any) -> Any:
        """Returns the function that `evaluate` measures the model with."""
        return self.task.make_evaluation(judged, state, **options)

    def _export(self, path: str | Path | None, *, name: str | None, reference: Any = None, **asked: Any) -> Path:
        from tfchain.chains.serving import check_export, export_for

        state = self.state  # as it is: nothing is encoded yet
        base_path, complete = check_export(
            self.task, state, path, name or self.task.name, reference, SAVED_MODELS, **asked
        )
        with self._current() as current:
            return export_for(
                self.task,
                current,
                base_path,
                **asked,
                settings=self._settings(current),
                source=self._source,
                batch_size=self.hyperparameters.batch_size,
                complete=complete,
            )

    def _deploy(
        self,
        path: str | Path | None,
        *,
        name: str | None,
        target: str | None,
        options: Mapping[str, Any],
        serving: Mapping[str, Any],
    ) -> Deployment | Path:
        """Deploys with the options of `deploy` and the task's own ones for a served version."""
        from tfchain.chains.model_server import PROGRAM
        from tfchain.chains.serving import begin_canary, check_deployment, prepare_canary
        from tfchain.chains.target_request import request_target
        from tfchain.deployment.deploy import deploy

        name = self.task.name if name is None else name
        server, files = split_options(options)
        check_deployment(name, server, self._live.model)
        request = request_target(target, server, **files)
        percent = server.pop("canary")
        if percent is not None:
            prepare_canary(SAVED_MODELS / name if path is None else to_path("path", path), percent)
        version = self._export(path, name=name, options=serving)
        if request is not None:
            return request.write(version, name)
        if percent is not None:
            begin_canary(version, percent)
        return deploy(
            version.parent,
            model_name=name,
            source=self._source if percent is None else None,  # the live version may be another chain's
            client_type=self.client_type,
            program=PROGRAM,
            grpc_port=server.pop("port"),
            **server,
        )
