"""`TextTask`: the base class of tasks that compute the answer for a text from the encoder's output."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from tfchain.core.errors import IndexFolderError, InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.task import Evaluate
from tfchain.data.pairs.reading import Pairs
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.answers import add_answer
from tfchain.tasks.served_encoder import to_served_encoder
from tfchain.tasks.stages import Loaded, Served, Training
from tfchain.tasks.state_folder import StateFolder, load_state_folder
from tfchain.tasks.text_graph import TextGraph, check_signatures
from tfchain.tasks.text_rows import TextRows, find_separator
from tfchain.training.fit.fit import fit_text_encoder
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.validation import Validation
from tfchain.training.losses import PairLoss


class TextTask:
    """A task that computes the answer for a text from the encoder's output; see `core.task.Task` for the rest.

    Your own task names its metrics in the class attributes, and overrides `read`, `adapt`, `make_loss`, `measure` and
    `answer`: about thirty lines (tests/test_toy_task.py has an example). Training, tuning, compression, export and
    serving then work. The state is None or plain values; a dataclass also needs `from_plain`. Settings are the fields
    of a frozen dataclass that inherits from this class.

    Attributes:
        name: The task's name in saved chains and versions.
        objective: The metric that compression and tuning optimize.
        metrics: All metrics that `measure` returns.
        lower_is_better: The metrics that are errors.
        signature: The name of the signature that answers texts, which is also `serving_default`.
    """

    name: ClassVar[str]
    metrics: ClassVar[Sequence[str]]
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    signature: ClassVar[str] = "answer"

    @property
    def objective(self) -> str:
        """The metric that compression and tuning optimize: the first."""
        return self.metrics[0]

    @property
    def compared(self) -> Sequence[str]:
        """The metrics in a compression report."""
        return tuple(self.metrics)

    # For tasks to override

    def read(self, source: Any, *, split: str) -> TextRows:
        """Reads the data of `fit` and `evaluate`."""
        raise NotImplementedError

    def adapt(self, model: TextEncoder, state: Any, rows: TextRows) -> tuple[TextEncoder, Any]:
        """Returns the model with the outputs that the rows need, such as a head, and the state that belongs to it."""
        raise NotImplementedError

    def make_loss(self, rows: TextRows, state: Any, given: Any = None) -> PairLoss:
        """Makes the loss, which takes `to_targets`; `given` is the loss that the user or a trial of a tuning chose."""
        raise NotImplementedError

    def measure(self, outputs: np.ndarray, rows: TextRows, state: Any) -> Mapping[str, float]:
        """Returns all metrics of the encoder's outputs, float32 `(rows, dim)`."""
        raise NotImplementedError

    def answer(self, outputs: Any, state: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        """Computes a version's answer with TensorFlow operations, from outputs `(batch, dim)` to tensors by name."""
        raise NotImplementedError

    def to_targets(self, rows: TextRows, state: Any) -> np.ndarray:
        """Converts the rows' targets for the loss, float32 `(rows, k)`."""
        return np.array(rows.targets, dtype="float32").reshape(len(rows), -1)

    def is_paired(self, state: Any) -> bool:
        """Returns whether a row is a pair of texts."""
        return False

    def from_plain(self, values: Any) -> Any:
        """Makes the state from the plain values in a saved chain."""
        return values

    # Data

    def check_metrics(self, metrics: Sequence[str]) -> None:
        unknown = [metric for metric in metrics if metric not in self.metrics]
        if unknown or isinstance(metrics, str):
            raise InputError(f"`metrics` must be a list of {', '.join(self.metrics)}. Received: metrics={metrics!r}.")

    def read_judged(self, source: Any, *, split: str) -> TextRows:
        return self.read(source, split=split)

    def describe_judged(self, judged: TextRows, state: Any) -> Mapping[str, str]:
        values = [list(judged.texts), list(judged.second_texts or ()), list(judged.targets)]
        return {"judged": make_fingerprint({"rows": values}, ())}

    # Training and evaluation

    def prepare(self, model: TextEncoder, state: Any, dataset: Any, options: FitOptions) -> Training:
        rows = self.read(dataset, split=options.split)
        model, state = self.adapt(model, state, rows)
        pairs = Pairs((self._join(model, rows),), labels=self.to_targets(rows, state), symmetric=True)
        loss = self.make_loss(rows, state, options.loss)
        return Training(model, state, pairs, dataclasses.replace(options, loss=loss))

    def fit(
        self,
        training: Training,
        hyperparameters: Hyperparameters,
        *,
        evaluate: Evaluate | None = None,
        validation: Validation | None = None,
    ) -> keras.callbacks.History:
        given: dict[str, Any] = {"evaluate": evaluate, "validation": validation}
        return fit_text_encoder(training.model, training.dataset, hyperparameters, training.options, **given)

    def finish(self, model: TextEncoder, state: Any, judged: TextRows | None, *, batch_size: int) -> Any:
        return state

    def make_evaluation(
        self,
        judged: TextRows,
        state: Any,
        *,
        metrics: Sequence[str],
        batch_size: int,
        progress: bool | None = None,
        costs: bool = False,
    ) -> Evaluate:
        def evaluate(model: TextEncoder) -> dict[str, float]:
            outputs = self.compute(model, judged, batch_size=batch_size, progress=progress)
            measured = self.measure(outputs, judged, state)
            return {metric: float(measured[metric]) for metric in metrics}

        return evaluate

    def compute(
        self, model: TextEncoder, rows: TextRows, *, batch_size: int = 32, progress: bool | None = None
    ) -> np.ndarray:
        """Returns the encoder's outputs, float32 `(rows, dim)`, without a prompt."""
        return model.encode(self._join(model, rows), prompt="", batch_size=batch_size, progress=progress)

    # Optimization

    def learning_texts(self, state: Any) -> Sequence[str] | None:
        return None

    def workload(self, judged: TextRows, state: Any) -> tuple[Sequence[str], Sequence[str]]:
        texts = judged.join(" ")
        return texts, texts

    # Serving

    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        check_signatures(signatures)

    def serve(
        self, model: TextEncoder, state: Any, *, signatures: str, batch_size: int, options: Mapping[str, Any]
    ) -> Served:
        served = to_served_encoder(model, self.learning_texts(state) or ())
        graph = TextGraph(served.text_encoder, name=self.name, signatures=signatures, litert=served.litert)
        if graph.has_text:
            self.add_signatures(graph, state, options)
        description = {"fingerprint": served.text_encoder.fingerprint, **served.description}
        return Served(graph, served.files, description)

    def add_signatures(self, graph: TextGraph, state: Any, options: Mapping[str, Any]) -> None:
        """Adds the signatures that answer texts, with their proofs."""
        separator = find_separator(graph.text_encoder) if self.is_paired(state) else None
        add_answer(graph, self.signature, lambda outputs: self.answer(outputs, state, options), separator=separator)

    # Keeping

    def settings(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in _setting_names(type(self))}

    def open_folder(self, path: Path) -> StateFolder:
        return StateFolder(path, self.name, _to_plain)

    @classmethod
    def load_folder(cls, path: str | Path) -> Loaded:
        """Reads a saved chain's folder.

        Raises:
            IndexFolderError: if the folder has no saved chain of this task, or a damaged one.
        """
        loaded = load_state_folder(path, cls.name)
        try:
            task = cls(**{name: loaded.settings[name] for name in _setting_names(cls)})
            state = task.from_plain(loaded.state)
        except (KeyError, TypeError, InputError) as error:
            raise IndexFolderError(
                f"{path} has settings that cannot be read: {type(error).__name__}: {error}. Save the chain there again."
            ) from error
        folder = StateFolder(Path(path), cls.name, _to_plain, loaded.commit)
        return Loaded(task, loaded.model_path, state, loaded.settings, folder)

    def _join(self, model: TextEncoder, rows: TextRows) -> list[str]:
        return rows.join("" if rows.second_texts is None else find_separator(model))


def _setting_names(task: type[TextTask]) -> list[str]:
    return list(inspect.signature(task).parameters)


def _to_plain(state: Any) -> Any:
    return dataclasses.asdict(state) if dataclasses.is_dataclass(state) and not isinstance(state, type) else state
