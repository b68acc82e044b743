"""The only access to TensorFlow's engine: a graph and its v1 session, run as the C++ server runs them."""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.deployment.server.servables.dtypes import BY_NUMPY, dtype_name
from tfchain.deployment.server.status import Code, StatusError, invalid_argument

_PYTHON_PREFIX = "Graph execution error:\n\n"


class GraphSession:
    """A graph with its own session.

    TensorFlow's public `session.run` casts its inputs, checks shapes in Python and costs several times as much as the
    C++ call below it. That call is private, so only this class uses it. A TensorFlow without it gets the public call,
    with a separate check of data types.

    Args:
        session: A `tf.compat.v1.Session` with the loaded model.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._graph = session.graph
        self._is_raw = hasattr(session, "_call_tf_sessionrun") and hasattr(session, "_extend_graph")
        if self._is_raw:
            session._extend_graph()

    def tensor(self, name: str) -> Any:
        """Returns the handle of a tensor for `run`.

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
        """Computes tensors. Releases the GIL, and may be called from many threads.

        Args:
            feeds: Values by tensor.
            fetches: The tensors to compute.
            timeout_ms: The time limit; None for no limit.

        Raises:
            StatusError: with TensorFlow's own code and text.
        """
        from tensorflow.python.framework import errors

        try:
            if self._is_raw:
                with _run_options(timeout_ms) as options:
                    values = self._session._call_tf_sessionrun(options, feeds, fetches, [], None)
            else:
                values = self._run_public(feeds, fetches, timeout_ms)
        except errors.OpError as error:
            message = str(error.message).removeprefix(_PYTHON_PREFIX)
            raise StatusError(Code(error.error_code), message) from error
        except UnicodeDecodeError as error:
            # The engine's text quotes bytes that are not UTF-8, of an input that an op refused. Python raises this in
            # place of the error with its code.
            raise invalid_argument(error.object.decode("utf-8", "surrogateescape")) from error
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
    """Converts a scalar to an array; the engine returns a scalar string as plain bytes."""
    return np.array(value, dtype=object if isinstance(value, bytes | str) else None)


@contextlib.contextmanager
def _run_options(timeout_ms: int | None) -> Iterator[Any]:
    """Hands RunOptions to the engine in a buffer, which Python would never free by itself."""
    if not timeout_ms:
        yield None
        return
    from tensorflow.python.client import pywrap_tf_session

    buffer = pywrap_tf_session.TF_NewBufferFromString(_serialized_options(timeout_ms))
    try:
        yield buffer
    finally:
        pywrap_tf_session.TF_DeleteBuffer(buffer)


@functools.lru_cache(maxsize=64)
def _serialized_options(timeout_ms: int) -> bytes:
    """Serializes RunOptions; cached, as REST always uses the same timeout."""
    import tensorflow as tf

    options: bytes = tf.compat.v1.RunOptions(timeout_in_ms=timeout_ms).SerializeToString()
    return options
