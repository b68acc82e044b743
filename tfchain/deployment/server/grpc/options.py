"""The options of the gRPC server: its own, and those of `--grpc_channel_arguments`."""

import re
from collections.abc import Sequence

from tfchain.core.errors import InputError

Argument = tuple[str, int | str]
_WHOLE = re.compile(r"\s*[-+]?\d+\s*", re.ASCII)
_MAX_MESSAGE_BYTES = 2**31 - 1
_OWN: dict[str, int | str] = {
    "grpc.max_send_message_length": _MAX_MESSAGE_BYTES,
    "grpc.max_receive_message_length": _MAX_MESSAGE_BYTES,
    "grpc.so_reuseport": 0,  # otherwise two servers could silently share a port
}


def parse_channel_arguments(text: str) -> tuple[Argument, ...]:
    """Reads `k=v,k=v`: values that are whole numbers of 32 bits as numbers, all others as texts.

    Raises:
        InputError: if a part is not of this form.
    """
    found: list[Argument] = []
    for part in text.split(",") if text else ():
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise InputError(
                f"--grpc_channel_arguments must be like 'grpc.so_reuseport=1,name=value'. Received: {part!r}."
            )
        found.append((name.strip(), _to_value(value)))
    return tuple(found)


def make_options(arguments: Sequence[Argument], *, max_connections: int) -> list[Argument]:
    """Returns the server's options; an argument of the user's replaces the server's own.

    Args:
        arguments: The user's.
        max_connections: The most open connections of an address; gRPC closes further ones.
    """
    own = {**_OWN, "grpc.max_allowed_incoming_connections": max_connections}
    return list({**own, **dict(arguments)}.items())


def _to_value(text: str) -> int | str:
    if _WHOLE.fullmatch(text) is None:
        return text
    number = int(text)
    return number if -(2**31) <= number < 2**31 else text
