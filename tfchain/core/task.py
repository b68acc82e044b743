"""The task contract: what training, optimization, chains and deployment need from a task. Protocols only, no code."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tfchain.core.judgement import Judge
from tfchain.core.model import Model
from tfchain.core.native import NativeParts

Evaluate = Callable[[Any], Mapping[str, float]]  # from a model to its metrics


class Graph(Protocol):
    """The graph of a version: a module with its signatures, and the answers they must give.

    Attributes:
        module: A `tf.Module` that owns the variables.
        signatures: Name → `tf.function` with an input signature.
        proofs: Questions with Python's answers (`core.proof.Proof`).
        litert_proofs: The same for a flatbuffer beside the SavedModel.
        halves: Signature of texts → the signatures before and after the encoder (`core.signatures.Halves`).
        methods: Signature → its TensorFlow Serving method, if that is not Predict.
    """

    @property
    def module(self) -> Any: ...
    @property
    def signatures(self) -> Mapping[str, Any]: ...
    @property
    def proofs(self) -> Sequence[Any]: ...
    @property
    def litert_proofs(self) -> Sequence[Any]: ...
    @property
    def halves(self) -> Mapping[str, Any]: ...
    @property
    def methods(self) -> Mapping[str, str]: ...


class Served(Protocol):
    """A version before it is written.

    Attributes:
        graph: Its module, signatures and proofs.
        files: The files beside `saved_model.pb`, name → content.
        description: Plain values that describe the version.
        native: What an engine of tfchain's own needs to answer in the SavedModel's place; None if there is none.
    """

    @property
    def graph(self) -> Graph: ...
    @property
    def files(self) -> Mapping[str, bytes]: ...
    @property
    def description(self) -> Mapping[str, Any]: ...
    @property
    def native(self) -> NativeParts | None: ...


class Training(Protocol):
    """A training that is ready to run.

    Attributes:
        model: The model to train, in place: the chain's own, or one made from it (with a head for the data's labels).
        state: The state that belongs to that model.
        dataset: The rows, as `Task.fit` takes them. A task with a model of its own gives rows with a `fingerprint`.
        options: `FitOptions`, completed by the task (with its loss).
    """

    @property
    def model(self) -> Any: ...
    @property
    def state(self) -> Any: ...
    @property
    def dataset(self) -> Any: ...
    @property
    def options(self) -> Any: ...


class Folder(Protocol):
    """The folder of a saved chain, written in atomic steps."""

    @property
    def path(self) -> Path: ...

    def check(self) -> None:
        """Raises early the errors that `save` would raise, before any work is done."""

    def save(self, model: Any, state: Any, settings: Mapping[str, Any]) -> None:
        """Publishes the chain, and replaces any earlier one in one step."""


class Loaded(Protocol):
    """The content of a saved chain's folder.

    Attributes:
        task: The task with its settings.
        model_path: The folder of the model.
        model_options: Arguments for loading the model that are not stored with the model itself.
        state: The state given to `Folder.save`.
        settings: The settings given to `Folder.save`.
        folder: The folder to save to again.
        advice: What to do if the settings cannot be read.
    """

    @property
    def task(self) -> "Task": ...
    @property
    def model_path(self) -> Path: ...
    @property
    def model_options(self) -> Mapping[str, Any]: ...
    @property
    def state(self) -> Any: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def folder(self) -> Folder: ...
    @property
    def advice(self) -> str: ...


class Task(Protocol):
    """A task: what a model is for.

    A task is a set of functions without state. The chain holds the model (a `TextEncoder`, or a `core.model.Model` of
    the task's own) and the task's *state* (the documents of a search, the labels of a classification), and passes both
    in.

    Attributes:
        name: The task's name in saved chains and versions, such as `search`.
        objective: The metric that compression and tuning optimize.
        metrics: The metrics that `evaluate` measures by default.
        compared: The metrics in a compression report, including the objective.
        lower_is_better: The metrics for which lower is better.
    """

    @property
    def name(self) -> str: ...
    @property
    def objective(self) -> str: ...
    @property
    def metrics(self) -> Sequence[str]: ...
    @property
    def compared(self) -> Sequence[str]: ...
    @property
    def lower_is_better(self) -> frozenset[str]: ...

    # Data
    def check_metrics(self, metrics: Sequence[str]) -> None:
        """Raises an `InputError` for a metric that the task does not measure."""

    def read_judged(self, source: Any, *, split: str) -> Any:
        """Reads evaluation data: rows or queries with the right answers."""

    def describe_judged(self, judged: Any, state: Any) -> Mapping[str, str]:
        """Returns fingerprints, by name, of everything but the model that an evaluation depends on."""

    # Training and evaluation
    def prepare(self, model: Any, state: Any, dataset: Any, options: Any) -> Training:
        """Makes a training from a dataset: the model with what it needs to learn the data, the rows, and the loss."""

    def fit(
        self, training: Any, hyperparameters: Any, *, evaluate: Evaluate | None = None, validation: Any = None
    ) -> Any:
        """Runs a training; its model keeps its weights until the training succeeds.

        Returns:
            A Keras `History`.
        """

    def finish(self, model: Any, state: Any, judged: Any | None, *, batch_size: int) -> Any:
        """Returns the state after a training, such as a calibrated one; `judged` is the training's validation data."""

    def make_evaluation(
        self,
        judged: Any,
        state: Any,
        *,
        metrics: Sequence[str],
        batch_size: int,
        progress: bool | None = None,
        costs: bool = False,
    ) -> Evaluate:
        """Returns a function from a model to its metrics, for repeated evaluation.

        With `costs`, the metrics include `index_bytes`, the memory of the state made for the model, where it matters.
        """

    def make_judge(self, judged: Any, state: Any, *, metric: str | None = None) -> Judge:
        """Returns a function that asks an exported version the evaluation data, and measures each row or query.

        Args:
            judged: What `read_judged` returns.
            state: The state; None if only the version is at hand, which suffices for most tasks.
            metric: The metric. Default: the objective.

        Raises:
            InputError: if the task does not measure the metric of a version, or needs the state for it.
        """

    # Optimization
    def learning_texts(self, state: Any) -> Sequence[str] | None:
        """Returns texts for recipes to learn from when the user gives none; None if the task has none."""

    def workload(self, judged: Any, state: Any) -> tuple[Sequence[Any], Sequence[Any]]:
        """Returns what `Model.run_one` and `Model.run` answer to be timed: texts, or dicts that JSON can hold."""

    # Monitoring
    def check_asked(self, state: Any) -> None:
        """Raises an `InputError` if users ask something else than single texts, of which drift and canaries are made.

        `state` is None where only the task is known, which suffices for most tasks.
        """

    def asked(self, judged: Any) -> tuple[Sequence[str], Sequence[Sequence[str]] | None]:
        """Returns what users ask, of evaluation data: texts, and the candidates of each that the task orders or reads.

        Raises:
            InputError: if it is no single text.
        """

    # Serving
    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        """Raises an `InputError` for invalid arguments of `export`, before any costly work."""

    def serve(self, model: Any, state: Any, *, signatures: str, batch_size: int, options: Mapping[str, Any]) -> Served:
        """Makes a version: graph, signatures, proofs. `options` are the task's own arguments of `export`."""

    # Keeping
    def settings(self) -> Mapping[str, Any]:
        """Returns the task's own settings as plain values, for saved chains."""

    def open_folder(self, path: Path) -> Folder:
        """Returns the folder at `path`, to save to."""

    @classmethod
    def load_folder(cls, path: str | Path) -> Loaded:
        """Reads a saved chain's folder."""

    def load_model(self, path: Path, *, engine: Any = "auto", **options: Any) -> Model:
        """Reads the model of a saved chain: `Loaded.model_path`, with `Loaded.model_options`."""
