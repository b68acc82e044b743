"""The task contract: what training, optimization, chains and deployment ask of a task. Protocols alone, no code."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

Evaluate = Callable[[Any], Mapping[str, float]]  # from a model to its metrics


class Graph(Protocol):
    """What a version answers: a module with its signatures, and the answers that it must give.

    Attributes:
        module: A `tf.Module` that owns the variables.
        signatures: Name → `tf.function` with an input signature.
        proofs: Questions with Python's answers.
        litert_proofs: The same for a flatbuffer that lies beside the SavedModel.
        halves: Signature of texts → the signatures before and behind the encoder (`core.signatures.Halves`).
        methods: Signature → the method of TensorFlow Serving that it is for, where that is not Predict.
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
        graph: What it answers.
        files: What lies beside `saved_model.pb`, name → content.
        description: Plain values that describe it.
    """

    @property
    def graph(self) -> Graph: ...
    @property
    def files(self) -> Mapping[str, bytes]: ...
    @property
    def description(self) -> Mapping[str, Any]: ...


class Training(Protocol):
    """One training that is ready to run.

    Attributes:
        model: What is trained, in place; the chain's own model, or one made of it (with a head for the data's labels).
        state: What belongs to that model.
        dataset: The rows, as `Task.fit` takes them.
        options: `FitOptions`, completed by the task (its loss).
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
    """A saved chain's folder, which is written in steps that each appear whole."""

    @property
    def path(self) -> Path: ...

    def check(self) -> None:
        """Raises what `save` would raise at once, so that no work is done in vain."""

    def save(self, model: Any, state: Any, settings: Mapping[str, Any]) -> None:
        """Publishes the chain; what was there before is replaced in one step."""


class Loaded(Protocol):
    """What a saved chain's folder holds.

    Attributes:
        task: The task with its settings.
        model_path: The folder of the model.
        model_options: Arguments for reading the model that the folder does not keep in the model itself.
        state: What `Folder.save` was given.
        settings: The same.
        folder: Where to save again.
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

    A task is a set of functions without state. The chain holds the model (a `TextEncoder`, or what the task has in its
    place) and the task's *state* (the documents of a search, the labels of a classification), and hands both in.

    Attributes:
        name: What saved chains and versions call it, such as `search`.
        objective: The metric that compression and tuning go by.
        metrics: What `evaluate` measures by default.
        compared: What the report of a compression shows, the objective among them.
        lower_is_better: Those of its metrics that are errors.
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
        """Reads what a model is evaluated on: rows or queries with what is right."""

    def describe_judged(self, judged: Any, state: Any) -> Mapping[str, str]:
        """Fingerprints, by name, of what an evaluation depends on beside the model."""

    # Training and evaluation
    def prepare(self, model: Any, state: Any, dataset: Any, options: Any) -> Training:
        """Makes a training of a dataset: the model with what it needs to learn the data, the rows, the loss."""

    def fit(
        self, training: Any, hyperparameters: Any, *, evaluate: Evaluate | None = None, validation: Any = None
    ) -> Any:
        """Runs a training; its model keeps its weights until all has ended well.

        Returns:
            Keras' `History`.
        """

    def finish(self, model: Any, state: Any, judged: Any | None, *, batch_size: int) -> Any:
        """The state after a training, such as a calibrated one; `judged` is what the training was validated on."""

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
        """A function from a model to its metrics, for evaluating again and again.

        With `costs` they hold `index_bytes`, the memory of the state that was made for the model, where it matters.
        """

    # Optimization
    def learning_texts(self, state: Any) -> Sequence[str] | None:
        """Texts that recipes learn from where the user gives none; None where there are none."""

    def workload(self, judged: Any, state: Any) -> tuple[Sequence[str], Sequence[str]]:
        """Texts that are timed one at a time, and texts that are timed in bulk."""

    # Serving
    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        """Raises an `InputError` for arguments of `export` that cannot be, before anything costly is done."""

    def serve(self, model: Any, state: Any, *, signatures: str, batch_size: int, options: Mapping[str, Any]) -> Served:
        """What a version holds: graph, signatures, proofs; `options` are the task's own arguments of `export`."""

    # Keeping
    def settings(self) -> Mapping[str, Any]:
        """The task's own settings as plain values, which a saved chain keeps."""

    def open_folder(self, path: Path) -> Folder:
        """A folder to save to."""

    @classmethod
    def load_folder(cls, path: str | Path) -> Loaded:
        """Reads a saved chain's folder."""
