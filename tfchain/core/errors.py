"""The errors that tfchain raises: each says what was expected, what was received, and what to do."""


class TfchainError(Exception):
    """The base of all errors that tfchain raises on purpose; the command line prints the message and exits with 1."""


class InputError(TfchainError, ValueError):
    """An argument, a document or the content of a file is not what was expected.

    Args:
        message: The text.
        argument: The name of the argument at fault, for callers that know where its value was written. Default: none.
    """

    def __init__(self, message: str = "", *, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument


class DivergedError(InputError):
    """A training reached a loss or weights that are not finite; the model keeps the weights from before."""


class ModelFolderError(TfchainError):
    """A model folder cannot be read: it has no weights, an unknown architecture, or missing or left-over tensors."""


class IndexFolderError(TfchainError):
    """A saved chain cannot be read or written: it is missing, damaged, or being written by another process."""


class FingerprintError(TfchainError):
    """Vectors of one model are used with another model."""


class ExportError(TfchainError):
    """A version could not be written: it uses an op that stock TensorFlow Serving lacks, or its answers differ."""


class ServerError(TfchainError):
    """A server did not start, stopped, or cannot be reached."""


class WorkerLostError(TfchainError):
    """Another worker of a distributed training stopped or cannot be reached."""


class MissingPackageError(TfchainError, ImportError):
    """A required or optional package is not installed; the message says how to install it."""


def first_line(error: BaseException, *, length: int = 200) -> str:
    """Returns the first line of another library's error, to quote in ours; the error's type if it has no message."""
    lines = str(error).splitlines() or [""]
    return lines[0][:length] or type(error).__name__
