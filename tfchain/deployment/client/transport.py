"""The interface of a protocol, the error of a refused request, and the decoding of texts from bytes."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import ServerError


class RequestError(ServerError):
    """The server answered a request with an error.

    Args:
        code: The canonical code, such as `NOT_FOUND`. REST has fewer codes than gRPC: 400 reads as `INVALID_ARGUMENT`.
        message: The server's message.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"The server answered {code}: {message}")
        self.code = code
        self.message = message


class Transport(abc.ABC):
    """A connection to a server with one protocol."""

    @abc.abstractmethod
    def predict(
        self,
        inputs: Mapping[str, np.ndarray],
        model: str,
        signature: str | None,
        version: int | str | None,
        output_filter: Sequence[str],
    ) -> dict[str, np.ndarray]:
        """Runs a signature."""

    @abc.abstractmethod
    def metadata(self, model: str, version: int | str | None) -> dict[str, Any]:
        """Returns a model's signatures in REST's form."""

    @abc.abstractmethod
    def status(self, model: str, version: int | None) -> dict[int, str]:
        """Returns the states of a model's versions."""

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the connections."""


def decode_texts(name: str, array: np.ndarray) -> np.ndarray:
    """Decodes bytes to texts, if all of the array is UTF-8 and the name does not end in `_bytes`."""
    if array.dtype != object or name.endswith("_bytes"):
        return array
    flat = np.empty(array.size, object)
    try:
        flat[:] = [item.decode() for item in array.ravel().tolist()]
    except UnicodeDecodeError:
        return array
    return flat.reshape(array.shape)
