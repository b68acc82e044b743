"""Binds the server's TCP sockets; imports nothing heavy, as a supervisor binds them, too."""

import errno
import socket

from tfchain.core.errors import ServerError


def open_socket(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Binds a TCP socket; it does not listen yet.

    Args:
        host: The address; `0.0.0.0` means all addresses, including IPv6.
        port: The port; 0 lets the system choose.
        is_shared: Whether other sockets of this user that ask for it may be bound to the port, too
            (`SO_REUSEPORT`). Default: False, no other process can share it.

    Raises:
        ServerError: if the address cannot be bound.
    """
    wanted: list[tuple[socket.AddressFamily | None, str]] = [(None, host)]
    if host == "0.0.0.0":
        wanted.insert(0, (socket.AF_INET6, "::"))  # with IPv4 on the same socket
    for position, (family, address) in enumerate(wanted, 1):
        try:
            return _bind(family, address, port, is_shared)
        except OSError as error:
            if position == len(wanted) or error.errno == errno.EADDRINUSE:
                raise port_error(host, port, error) from error
    raise AssertionError("the loop ends in a return or in an error")


def port_error(host: str, port: int, error: OSError) -> ServerError:
    """Returns the error for a port that cannot be opened."""
    return ServerError(
        f"Port {port} on {host} cannot be opened: {error.strerror or error}. Free the port, or choose another."
    )


def _bind(family: socket.AddressFamily | None, address: str, port: int, is_shared: bool) -> socket.socket:
    if family is None:
        family, _, _, _, _ = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family is socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, port))
    except BaseException:
        listener.close()
        raise
    return listener
