"""A task whose model is no text encoder: a straight line through points, with all that the two contracts ask."""

import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from tfchain.chains.base import Chain
from tfchain.core.errors import InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.proof import Proof
from tfchain.core.task import Evaluate
from tfchain.tasks.stages import Loaded
from tfchain.tasks.state_folder import StateFolder, load_state_folder

PRECISIONS = ("float32", "bfloat16")


@dataclass
class Points:
    """Rows: `x`, float32 `(rows, 2)`, and `y`, float32 `(rows,)`."""

    x: np.ndarray
    y: np.ndarray

    @property
    def fingerprint(self) -> str:
        return make_fingerprint({}, [("x", self.x), ("y", self.y)])


class LineModel:
    """A Dense layer of one output."""

    def __init__(self, keras_model: keras.Model, precision: str = "float32", engine: str = "auto") -> None:
        self.keras_model, self.precision, self.engine = keras_model, precision, engine

    @classmethod
    def make(cls) -> "LineModel":
        inputs = keras.Input((2,), name="x")
        return cls(keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="zeros", name="line")(inputs)))

    @classmethod
    def from_pretrained(cls, path: str | Path, *, engine: str = "auto") -> "LineModel":
        made = cls.make()
        with np.load(Path(path) / "weights.npz") as weights:
            made.keras_model.set_weights([weights["kernel"], weights["bias"]])
            return cls(made.keras_model, str(weights["precision"]), engine)

    @property
    def fingerprint(self) -> str:
        weights = zip(("kernel", "bias"), self.keras_model.get_weights(), strict=True)
        return make_fingerprint({"precision": self.precision}, weights)

    def predict(self, x: np.ndarray) -> np.ndarray:
        kernel, bias = (keras.ops.cast(weight.value, self.precision) for weight in self.keras_model.weights)
        product = keras.ops.matmul(keras.ops.cast(x, self.precision), kernel) + bias
        return np.asarray(keras.ops.cast(product, "float32"))[:, 0]

    def unchanged(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def refresh(self) -> None: ...

    def save(self, path: Path) -> None:
        kernel, bias = self.keras_model.get_weights()
        np.savez(path / "weights.npz", kernel=kernel, bias=bias, precision=self.precision)

    def copy(self) -> "LineModel":
        made = self.make().keras_model
        made.set_weights(self.keras_model.get_weights())
        return self.with_keras_model(made)

    def plain(self) -> "LineModel":
        return self.with_precision("float32")

    def with_precision(self, precision: str, *, engine: Any = None, calibration: Any = None) -> "LineModel":
        if precision not in PRECISIONS:
            raise InputError(f"A line has {PRECISIONS}. Received: {precision!r}.")
        return LineModel(self.keras_model, precision, self.engine)

    def with_keras_model(self, keras_model: keras.Model) -> "LineModel":
        return LineModel(keras_model, self.precision, self.engine)

    def describe_shape(self) -> Mapping[str, Any]:
        return {"precision": self.precision}

    def write_served_files(self, folder: Path) -> None:
        self.save(folder)

    def run_one(self, item: dict[str, float]) -> None:
        self.predict(np.array([[item["a"], item["b"]]], "float32"))

    def run(self, items: Sequence[dict[str, float]], *, batch_size: int) -> None:
        self.predict(np.array([[item["a"], item["b"]] for item in items], "float32"))


@dataclass(frozen=True)
class Fitting:
    model: LineModel
    state: Any
    dataset: Points
    options: Any


@dataclass(frozen=True)
class LineGraph:
    module: Any
    signatures: Mapping[str, Any]
    proofs: Sequence[Proof]
    litert_proofs: Sequence[Any] = ()
    halves: Mapping[str, Any] = field(default_factory=dict)
    methods: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LineServed:
    graph: LineGraph
    files: Mapping[str, bytes] = field(default_factory=dict)
    description: Mapping[str, Any] = field(default_factory=dict)
    native: None = None


class LineTask:
    """Predicts a number from two; the state is the number of rows of the training."""

    name: ClassVar[str] = "line"
    objective: ClassVar[str] = "mae"
    metrics: ClassVar[Sequence[str]] = ("mae",)
    compared: ClassVar[Sequence[str]] = ("mae",)
    lower_is_better: ClassVar[frozenset[str]] = frozenset({"mae"})

    def check_metrics(self, metrics: Sequence[str]) -> None:
        if set(metrics) - {"mae"}:
            raise InputError(f"A line has the metric mae. Received: {metrics}.")

    def read_judged(self, source: Any, *, split: str) -> Points:
        x, y = source
        return Points(np.asarray(x, "float32"), np.asarray(y, "float32"))

    def describe_judged(self, judged: Points, state: Any) -> Mapping[str, str]:
        return {"judged": judged.fingerprint}

    def prepare(self, model: LineModel, state: Any, dataset: Any, options: Any) -> Fitting:
        points = self.read_judged(dataset, split="train")
        return Fitting(model, len(points.y), points, options)

    def fit(
        self, training: Fitting, hyperparameters: Any, *, evaluate: Evaluate | None = None, validation: Any = None
    ) -> keras.callbacks.History:
        history = keras.callbacks.History()
        history.history = {"loss": []}
        weights = [np.zeros((2, 1), "float32"), np.zeros(1, "float32")]
        points = training.dataset
        for _ in range(hyperparameters.epochs):  # least squares, by gradient descent
            error = points.x @ weights[0][:, 0] + weights[1] - points.y
            weights[0][:, 0] -= hyperparameters.learning_rate * 2 * (error @ points.x) / len(error)
            weights[1] -= hyperparameters.learning_rate * 2 * error.mean()
            history.history["loss"].append(float(np.square(error).mean()))
            training.model.keras_model.set_weights(weights)
            for name, value in ({} if evaluate is None else evaluate(training.model)).items():
                history.history.setdefault(name, []).append(value)
        return history

    def finish(self, model: LineModel, state: Any, judged: Points | None, *, batch_size: int) -> Any:
        return state

    def make_evaluation(
        self,
        judged: Points,
        state: Any,
        *,
        metrics: Sequence[str],
        batch_size: int,
        progress: Any = None,
        costs: Any = 0,
    ) -> Evaluate:
        return lambda model: {"mae": float(np.abs(model.predict(judged.x) - judged.y).mean())}

    def learning_texts(self, state: Any) -> None:
        return None

    def workload(self, judged: Points, state: Any) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
        items = [{"a": float(a), "b": float(b)} for a, b in judged.x]
        return items, items

    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None: ...

    def serve(
        self, model: LineModel, state: Any, *, signatures: str, batch_size: int, options: Mapping[str, Any]
    ) -> LineServed:
        import tensorflow as tf

        module = tf.Module()
        module.weights = [weight.value for weight in model.keras_model.weights]

        def predict(x: Any) -> dict[str, Any]:
            return {"y": model.keras_model(x)[:, 0]}

        function = tf.function(predict, input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        asked = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
        proof = Proof("serving_default", {"x": asked}, {"y": model.predict(asked)})
        graph = LineGraph(module, {"serving_default": function}, [proof])
        return LineServed(graph, description={"fingerprint": model.fingerprint})

    def settings(self) -> Mapping[str, Any]:
        return {}

    def open_folder(self, path: Path) -> StateFolder:
        return StateFolder(path, self.name, lambda state: state)

    @classmethod
    def load_folder(cls, path: str | Path) -> Loaded:
        loaded = load_state_folder(path, cls.name)
        folder = StateFolder(Path(path), cls.name, lambda state: state, loaded.commit)
        return Loaded(cls(), loaded.model_path, loaded.state, loaded.settings, folder)  # type: ignore[arg-type]

    def load_model(self, path: Path, *, engine: Any = "auto", **options: Any) -> LineModel:
        return LineModel.from_pretrained(path, engine=engine)


class LineChain(Chain):
    task_type = LineTask

    def predict(self, x: Any) -> np.ndarray:
        with self._current() as current:
            return current.model.predict(np.asarray(x, "float32"))
