"""A version, loaded in this process as the server loads it, that answers questions."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.judgement import Question
from tfchain.core.native import NativeEngine
from tfchain.deployment.repository import read_description

if TYPE_CHECKING:
    from tfchain.deployment.server.servables.servable import Servable


class LoadedVersion:
    """A loaded version; an `AskedVersion`.

    Args:
        path: Its folder.
        servable: What answers.
    """

    def __init__(self, path: Path, servable: "Servable") -> None:
        self.path = path
        self.servable = servable
        self.description: Mapping[str, Any] = read_description(path)

    @property
    def signatures(self) -> Collection[str]:
        """The names of its signatures."""
        return [name for name in self.servable.signatures if not name.startswith("__")]  # __saved_model_init_op

    def ask(self, question: Question) -> dict[str, np.ndarray]:
        """Returns the answer: output name → array.

        Raises:
            InputError: if the version does not have the signature, or it fails.
        """
        from tfchain.deployment.server.status import StatusError

        signature = self.servable.signatures.get(question.signature)
        if signature is None:
            raise InputError(
                f"{self.path} must have the signature {question.signature!r} to be judged. Received: a version with "
                f"{', '.join(sorted(self.signatures)) or 'none'}. Export it with signatures of texts."
            )
        names = list(signature.outputs)
        try:
            values = self.servable.run(signature, question.inputs, names)
        except StatusError as error:
            raise InputError(f"{self.path} fails at {question.signature!r}: {error}.") from error
        return dict(zip(names, values, strict=True))


@contextlib.contextmanager
def open_version(
    path: Path | str, *, engine: str = "tensorflow", native: NativeEngine | None = None
) -> Iterator[LoadedVersion]:
    """Loads a version while the block runs.

    Args:
        path: The version's folder.
        engine: What answers, as the server's `--engine`. Default: TensorFlow, as in a stock server.
        native: The native engine, which `tfchain.chains.model_server` hands in. Default: there is none.

    Raises:
        InputError: if the version cannot be loaded.
    """
    from tfchain.deployment.server.servables.engines import load_for_engine, needs_tensorflow
    from tfchain.deployment.server.servables.saved_model import LoadOptions
    from tfchain.deployment.server.status import StatusError
    from tfchain.deployment.server.tensorflow_start import start_tensorflow
    from tfchain.runtime.tf_protos import load_serving_protos

    path = Path(path)
    if needs_tensorflow(engine):
        start_tensorflow()
    else:
        load_serving_protos()
    try:
        servable = load_for_engine(path, LoadOptions(engine=engine), native=native)
    except StatusError as error:
        raise InputError(f"{path} must be a version that loads. Received: {error}. Export it again.") from error
    try:
        yield LoadedVersion(path, servable)
    finally:
        servable.close()
