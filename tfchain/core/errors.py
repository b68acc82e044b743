"""The errors that tfchain raises: each says what was expected, what came, and what to do."""


class TfchainError(Exception):
    """The root of all errors that tfchain raises on purpose; the command line prints its text and exits with 1."""


class InputError(TfchainError, ValueError):
    """An argument, a document or a file's content is not what was asked for.

    Args:
        message: The text.
        argument: The name of the argument whose value is at fault, for those who know where it was written. Default:
            none.
    """

    def __init__(self, message: str = "", *, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument


class DivergedError(InputError):
    """A training came to a loss or to weights that are not finite numbers; the model keeps the weights it had."""


class ModelFolderError(TfchainError):
    """A model folder cannot be read: no weights, an unknown architecture, missing or left-over tensors."""


class IndexFolderError(TfchainError):
    """A saved chain cannot be read or written: not there, damaged, or being written by another process."""


class FingerprintError(TfchainError):
    """Vectors of one model met another model."""


class ExportError(TfchainError):
    """A version could not be written: an op that stock TensorFlow Serving lacks, or answers that differ."""


class ServerError(TfchainError):
    """A server did not start, stopped, or cannot be reached."""


class WorkerLostError(TfchainError):
    """Another worker of a distributed training stopped or cannot be reached."""


class MissingPackageError(TfchainError, ImportError):
    """An optional package is not installed; the text says which extra brings it."""


def first_line(error: BaseException, *, length: int = 200) -> str:
    """The beginning of another library's message, to put into one of ours; the error's type where it says nothing."""
    lines = str(error).splitlines() or [""]
    return lines[0][:length] or type(error).__name__
