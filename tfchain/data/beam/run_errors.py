"""Errors of a pipeline, as tfchain raises them: the message of the step or reader that failed in a worker."""

import re

from tfchain.core.errors import InputError, TfchainError, first_line

# Workers send errors as text: a traceback that ends with the error's type and message, and where Beam was.
RAISED = re.compile(
    r"^(?:tfchain\.core\.errors\.)?(?P<type>InputError|TfchainError|MissingPackageError): (?P<message>.+?)"
    r"(?: \[while running '(?P<where>[^']*)'\])?$",
    re.MULTILINE,
)


def to_error(error: Exception) -> TfchainError:
    """Returns the error that a pipeline's failure means.

    Args:
        error: What Beam raised.
    """
    found = [match for match in RAISED.finditer(str(error))]
    if found:
        message, where = found[-1]["message"], found[-1]["where"]
        kind = InputError if found[-1]["type"] == "InputError" else TfchainError
        return kind(f"{message} (In the pipeline's step {where!r}.)" if where else message)
    last = str(error).strip().splitlines()[-1:] or [first_line(error)]
    return TfchainError(f"The pipeline failed: {last[0][:300]} Nothing was published. Run it again once that is mended.")
