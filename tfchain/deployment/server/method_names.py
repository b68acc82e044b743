"""The check of signatures' method names, which is off by default."""

from collections.abc import Sequence

from tfchain.core.signatures import CLASSIFY, PREDICT, REGRESS
from tfchain.deployment.server.servables.servable import Signature
from tfchain.deployment.server.status import Code, StatusError, invalid_argument

_PREDICTABLE: Sequence[str] = (PREDICT, CLASSIFY, REGRESS)


def check_method(signature: Signature, method: str, kind: str) -> None:
    """Checks a signature's method name for Classify or Regress, if names are checked.

    Args:
        signature: The signature.
        method: The method name that it must have.
        kind: The kind of signature in the error text, such as `classification`.

    Raises:
        StatusError: if the name is another.
    """
    if signature.method_name is not None and signature.method_name != method:
        raise invalid_argument(f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}")


def check_predict_method(signature: Signature) -> None:
    """Checks a signature's method name for Predict, if names are checked: each of the three names will do.

    Raises:
        StatusError: if the name is none of them.
    """
    if signature.method_name is not None and signature.method_name not in _PREDICTABLE:
        raise StatusError(
            Code.INTERNAL,
            f"Expected prediction signature method_name to be one of {{{', '.join(_PREDICTABLE)}}}. "
            f"Was: {signature.method_name}",
        )
