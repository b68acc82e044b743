"""A model and its task's state in a chain: held while threads use them, saved, loaded and copied."""

from __future__ import annotations

import contextlib
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tfchain.core.atomic import new_folder
from tfchain.core.checks import to_path
from tfchain.core.errors import IndexFolderError, InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.model import Model
from tfchain.core.packing import pack, unpacked
from tfchain.core.task import Folder, Task
from tfchain.models.precision import EngineName
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.text_encoder_model import identify_model
from tfchain.tasks.live_model import Current, LiveModel

if TYPE_CHECKING:
    from tfchain.training.fit.options import FitOptions


class ModelHolder:
    """A model with its task's state, hyperparameters and last report: what a chain is before it does anything.

    Threads may use it at the same time. Pickling and copying use the saved form that `save` writes.

    Args:
        task: The task that the model is for.
        model: The model: a `TextEncoder`, or the task's own kind of model.
        state: The task's state, such as documents or labels. Default: None.
        hyperparameters: The defaults of training, and the batch size. Default: `Hyperparameters()`.
    """

    task_type: ClassVar[Any] = None

    def __init__(
        self,
        task: Task,
        model: Model,
        state: Any = None,
        *,
        hyperparameters: Hyperparameters | None = None,
    ) -> None:
        self.task = task
        self._live = self._make_live(model, state)
        self.hyperparameters = hyperparameters or Hyperparameters()
        self._fit_options: FitOptions | None = None
        self.report = {}
        self._folder: Any = None
        self._source = uuid.uuid4().hex  # distinguishes this chain's versions from those of others
        self._saving = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        with self._current() as current:
            packed = pack(lambda path: self._save_into(self.task.open_folder(path), current))
            return _unpack, (type(self), packed, current.model.engine, self._fit_options)

    @classmethod
    def load(cls, path: str | Path, *, engine: EngineName = "auto") -> Self:
        """Reads a saved chain.

        Args:
            path: The folder.
            engine: The engine that runs the model. Default: `auto`.

        Raises:
            IndexFolderError: if the folder has no saved chain of this task, or a damaged one.
        """
        path = to_path("path", path)
        if cls.task_type is None:
            raise InputError(
                f"{cls.__name__} does not know its task, so it cannot be loaded. Load with the class that saved it, or "
                "set `task_type` in a subclass of your own."
            )
        loaded = cls.task_type.load_folder(path)
        chain = cls.__new__(cls)
        try:
            hyperparameters = Hyperparameters(**loaded.settings["hyperparameters"])
            report = dict(loaded.settings["report"])
        except (KeyError, TypeError, ValueError) as error:
            raise IndexFolderError(
                f"{path} has settings that cannot be read: {type(error).__name__}: {error}. {loaded.advice}"
            ) from error
        model = loaded.task.load_model(loaded.model_path, engine=engine, **loaded.model_options)
        ModelHolder.__init__(chain, loaded.task, model, loaded.state, hyperparameters=hyperparameters)
        chain.report, chain._folder = report, loaded.folder
        return chain

    @property
    def text_encoder(self) -> TextEncoder:
        """Tokenizer and encoder, in a chain of a task on texts."""
        model = self._live.model
        if not isinstance(model, TextEncoder):
            raise AttributeError(
                f"{type(self).__name__} has no text encoder: its model is a {type(model).__name__}. Use `model`."
            )
        return model

    @text_encoder.setter
    def text_encoder(self, text_encoder: TextEncoder) -> None:
        self._live.model = text_encoder

    @property
    def fingerprint(self) -> str:
        """A hash of everything that determines what the model answers; versions keep it."""
        return identify_model(self._live.model)

    @property
    def state(self) -> Any:
        """The task's state, such as documents or labels."""
        return self._live.state

    @property
    def fit_options(self) -> FitOptions:
        """The default `options` of `fit`; `tune` sets them."""
        if self._fit_options is None:
            from tfchain.training.fit.options import FitOptions

            self._fit_options = FitOptions()
        return self._fit_options

    @fit_options.setter
    def fit_options(self, options: FitOptions) -> None:
        self._fit_options = options

    @property
    def report(self) -> dict[str, float]:
        """The last result of `evaluate`; empty once the model or the state has changed."""
        changes, report = self._report
        return report if changes == self._live.changes else {}

    @report.setter
    def report(self, report: dict[str, float]) -> None:
        self._report = (self._live.changes, report)

    @property
    def model(self) -> Any:
        """The encoder, a Keras model; of a task with a model of its own, that model.

        After the first access to an encoder, each query checks its weights for changes: 0.1 ms.
        """
        model = self._live.model
        return model.encoder if isinstance(model, TextEncoder) else model

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer."""
        return self.text_encoder.tokenizer.tokenizer

    def save(self, path: str | Path) -> Path:
        """Saves the chain to a folder that `load` reads, and replaces any chain saved there in one step.

        Saving to the same folder again writes only the changes.

        Args:
            path: A new folder, an empty folder, or a folder with a saved chain.

        Raises:
            IndexFolderError: if another process is writing there, or the folder contains something else.
            TfchainError: if the disk is full; the chain saved before is still there.
        """
        path = to_path("path", path)
        with self._saving:
            if self._folder is None or self._folder.path.resolve() != path.resolve():
                self._folder = self.task.open_folder(path)
            self._folder.check()  # before anything is computed
            with self._current() as current:
                self._save_into(self._folder, current)
        return path

    def save_pretrained(self, path: str | Path) -> Path:
        """Writes tokenizer and encoder to a folder that sentence-transformers loads.

        Args:
            path: A new or empty folder.

        Raises:
            InputError: if the folder is not empty, or sentence-transformers has no such model.
        """
        path = to_path("path", path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"`path` must be a new or empty folder. Received: {path}. Name another folder.")
        with self._live.model.unchanged(), new_folder(path) as partial:
            self._write_pretrained(partial)
        return path

    def _write_pretrained(self, folder: Path) -> None:
        """Writes what sentence-transformers loads."""
        self.text_encoder.save(folder, portable=True)

    def _make_live(self, model: Any, state: Any) -> Any:
        """Makes the holder of model and state, which replaces both in one step."""
        return LiveModel(model, state)

    def _current(self, progress: bool | None = None) -> contextlib.AbstractContextManager[Current]:
        """Returns a context manager for model and state, which do not change while its block runs."""
        current: contextlib.AbstractContextManager[Current] = self._live.current()
        return current

    def _save_into(self, folder: Folder, current: Current) -> None:
        folder.save(current.model, current.state, self._settings(current))

    def _settings(self, current: Current) -> dict[str, Any]:
        changes, report = self._report
        return {
            "hyperparameters": self.hyperparameters.to_dict(),
            **self.task.settings(),
            "report": report if changes == current.changes else {},
        }


def _unpack(kind: type[ModelHolder], packed: bytes, engine: EngineName, fit_options: FitOptions | None) -> ModelHolder:
    with unpacked(packed) as path:
        chain = kind.load(path, engine=engine)
    chain._folder = None  # the unpacked folder is deleted
    chain._fit_options = fit_options
    return chain
