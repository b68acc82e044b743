"""The ports that the workers share: bound before the first worker starts, and held as long as the server runs."""

import socket

from tfchain.core.errors import ServerError
from tfchain.deployment.server.listening import open_socket


class SharedPorts:
    """The ports of all workers, bound but not listening, as no worker can answer yet; use it in a `with` block.

    The REST socket is passed to the workers, which all accept from it. gRPC takes no socket from outside, so each
    worker opens the port itself with `SO_REUSEPORT`, and the kernel shares out the connections; a bound socket that
    never listens keeps the port, also while no worker is there.

    Args:
        host: The address to listen on.
        grpc_port: The gRPC port; 0 lets the system choose.
        rest_port: The REST port; 0 lets the system choose, None is no REST API.

    Raises:
        ServerError: if a port is in use.
    """

    def __init__(self, host: str, grpc_port: int, rest_port: int | None) -> None:
        self._sockets: list[socket.socket] = []
        self._rest: socket.socket | None = None
        try:
            if grpc_port:
                open_socket(host, grpc_port).close()  # fails where any program listens, even one that shares its port
            holder = open_socket(host, grpc_port, is_shared=True)
            self._sockets.append(holder)
            self.grpc_port: int = holder.getsockname()[1]
            self._sockets.append(_lock(host, *holder.getsockname()[:2]))
            self.rest_port: int | None = None
            if rest_port is not None:
                self._rest = open_socket(host, rest_port)
                self._sockets.append(self._rest)
                self.rest_port = self._rest.getsockname()[1]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "SharedPorts":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def rest_fd(self) -> int:
        """The file descriptor of the REST port's socket; -1 without REST, or after `release`."""
        return -1 if self._rest is None else self._rest.fileno()

    def release(self) -> None:
        """Leaves the REST port to the workers: it is closed when the last of them closes it."""
        if self._rest is not None:
            self._rest.close()

    def close(self) -> None:
        """Closes all sockets."""
        for held in self._sockets:
            held.close()


def _lock(host: str, address: str, port: int) -> socket.socket:
    """Takes a name for a port, so that two supervisors cannot share it while their models load and nobody listens.

    It is an abstract UNIX socket: like ports, these belong to a network namespace, and end with their process.
    """
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0tfchain-workers {address} {port}")
    except OSError as error:
        lock.close()
        raise ServerError(
            f"Port {port} on {host} cannot be opened: another server with workers has it. Free the port, or choose "
            "another."
        ) from error
    return lock
