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
from tfchain.core.judgement import AskedVersion, Judge, Judgement, Question
from tfchain.core.native import NativeParts
from tfchain.core.signatures import EMBED
from tfchain.core.task import Evaluate
from tfchain.data.files.place import Place
from tfchain.data.pairs.reading import Pairs
from tfchain.models.precision import EngineName
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.answers import add_answer
from tfchain.tasks.pseudo_values import find_pseudo_values
from tfchain.tasks.row_reader import read_text_rows
from tfchain.tasks.served_encoder import to_served_encoder
from tfchain.tasks.stages import Loaded, Served, Training
from tfchain.tasks.state_folder import StateFolder, load_state_folder
from tfchain.tasks.text_graph import TextGraph, check_signatures
from tfchain.tasks.text_rows import TextRows, find_separator
from tfchain.training.fit.fit import fit_text_encoder
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.validation import Validation
from tfchain.training.losses import PairLoss

JUDGED_BATCH = 32
CHAIN_SETTINGS = ("hyperparameters", "report")  # the names that a chain adds to its task's settings
PAIRS_ASKED = "What users ask must be single texts. Received: pairs of texts. Leave the reference out."


class TextTask:
    """A task that computes the answer for a text from the encoder's output; see `core.task.Task` for the rest.

    Your own task names its metrics in the class attributes, and overrides `read_target`, `adapt`, `make_loss`,
    `measure` and `answer`: about thirty lines (tests/test_toy_task.py has an example). Training, tuning, compression,
    export and serving then work.

    The state is what the task keeps beside the model, such as the names of labels: None before the first training,
    afterwards values that JSON can hold (tuples come back as lists), or a dataclass of such values; then override
    `from_plain`, too. Settings are the fields of a frozen dataclass that inherits from this class; its other attributes
    are `ClassVar`s.

    Attributes:
        name: The task's name in saved chains and versions.
        metrics: All metrics that `measure` returns; compression and tuning optimize the first, the `objective`.
        lower_is_better: The metrics that are errors.
        target: The name of the target's column in files. Default: `label`.
        signature: The name of the signature that answers texts, which is also `serving_default`. Default: `answer`.
    """

    name: ClassVar[str]
    metrics: ClassVar[Sequence[str]]
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    target: ClassVar[str] = "label"
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

    def read_target(self, value: Any) -> Any:
        """Checks a row's target as found in the data, and returns it as plain values; an empty cell is an empty text.

        Raises:
            InputError: if it is of another kind or out of range, as do ValueError and TypeError; `read` adds the row.
        """
        raise NotImplementedError

    def adapt(self, model: TextEncoder, state: Any, rows: TextRows) -> tuple[TextEncoder, Any]:
        """Returns the model with the outputs that the rows need, and the state that belongs to it, which is not None.

        `heads.ensure_head` adds outputs where the model does not have as many yet. If the state keeps a few dozen of
        the rows' texts, `learning_texts` can return them.

        Args:
            model: The model as it is: with this task's outputs if there is a state.
            state: The state, or None before the first training.
            rows: The rows of the training.
        """
        raise NotImplementedError

    def make_loss(self, rows: TextRows, state: Any, given: Any = None) -> PairLoss:
        """Makes the loss; `check_loss` has accepted the given one.

        The loss of a task of texts has `min_columns = max_columns = 1` and `labels = "own"`: its `y_pred[:, 0]` are the
        outputs `(rows, dim)`, and `self.take(y_true, "labels")` are the rows of `to_targets`.
        """
        raise NotImplementedError

    def measure(self, outputs: np.ndarray, rows: TextRows, state: Any) -> Mapping[str, float]:
        """Returns all metrics of the encoder's outputs, float32 `(rows, dim)`."""
        raise NotImplementedError

    def answer(self, outputs: Any, state: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        """Computes a version's answer with TensorFlow operations, from outputs `(batch, dim)` to tensors by name.

        REST leaves out the name of a single tensor. The version's proof computes the expected answers with this method,
        too: test that it agrees with your chain's own method.
        """
        raise NotImplementedError

    def read(self, source: Any, *, split: str) -> TextRows:
        """Reads the data of `fit` and `evaluate`: lists, files and Hugging Face datasets, as `read_text_rows` does.

        Override it for other forms of data, and raise an `InputError` that names the row for what is wrong in it.
        """
        return read_text_rows(source, self._read_target_at, split=split, names=(self.target,))

    def check_state(self, state: Any) -> Any:
        """Returns the state; `evaluate`, `export` and `deploy` call it first.

        Raises:
            InputError: if there is none, as the model is not trained for the task yet.
        """
        if state is None:
            raise InputError(f"The model is not trained for its task, {self.name}, yet. Call `fit` first.")
        return state

    def check_loss(self, given: Any) -> None:
        """Checks a loss that a user or a trial of a tuning chose: a name, a `PairLoss`, its values, or None.

        Raises:
            InputError: by default for every loss but None: the task has its own.
        """
        if given is not None:
            raise InputError(f"The task {self.name} has its own loss. Received: loss={given!r:.100}. Leave it out.")

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
        self.check_loss(options.loss)
        rows = self.read(dataset, split=options.split)
        if options.augment and rows.second_texts is not None:
            raise InputError(
                "`augment` disturbs single texts, not pairs that are encoded together. Received: pairs of texts. Run "
                "the steps on the rows before training.",
                argument="augment",
            )
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
        state = self.check_state(state)

        def evaluate(model: TextEncoder) -> dict[str, float]:
            outputs = self.compute(model, judged, batch_size=batch_size, progress=progress)
            measured = self.measure(outputs, judged, state)
            missing = [metric for metric in metrics if metric not in measured]
            if missing:
                raise InputError(
                    f"`measure` of {type(self).__name__} must return all of its `metrics`. Received: no {missing[0]!r}."
                )
            return {metric: float(measured[metric]) for metric in metrics}

        return evaluate

    def make_judge(self, judged: TextRows, state: Any, *, metric: str | None = None) -> Judge:
        """Measures what a version's `embed` gives, the encoder's outputs, with the task's own `measure`."""
        chosen = metric or self.objective
        self.check_metrics([chosen])
        state = self.check_state(state)
        if judged.second_texts is not None:
            raise InputError(f"Versions of {type(self).__name__} are judged on single texts. Received: pairs of texts.")
        texts = np.array([text.encode("utf-8", "replace") for text in judged.texts], dtype=object)

        def judge(version: AskedVersion) -> Judgement:
            parts = [
                version.ask(Question(EMBED, {"text": texts[start : start + JUDGED_BATCH]}))["embedding"]
                for start in range(0, len(texts), JUDGED_BATCH)
            ]
            outputs = np.concatenate(parts)

            def measure(places: np.ndarray) -> float:
                rows = TextRows([judged.texts[row] for row in places], [judged.targets[row] for row in places])
                return float(self.measure(outputs[places], rows, state)[chosen])

            probes = [Question(EMBED, {"text": texts[row : row + 1]}) for row in range(min(len(texts), 50))]
            values = find_pseudo_values(measure, len(texts))
            return Judgement(chosen, values, lower_is_better=chosen in self.lower_is_better, probes=probes)

        return judge

    def compute(
        self, model: TextEncoder, rows: TextRows, *, batch_size: int = 32, progress: bool | None = None
    ) -> np.ndarray:
        """Returns the encoder's outputs, float32 `(rows, dim)`, without a prompt, as versions compute them.

        A chain's own method calls it, in `with self._current() as current:`.
        """
        return model.encode(self._join(model, rows), prompt="", batch_size=batch_size, progress=progress)

    # Optimization

    def learning_texts(self, state: Any) -> Sequence[str] | None:
        """Returns texts that recipes learn from, and on which `export` calibrates int8 (at least 8). Default: none."""
        return None

    def workload(self, judged: TextRows, state: Any) -> tuple[Sequence[str], Sequence[str]]:
        texts = judged.join(" ")
        return texts, texts

    # Monitoring

    def check_asked(self, state: Any) -> None:
        if state is not None and self.is_paired(state):
            raise InputError(PAIRS_ASKED)

    def asked(self, judged: TextRows) -> tuple[Sequence[str], None]:
        if judged.second_texts is not None:
            raise InputError(PAIRS_ASKED)
        return judged.texts, None

    # Serving

    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        check_signatures(signatures)

    def serve(
        self, model: TextEncoder, state: Any, *, signatures: str, batch_size: int, options: Mapping[str, Any]
    ) -> Served:
        self.check_state(state)
        served = to_served_encoder(model, self.learning_texts(state) or ())
        graph = TextGraph(served.text_encoder, name=self.name, signatures=signatures, litert=served.litert)
        if graph.has_text:
            self.add_signatures(graph, state, options)
        fingerprint = served.text_encoder.model_fingerprint
        description = {"fingerprint": fingerprint, "max_length": model.longest, "text_model": graph.text_model}
        description |= self.describe(state)
        description |= served.description
        native = self.make_native(model, state, graph, options) if graph.has_text else None
        return Served(graph, {**served.files, **graph.text_files}, description, native)

    def describe(self, state: Any) -> Mapping[str, Any]:
        """Returns plain values for a version's description, which servers tell their clients. Default: none."""
        return {}

    def make_native(
        self, model: TextEncoder, state: Any, graph: TextGraph, options: Mapping[str, Any]
    ) -> NativeParts | None:
        """Returns what the int8 kernels need to answer in the SavedModel's place. Default: None, TensorFlow answers."""
        return None

    def add_signatures(self, graph: TextGraph, state: Any, options: Mapping[str, Any]) -> None:
        """Adds the signatures that answer texts, with their proofs."""
        separator = find_separator(graph.text_encoder) if self.is_paired(state) else None
        add_answer(graph, self.signature, lambda outputs: self.answer(outputs, state, options), separator=separator)

    # Keeping

    def settings(self) -> Mapping[str, Any]:
        names = _setting_names(type(self))
        taken = [name for name in names if name in CHAIN_SETTINGS]
        if taken:
            raise InputError(
                f"{type(self).__name__} has a setting named {taken[0]!r}, which a chain keeps itself. Rename it."
            )
        return {name: getattr(self, name) for name in names}

    def open_folder(self, path: Path) -> StateFolder:
        return StateFolder(path, self.name, self._to_plain)

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
        folder = StateFolder(Path(path), cls.name, task._to_plain, loaded.commit)
        return Loaded(task, loaded.model_path, state, loaded.settings, folder)

    def load_model(self, path: Path, *, engine: EngineName = "auto", **options: Any) -> TextEncoder:
        """Reads the text encoder of a saved chain."""
        return TextEncoder.from_pretrained(path, engine=engine, **options)

    def _read_target_at(self, value: Any, place: Place) -> Any:
        try:
            return self.read_target(value)
        except (InputError, TypeError, ValueError) as error:
            raise InputError(f"{place}: {error}") from error

    def _to_plain(self, state: Any) -> Any:
        """Returns a state as values that JSON can hold.

        Raises:
            InputError: if it could not be read back.
        """
        if not dataclasses.is_dataclass(state) or isinstance(state, type):
            return state
        if type(self).from_plain is TextTask.from_plain:
            raise InputError(
                f"{type(self).__name__} has a dataclass as its state, {type(state).__name__}, and does not override "
                "`from_plain`, which makes one from its values."
            )
        return dataclasses.asdict(state)

    def _join(self, model: TextEncoder, rows: TextRows) -> list[str]:
        return rows.join("" if rows.second_texts is None else find_separator(model))


def _setting_names(task: type[TextTask]) -> list[str]:
    return list(inspect.signature(task).parameters)
