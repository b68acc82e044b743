"""Errors of a pipeline, as tfchain raises them: the message of the step or reader that failed in a worker."""

import re

from tfchain.core.errors import FingerprintError, InputError, MissingPackageError, TfchainError, first_line

WHERE = re.compile(r" \[while running '(?P<where>[^']*)'\]")
# Workers send errors as text: tracebacks with lines of an error's type and message.
RAISED = re.compile(r"^(?:tfchain\.core\.errors\.)?(?P<type>\w*Error): (?P<message>.+)$", re.MULTILINE)

KINDS: dict[str, type[TfchainError]] = {
    kind.__name__: kind for kind in (TfchainError, InputError, FingerprintError, MissingPackageError)
}


def to_error(error: Exception) -> TfchainError:
    """Returns the error that a pipeline's failure means.

    Args:
        error: What Beam raised.
    """
    if isinstance(error, TfchainError):
        return tell_where(type(error), str(error))
    raised = [found for found in RAISED.finditer(str(error)) if found["type"] in KINDS]
    if raised:
        return tell_where(KINDS[raised[-1]["type"]], raised[-1]["message"])
    last = str(error).strip().splitlines()[-1:] or [first_line(error)]
    return TfchainError(f"The pipeline failed: {last[0][:300]}. Nothing was published. Mend that, and run it again.")


def tell_where(kind: type[TfchainError], text: str) -> TfchainError:
    """Makes an error that says in tfchain's way in which of the pipeline's steps it happened."""
    where = WHERE.search(text)
    return kind(f"{WHERE.sub('', text)} (In the pipeline's step {where['where']!r}.)" if where else text)
