"""The model contract: what chains, compression and tuning ask of the model of any task. A protocol only, no code."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, Self


class Model(Protocol):
    """A model of a task: `TextEncoder` for tasks on texts, or a class of the task's own.

    The class also has a class method `from_pretrained(path, *, engine)` that reads what `save` wrote: the process that
    measures a candidate of a compression calls it.

    Attributes:
        fingerprint: A hash of everything that determines an answer.
        precision: The precision of the computation.
        engine: The engine that computes, as the class takes it.
        keras_model: The Keras model that owns the weights, for the project's own use: code that changes them must call
            `refresh`.
    """

    @property
    def fingerprint(self) -> str: ...
    @property
    def precision(self) -> Any: ...
    @property
    def engine(self) -> Any: ...
    @property
    def keras_model(self) -> Any: ...

    def unchanged(self) -> AbstractContextManager[None]:
        """Returns a block during which the weights do not change; several threads may be in such blocks."""

    def refresh(self) -> None:
        """Discards the fingerprint and everything compiled, after a change of the weights."""

    def save(self, path: Path) -> None:
        """Writes a folder that `from_pretrained` reads."""

    # Other models made from this one, which stays as it is
    def copy(self) -> Self:
        """Returns a model with the same values and weights of its own, for one trial of a tuning."""

    def plain(self) -> Self:
        """Returns the model in float32, with the same weights: what a compression starts from."""

    def with_precision(self, precision: Any, *, engine: Any = None, calibration: Any = None) -> Self:
        """Returns a model with the same weights that computes in another precision.

        Raises:
            InputError: if it cannot compute in it.
        """

    def with_keras_model(self, keras_model: Any) -> Self:
        """Returns a model of the same kind around another Keras model, such as a pruned copy."""

    # Measuring
    def describe_shape(self) -> Mapping[str, Any]:
        """Returns plain values that decide what an answer costs, whatever the weights."""

    def write_served_files(self, folder: Path) -> None:
        """Writes the files that a server of the model needs."""

    def run_one(self, item: Any) -> None:
        """Computes the answer to one item of `Task.workload`, as a user's request is answered."""

    def run(self, items: Sequence[Any], *, batch_size: int) -> None:
        """Computes the answers to many items of `Task.workload`."""
