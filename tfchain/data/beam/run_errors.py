"""Errors of a pipeline, as tfchain raises them: the message of the step or reader that failed in a worker."""

import re

from tfchain.core.errors import FingerprintError, InputError, MissingPackageError, TfchainError, first_line

# Workers send errors as text: a traceback that ends with the error's type and message, and where Beam was.
WHERE = re.compile(r" \[while running '(?P<where>[^']*)'\]")
RAISED = re.compile(
    r"^(?:tfchain\.core\.errors\.)?(?P<type>\w*Error): (?P<message>.+)$", re.MULTILINE)

KINDS: dict[str, type[TfchainError]] = {
    kind.__name__: kind for kind in (TfchainError, InputError, FingerprintError, MissingPackageError)
}


def to_error(error: Exception) -> TfchainError:
    """Returns the error that a pipeline's failure means.

    Args:
        error: What Beam raised.
    """
    if isinstance(error, TfchainError):
        kind, text = type(error), str(error)
    else:
        raised = [found for found in RAISED.finditer(str(error)) if found["type"] in KINDS]
        kind, text = (KINDS[raised[-1]["type"]], raised[-1]["message"]) if raised else (None, "")
    if kind is not None:
        where = WHERE.search(text)
        message = WHERE.sub("", text)
        return kind(f"{message} (In the pipeline's step {where['where']!r}.)" if where else message)
    last = str(error).strip().splitlines()[-1:] or [first_line(error)]
    return TfchainError(f"The pipeline failed: {last[0][:300]}. Nothing was published. Mend that, and run it again.")
