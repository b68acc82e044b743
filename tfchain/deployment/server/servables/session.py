"""The only access to TensorFlow's engine: a graph and its v1 session, run as the C++ server runs them."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.core.stages import RUN, stage
from tfchain.deployment.server.servables.dtypes import BY_NUMPY, dtype_name
from tfchain.deployment.server.status import Code, StatusError, invalid_argument

_PORT = re.compile(r":[0-9]+\Z")
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

        Args:
            name: The tensor's name, such as `x:0`; `x` means the same, as in C++.

        Raises:
            StatusError: if the graph has no such tensor.
        """
        tensor = self._find(name)
        return tensor._as_tf_output() if self._is_raw else tensor

    def dtype(self, name: str) -> int:
        """Returns the number of a tensor's data type, without the mark of a reference.

        Raises:
            StatusError: if the graph has no such tensor.
        """
        return int(self._find(name).dtype.base_dtype.as_datatype_enum)

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
            with stage(RUN):
                if self._is_raw:
                    with _run_options(timeout_ms) as options:
                        values = self._session._call_tf_sessionrun(options, feeds, fetches, [], None)
                else:
                    values = self._run_public(feeds, fetches, timeout_ms)
        except errors.OpError as error:
            message = str(error.message).removeprefix(_PYTHON_PREFIX)
            raise StatusError(Code(error.error_code), message) from error
        except UnicodeDecodeError as error:
            # The engine's text quotes bytes of the request that are not UTF-8, and Python could not make its error of
            # it. The code is lost, but a request is to blame.
            raise invalid_argument(bytes(error.object).decode("utf-8", "surrogateescape")) from error
        return [value if isinstance(value, np.ndarray) else _to_array(value) for value in values]

    def close(self) -> None:
        """Frees the session's variables and threads."""
        self._session.close()

    def _find(self, name: str) -> Any:
        full_name = name if _PORT.search(name) else f"{name}:0"
        try:
            return self._graph.get_tensor_by_name(full_name)
        except (KeyError, ValueError) as error:
            raise tensor_not_found(full_name) from error

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


def tensor_not_found(name: str) -> StatusError:
    """Returns the engine's error for a tensor that the graph does not have."""
    return invalid_argument(
        f"Tensor {name}, specified in either feed_devices or fetch_devices was not found in the Graph"
    )


def _to_array(value: Any) -> np.ndarray:
    """Converts a scalar to an array; the engine returns a scalar string as plain bytes."""
    return np.array(value, dtype=object if isinstance(value, bytes | str) else None)


@contextlib.contextmanager
def _run_options(timeout_ms: int | None) -> Iterator[Any]:
    """Yields RunOptions in a buffer of the engine, which nobody else frees; None without a time limit."""
    import tensorflow as tf
    from tensorflow.python.client import pywrap_tf_session

    if not timeout_ms:
        yield None
        return
    options = tf.compat.v1.RunOptions(timeout_in_ms=timeout_ms)
    buffer = pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())
    try:
        yield buffer
    finally:
        pywrap_tf_session.TF_DeleteBuffer(buffer)
