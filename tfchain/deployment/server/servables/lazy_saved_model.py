"""A SavedModel of which only the signatures are read, until a request needs the graph; then TensorFlow is imported."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.stages import LOAD, stage
from tfchain.deployment.server.servables.deadline import Deadline, deadline_exceeded
from tfchain.deployment.server.servables.servable import Servable, Signature
from tfchain.deployment.server.servables.signature_def import read_signature
from tfchain.deployment.server.status import Code, StatusError
from tfchain.runtime.tf_protos import find_message

logger = logging.getLogger(__name__)


class LazySavedModel:
    """A SavedModel that is loaded by its first run; see `Servable` for its methods.

    A run that finds it unloaded loads it, while others wait for it, each within its own time limit. If the load fails,
    the run ends with its error, and the next run tries again.

    Args:
        path: The version's folder.
        signature_defs: The functions as protos, from `read_signature_defs`.
        load: Loads the SavedModel.
        checks_method_names: Whether requests are checked for a signature's method. Default: False.
    """

    def __init__(
        self,
        path: Path,
        signature_defs: Mapping[str, Any],
        load: Callable[[], Servable],
        *,
        checks_method_names: bool = False,
    ) -> None:
        self._path = path
        self._signature_defs = signature_defs
        self._signatures = {
            name: read_signature(name, proto, checks_method_name=checks_method_names)
            for name, proto in signature_defs.items()
        }
        self._load = load
        self._lock = threading.Lock()
        self._loaded: Servable | None = None
        self._is_closed = False

    @property
    def is_loaded(self) -> bool:
        """Whether a run has needed the graph."""
        return self._loaded is not None

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The model's functions by name."""
        return self._signatures

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        """The functions as `SignatureDef` protos, for metadata."""
        return self._signature_defs

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        """Runs a signature, after loading the SavedModel if it is the first run."""
        deadline = Deadline(timeout_ms)
        loaded = self._loaded
        if loaded is None:
            with stage(LOAD):
                loaded = self._wait(deadline)
        return loaded.run(signature, inputs, outputs, deadline.left_ms())

    def close(self) -> None:
        """Closes the SavedModel if it was loaded; it is not loaded any more."""
        with self._lock:
            self._is_closed = True
            if self._loaded is not None:
                self._loaded.close()

    def _wait(self, deadline: Deadline) -> Servable:
        left_ms = deadline.left_ms()
        if not self._lock.acquire(timeout=-1 if left_ms is None else left_ms / 1000):
            raise deadline_exceeded()
        try:
            if self._is_closed:
                raise StatusError(Code.UNAVAILABLE, f"{self._path} is being unloaded.")
            if self._loaded is None:
                logger.info("loading the SavedModel of %s, which a request needs", self._path)
                self._loaded = self._load()
            return self._loaded
        finally:
            self._lock.release()


def read_signature_defs(path: Path, tags: Sequence[str]) -> dict[str, Any] | None:
    """Reads the signatures of a SavedModel without TensorFlow.

    Args:
        path: The version's folder.
        tags: The tags of the graph, all of them.

    Returns:
        Name → `SignatureDef`, sorted; None if there is no such file or graph, as TensorFlow's loader explains.
    """
    from google.protobuf.message import DecodeError

    try:
        model = find_message("tensorflow.SavedModel").FromString((path / "saved_model.pb").read_bytes())
    except (OSError, DecodeError):
        return None
    for graph in model.meta_graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            found: dict[str, Any] = {}
            for name, proto in sorted(graph.signature_def.items()):
                found[name] = type(proto)()  # a copy, without which the whole graph stays in memory
                found[name].CopyFrom(proto)
            return found
    return None
