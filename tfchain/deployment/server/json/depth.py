"""How deeply a JSON body is nested, found without parsing it."""

import numpy as np

DEFAULT_DEPTH = 128  # of which a tensor may have 64
DEEPEST_JSON = 500  # with half of Python's recursion limit left for the stack below the parser
_OPENING = np.frombuffer(b"[{", np.uint8)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def is_too_deep(body: bytes, most: int) -> bool:
    """Returns whether a body has more levels of lists and objects than allowed.

    Of a body that is not JSON, it may say either; the parser refuses that.

    Args:
        body: The body.
        most: The most levels.

    Example:
        >>> is_too_deep(b'{"instances": [[1], ["[[["]]}', 3), is_too_deep(b"[[[[]]]]", 3)
        (False, True)
    """
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in body else body
    outside_strings = b"".join(plain.split(b'"')[::2])
    brackets = np.frombuffer(outside_strings.translate(None, _NOT_BRACKETS), np.uint8)
    steps = np.where(np.isin(brackets, _OPENING), 1, -1)
    return bool(len(steps)) and int(np.cumsum(steps).max()) > most
