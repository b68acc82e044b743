"""The one door to TensorFlow's engine: a graph and its v1 session, run as the C++ server runs it."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.deployment.server.servables.dtypes import BY_NUMPY, dtype_name
from tfchain.deployment.server.status import Code, StatusError, invalid_argument

_PYTHON_PREFIX = "Graph execution error:\n\n"


class GraphSession:
    """A graph with a session of its own.

    TensorFlow's public `session.run` casts what it is fed, checks shapes in Python and costs several times as much as
    the C++ call below it. That call is private, so only this class knows it; where a TensorFlow has it no longer, the
    public one is used, with our own check of data types.

    Args:
        session: A `tf.compat.v1.Session` in which the model is loaded.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._graph = session.graph
        self._is_raw = hasattr(session, "_call_tf_sessionrun") and hasattr(session, "_extend_graph")
        if self._is_raw:
            session._extend_graph()

    def tensor(self, name: str) -> Any:
        """Returns what `run` takes for a tensor.

        Raises:
            StatusError: if the graph has no such tensor.
        """
        try:
            tensor = self._graph.get_tensor_by_name(name)
        except (KeyError, ValueError) as error:
            raise invalid_argument(
                f"Tensor {name}, specified in either feed_devices or fetch_devices was not found in the Graph"
            ) from error
        return tensor._as_tf_output() if self._is_raw else tensor

    def run(self, feeds: Mapping[Any, np.ndarray], fetches: Sequence[Any], timeout_ms: int | None) -> list[np.ndarray]:
        """Computes tensors. Releases Python's lock meanwhile, and may be called from many threads.

        Args:
            feeds: Values by tensors.
            fetches: The tensors wanted.
            timeout_ms: How long it may take; None for no limit.

        Raises:
            StatusError: with TensorFlow's own code and text.
        """
        from tensorflow.python.framework import errors

        try:
            if self._is_raw:
                options = _serialized_options(timeout_ms) if timeout_ms else None
                values = self._session._call_tf_sessionrun(options, feeds, fetches, [], None)
            else:
                values = self._run_public(feeds, fetches, timeout_ms)
        except errors.OpError as error:
            message = str(error.message).removeprefix(_PYTHON_PREFIX)
            raise StatusError(Code(error.error_code), message) from error
        return [value if isinstance(value, np.ndarray) else _to_array(value) for value in values]

    def close(self) -> None:
        """Frees the session's variables and threads."""
        self._session.close()

    def _run_public(self, feeds: Mapping[Any, np.ndarray], fetches: Sequence[Any], timeout_ms: int | None) -> Any:
        import tensorflow as tf

        for position, (tensor, value) in enumerate(feeds.items()):
            expected = dtype_name(tensor.dtype.as_datatype_enum)
            received = BY_NUMPY[value.dtype].name
            if expected != received:
                raise invalid_argument(f"Expects arg[{position}] to be {expected} but {received} is provided")
        options = tf.compat.v1.RunOptions(timeout_in_ms=timeout_ms or 0)
        try:
            return self._session.run(list(fetches), dict(feeds), options=options)
        except ValueError as error:
            raise invalid_argument(str(error)) from error


def _to_array(value: Any) -> np.ndarray:
    """Puts a scalar back into an array; the engine hands a scalar string out as plain bytes."""
    return np.array(value, dtype=object if isinstance(value, bytes | str) else None)


@functools.lru_cache(maxsize=64)
def _serialized_options(timeout_ms: int) -> Any:
    """Makes the engine's form of RunOptions; REST asks for the same one each time."""
    import tensorflow as tf
    from tensorflow.python.client import pywrap_tf_session

    options = tf.compat.v1.RunOptions(timeout_in_ms=timeout_ms)
    return pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())
